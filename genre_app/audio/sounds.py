"""Folders of sounds for augmentation: background noises, and impulse responses of rooms."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genre_app.audio.clip import open_audio
from genre_app.audio.stream import AudioStream
from genre_app.errors import AudioError

_SUFFIXES = frozenset({".aif", ".aiff", ".au", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".wav"})
_MAX_SECONDS = 300.0  # of each sound; the rest is not read, which bounds memory


def sound_files(folder: Path, named: str, what: str) -> tuple[Path, ...]:
    """Return the audio files of a folder and of its subfolders, sorted by path.

    Parameters
    ----------
    folder : Path
    named : str
        Name of the folder in messages: the setting that names it.
    what : str
        Name of the sounds in messages, in the plural: "noises".

    Raises
    ------
    ValueError
        If the folder is missing or holds no sounds, or a sound cannot be read or begins with five silent minutes.
    """
    if not os.path.isdir(folder):  # noqa: PTH112 - Path.is_dir raises an error for a name that no folder can have
        raise ValueError(f"{named} {folder} is not a folder; name one that holds {what} as audio files")
    visible = (path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES and not path.name.startswith("."))
    found = sorted(path for path in visible if path.is_file())
    if not found:
        raise ValueError(f"{named} {folder} has no WAV, FLAC, AIFF, Ogg, Opus or MP3 file; put {what} there")
    for path in found:
        name = f"{path.relative_to(folder)} in {named}"
        with open_audio(path, name=name, min_seconds=0.0) as stream:
            if not any(block.any() for block in _beginning(stream)):
                raise AudioError(f"{name}: it is silent; remove it")
    return tuple(found)


def read_sound(path: Path, sample_rate: int) -> NDArray[np.float32]:
    """Return the first five minutes of a sound, mixed to mono and resampled, float32 [n].

    Raises
    ------
    AudioError
        If the file cannot be decoded.
    """
    with open_audio(path, sample_rate=sample_rate, min_seconds=0.0) as stream:
        return np.concatenate(list(_beginning(stream)))


def _beginning(stream: AudioStream) -> Iterator[NDArray[np.float32]]:
    """Yield the blocks of the first five minutes."""
    left = round(_MAX_SECONDS * stream.sample_rate)
    for block in stream.blocks():
        yield block[:left]
        left -= len(block)
        if left <= 0:
            return
