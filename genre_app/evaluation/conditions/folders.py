"""Conditions from a user's own noises and impulse responses; each track gets one of the files at random."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.random import Generator

from genre_app.audio import read_sound, sound_files
from genre_app.evaluation.conditions.catalogue import SNR_DB, Change, Condition, noisy
from genre_app.evaluation.conditions.level import Samples
from genre_app.evaluation.conditions.room import reverberate
from genre_app.files import AnyPath


def folder_conditions(noise: AnyPath | None = None, rooms: AnyPath | None = None) -> dict[str, Condition]:
    """Return conditions from a folder of noises and from a folder of impulse responses, by name.

    Parameters
    ----------
    noise, rooms : str or os.PathLike, optional
        Folders of WAV, FLAC, AIFF, Ogg, Opus or MP3 files, at any depth.

    Raises
    ------
    ValueError
        If a folder is missing, has no sound files, or has one that cannot be read; one sentence.
    """
    found: list[Condition] = []
    if noise is not None:
        make = partial(_noise, sound_files(Path(noise), "noise folder", "noises"))
        found += [
            Condition(f"user-noise-{snr_db}", f"a noise of {noise} {snr_db} dB under the music", noisy(make, snr_db))
            for snr_db in SNR_DB
        ]
    if rooms is not None:
        responses = sound_files(Path(rooms), "room folder", "impulse responses")
        found.append(Condition("user-room", f"an impulse response of {rooms}", _room(responses)))
    return {condition.name: condition for condition in found}


def _drawn(files: Sequence[Path], rate: int, generator: Generator) -> Samples:
    return read_sound(files[int(generator.integers(len(files)))], rate)


def _noise(files: Sequence[Path], n_samples: int, rate: int, generator: Generator) -> Samples:
    """Return one of the files from a random position on, repeated to ``n_samples``."""
    samples = _drawn(files, rate, generator)
    start = int(generator.integers(len(samples)))
    return np.resize(np.roll(samples, -start), n_samples)


def _room(files: Sequence[Path]) -> Change:
    def change(samples: Samples, rate: int, generator: Generator) -> Samples:
        response = _drawn(files, rate, generator)
        return reverberate(samples, response[int(np.abs(response).argmax()) :])  # from the direct sound on

    return change
