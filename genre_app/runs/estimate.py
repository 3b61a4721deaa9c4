"""Rough time of a run before its data are opened: from the number of tracks, the recipe, and the speed of this machine.

`genre_app.runs.plan` measures the time instead, once the data are open.
"""

from __future__ import annotations

import time
from functools import cache

import torch
from torch.nn import functional as F

from genre_app.runs.recipes import read_recipe
from genre_app.training.processes import join
from genre_app.training.steps import steps_per_epoch

# CPU milliseconds of one thread for a segment, in a training step and in validation, on the processor on which `_probe` takes
# `_REFERENCE_SECONDS`. Measured with 32 segments (8 of musicnn) of each recipe's network.
_SEGMENT_MS = {"mlp": (0.9, 0.6), "lstm": (3.8, 1.7), "cnn": (7.7, 3.2), "default": (8.8, 3.2), "transfer": (320.0, 25.0)}
_REFERENCE_SECONDS = 0.051
_DECODE_SECONDS = 0.03  # of a track of 30 s (tests.bench: 1 000 WAV files in 15 s on two cores; MP3 takes longer)
_START_SECONDS = 6.0  # until a process has imported torch and opened the data (tests.bench: `python app.py`)
_TRACK_SECONDS = 30.0
_TRAIN_SHARE, _VALID_SHARE = 0.7, 0.15  # the default split

_measured: dict[str, float] = {}  # measured over estimated time, by recipe


def has_estimate(recipe: str) -> bool:
    """Return whether `estimated_seconds` knows the recipe."""
    return recipe in _SEGMENT_MS


def estimated_seconds(recipe: str, n_tracks: int, *, speed: float | None = None) -> float:
    """Return the time from the start of a run to its report, for tracks of 30 s with the default split.

    Parameters
    ----------
    recipe : str
        One that `has_estimate`.
    n_tracks : int
    speed : float, optional
        Time of a computation here, relative to the machine of the constants; by default it is measured, once in each process.
    """
    config = read_recipe(recipe)
    train_ms, valid_ms = _SEGMENT_MS[recipe]
    n_train, n_valid = round(_TRAIN_SHARE * n_tracks), round(_VALID_SHARE * n_tracks)
    segments = steps_per_epoch(config, n_train, 0) * config.batch_size
    validated = n_valid * _TRACK_SECONDS / config.spec.segment_hop_seconds / config.validate_every
    epoch = (segments * train_ms + validated * valid_ms) / 1000
    factor = _measured.get(recipe, 1.0) * (measured_speed() if speed is None else speed)
    return _START_SECONDS + _DECODE_SECONDS * n_tracks + config.epochs * epoch * factor


def learn(recipe: str, n_tracks: int, seconds: float) -> None:
    """Correct the estimates of a recipe by the time that a plan has measured for its epochs."""
    if has_estimate(recipe):
        _measured.pop(recipe, None)
        fixed = _START_SECONDS + _DECODE_SECONDS * n_tracks
        _measured[recipe] = seconds / max(estimated_seconds(recipe, n_tracks) - fixed, 1e-3)


@cache
def measured_speed() -> float:
    """Return the time of a convolution here, relative to the machine of the constants."""
    _, device = join()
    _probe(device)
    return min(_probe(device) for _ in range(3)) / _REFERENCE_SECONDS


def _probe(device: torch.device) -> float:
    """Return the seconds of a convolution, forward and backward."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(32, 16, 64, 64, generator=generator).to(device)
    weight = torch.randn(32, 16, 3, 3, generator=generator).to(device).requires_grad_()
    began = time.perf_counter()
    F.conv2d(x, weight).square().mean().backward()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began
