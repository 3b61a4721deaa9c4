"""Conditions made of a user's own noises and impulse responses; each track gets one of them, drawn by its name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.random import Generator

from genre_app.conditions.catalogue import SNR_DB, Change, Condition, noisy
from genre_app.conditions.level import Samples
from genre_app.conditions.room import reverberate

_SUFFIXES = frozenset({".aif", ".aiff", ".au", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".wav"})
_MAX_SECONDS = 300  # of a file that are read


def folder_conditions(
    noise: str | os.PathLike[str] | None = None, rooms: str | os.PathLike[str] | None = None
) -> dict[str, Condition]:
    """Return the conditions of a folder of noises and of a folder of impulse responses, by name.

    Parameters
    ----------
    noise, rooms : str or os.PathLike, optional
        Folders of WAV, FLAC, AIFF, Ogg, Opus or MP3 files, at any depth.

    Raises
    ------
    ValueError
        If a folder is missing, has no audio, or a file that cannot be read or is silent; one sentence.
    """
    found: list[Condition] = []
    if noise is not None:
        make = partial(_noise, _files(Path(noise), "noise"))
        found += [
            Condition(f"user-noise-{snr_db}", f"a noise of {noise} {snr_db} dB under the music", noisy(make, snr_db))
            for snr_db in SNR_DB
        ]
    if rooms is not None:
        found.append(Condition("user-room", f"an impulse response of {rooms}", _room(_files(Path(rooms), "impulse response"))))
    return {condition.name: condition for condition in found}


def _files(folder: Path, what: str) -> tuple[Path, ...]:
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; name one that holds each {what} as an audio file")
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in _SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
    if not found:
        raise ValueError(f"{folder} has no WAV, FLAC, AIFF, Ogg, Opus or MP3 file; put each {what} there")
    for path in found:
        _read(path, None)
    return tuple(found)


def _read(path: Path, rate: int | None) -> Samples:
    """Return the first minutes of a file as mono, at its own rate if none is given."""
    try:
        with soundfile.SoundFile(path) as file:
            samples = file.read(_MAX_SECONDS * file.samplerate, dtype="float32", always_2d=True).mean(axis=1)
            own_rate = file.samplerate
    except (soundfile.LibsndfileError, OSError) as error:
        raise ValueError(f"{path} cannot be read as audio; convert it to WAV or remove it") from error
    if not np.isfinite(samples).all() or not samples.any():
        raise ValueError(f"{path} holds no sound; remove it")
    return samples if rate is None else np.asarray(soxr.resample(samples, own_rate, rate), dtype=np.float32)


def _drawn(files: Sequence[Path], rate: int, generator: Generator) -> Samples:
    return _read(files[int(generator.integers(len(files)))], rate)


def _noise(files: Sequence[Path], n_samples: int, rate: int, generator: Generator) -> Samples:
    """One of the files from a random place, repeated as often as it takes."""
    samples = _drawn(files, rate, generator)
    start = int(generator.integers(len(samples)))
    return np.resize(np.roll(samples, -start), n_samples)


def _room(files: Sequence[Path]) -> Change:
    def change(samples: Samples, rate: int, generator: Generator) -> Samples:
        response = _drawn(files, rate, generator)
        return reverberate(samples, response[int(np.abs(response).argmax()) :])  # from the direct sound on

    return change
