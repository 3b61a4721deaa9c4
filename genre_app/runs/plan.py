"""Plan of a run, made before it starts: its tracks, segments and network, and an estimate of its time."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import zip_longest

import torch

from genre_app.data.cache.mel_cache import MelCache
from genre_app.data.dataset import Dataset
from genre_app.data.labelled import Data
from genre_app.data.tracks import CachedTrack
from genre_app.features import FeatureSpec, segment_start_frames
from genre_app.progress import Monitor, StoppedError
from genre_app.runs.host import device_name
from genre_app.runs.request import Request
from genre_app.training.config import TrainConfig
from genre_app.training.datasets import load_split
from genre_app.training.fit import Step, fit
from genre_app.training.processes import join
from genre_app.training.state import TrainState
from genre_app.training.steps import steps_per_epoch
from genre_app.training.validation import segment_probabilities

_MEASURED_STEPS = 2
_MEASURED_SEGMENTS = 256  # one batch of validation
# Fields that change neither the data nor the time of an epoch.
_FREE = ("epochs", "learning_rate", "schedule", "warmup", "weight_decay", "label_smoothing", "temperature", "fit_temperature")


@dataclass(frozen=True)
class Plan:
    """What a run will do.

    Attributes
    ----------
    request : Request
    config : TrainConfig
        The settings for these data.
    tracks : dict
        Number of tracks by genre, then by split.
    notes : tuple of str
        Notes of the data source: the split, skipped files, copies.
    segments : dict
        Number of segments by split, on the grid of prediction.
    epoch_segments : int
        Segments that an epoch trains on.
    steps : int
        Steps of an epoch.
    parameters : int
        Parameters of the network.
    device : str
        Device on which the time was measured.
    epoch_seconds : float or None
        Estimated time of an epoch, its share of the validations included; None if it was not measured.
    """

    request: Request
    config: TrainConfig
    tracks: dict[str, dict[str, int]]
    notes: tuple[str, ...]
    segments: dict[str, int]
    epoch_segments: int
    steps: int
    parameters: int
    device: str
    epoch_seconds: float | None

    @property
    def seconds(self) -> float | None:
        """Estimated time of the whole run, if ``patience`` does not end it earlier."""
        return None if self.epoch_seconds is None else self.epoch_seconds * self.config.epochs

    def of(self, request: Request) -> Plan | None:
        """Return the plan of another request if it follows from this plan, None if it must be made anew."""
        if request.model_copy(update={"settings": self.request.settings, "seed": self.request.seed}) != self.request:
            return None
        wanted = request.config()
        changes = {name: getattr(wanted, name) for name in _FREE}
        if self.request.config().model_copy(update=changes) != wanted:
            return None
        return replace(self, request=request, config=self.config.model_copy(update=changes))


def plan(request: Request, config: TrainConfig, data: Data, *, measure: bool = True) -> Plan:
    """Plan a run.

    Parameters
    ----------
    request : Request
    config : TrainConfig
    data : Data
        Opened by `genre_app.runs.data.open_data`, which returns ``config`` too.
    measure : bool
        Whether to take a few steps on the device, to estimate the time.

    Raises
    ------
    DataError
        If the network cannot be built for these data, or the initial checkpoint does not fit.
    """
    tracks: dict[str, Counter[str]] = {genre: Counter() for genre in data.genres}
    for track in data.tracks:
        tracks[track.genre][track.split] += 1
    counted = {
        split: sum(_segments(track, data, config.spec) for track in data.of(split)) for split in ("train", "valid", "test")
    }
    steps = steps_per_epoch(config, len(data.of("train")), counted["train"])
    _, device = join()
    train = _sample(data, "train", config, device)
    state = TrainState.begin(config, train, device, init=request.initial_checkpoint())
    epoch_seconds = None
    if measure:
        valid = _sample(data, "valid", config, device) if counted["valid"] else None
        per_step, per_segment = _measure(config, train, valid, state)
        epoch_seconds = per_step * steps + per_segment * counted["valid"] / config.validate_every
    return Plan(
        request=request,
        config=config,
        tracks={genre: dict(of_genre) for genre, of_genre in tracks.items()},
        notes=data.notes,
        segments=counted,
        epoch_segments=steps * config.batch_size if config.sampling == "random" else counted["train"],
        steps=steps,
        parameters=sum(parameter.numel() for parameter in state.model.parameters()),
        device=device_name(device),
        epoch_seconds=epoch_seconds,
    )


def _segments(track: CachedTrack, data: Data, spec: FeatureSpec) -> int:
    """Return the number of segments that prediction cuts from a track."""
    return len(segment_start_frames(track.n_frames, spec)) if isinstance(data.store, MelCache) else track.n_frames


def _sample(data: Data, split: str, config: TrainConfig, device: torch.device) -> Dataset:
    """Load only as many tracks of a split as the measured steps need, from all genres in turn."""
    of_genre = {genre: [track for track in data.of(split) if track.genre == genre] for genre in data.genres}
    in_turn = [track for turn in zip_longest(*of_genre.values()) for track in turn if track is not None]
    taken: list[CachedTrack] = []
    segments = 0
    for track in in_turn:
        if segments >= (1 + _MEASURED_STEPS) * config.batch_size and len(taken) >= len(data.genres):
            break
        taken.append(track)
        segments += _segments(track, data, config.spec)
    return load_split(replace(data, tracks=tuple(taken)), split, config, device)


def _measure(config: TrainConfig, train: Dataset, valid: Dataset | None, state: TrainState) -> tuple[float, float]:
    """Return the seconds of a training step, and those of a validation segment; 0 without validation tracks."""
    times: list[float] = []
    device = state.order.device

    def on_step(_: Step) -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter())

    # The first step warms up. The sample is small, so an epoch of it must be neither the last one nor validated. All stages are
    # trained that the last epoch trains: that takes the most time.
    never = tuple(float(share == 1.0) for share in config.unfreeze)
    endless = config.model_copy(update={"epochs": 10000, "validate_every": 1000, "patience": 0, "unfreeze": never})
    enough = Monitor(should_stop=lambda: len(times) > _MEASURED_STEPS)
    with suppress(StoppedError):
        list(fit(endless, train, valid, device=device, state=state, on_step=on_step, monitor=enough))
    per_step = (times[-1] - times[0]) / _MEASURED_STEPS
    if valid is None:
        return per_step, 0.0
    features = valid.segments()[0][:_MEASURED_SEGMENTS]
    began = time.perf_counter()
    segment_probabilities(state.average, features).sum().item()
    return per_step, (time.perf_counter() - began) / len(features)
