"""Pieces of a stream as they reach the server: checked before they are decoded, and decoded a second at a time."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from genre_app.ui.service import RequestError

MAX_PIECE_SECONDS = 30.0
"""Longest piece. A piece lasts 1 s; while the server is slow, the browser joins the pieces that wait."""

MAX_PIECE_BYTES = 30_000_000
"""Largest piece: 30 s of stereo at 96 kHz and 32 bits take 23 MB."""

_MAX_CHANNELS = 2  # of a microphone
_MIN_RATE, _MAX_RATE = 4000, 192000  # Hz; Chromium's AudioContext takes 3000 to 768000, sound cards at most 192000
_BLOCK_SECONDS = 1.0  # so a listener decodes at most 1.5 MB at once
_SUBTYPES = ("PCM", "FLOAT", "DOUBLE")  # nothing that needs a decoder: a crash of one would stop the server
_PIECE_NAME = "audio.wav"  # gradio's recorder gives this name to each piece
_CLOCK_SECONDS = 2.0  # the clock of a file system may be this much coarser than the system's (FAT)


def blocks(piece: Path) -> Iterator[tuple[NDArray[np.float32], int]]:
    """Yield the samples of a piece, mono float32 [n] of at most a second, and their rate in Hz.

    Raises
    ------
    FileNotFoundError
    RequestError
        If the piece is damaged, or larger than a recorder's pieces are. A length that the header states is checked before
        anything is decoded.
    """
    with piece.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > MAX_PIECE_BYTES:
            raise _refused(f"{size / 1e6:.0f} MB, more than {MAX_PIECE_BYTES / 1e6:.0f} MB")
        try:
            yield from _decoded(file)
        except soundfile.LibsndfileError as error:
            raise RequestError("A second of sound arrived damaged; stop and record again") from error


def _decoded(file: BinaryIO) -> Iterator[tuple[NDArray[np.float32], int]]:
    with soundfile.SoundFile(file) as sound:
        if not sound.format.startswith("WAV") or not sound.subtype.startswith(_SUBTYPES):
            raise _refused("another format than plain WAV")
        rate, channels = sound.samplerate, sound.channels
        if channels > _MAX_CHANNELS:
            raise _refused(f"{channels} channels, more than {_MAX_CHANNELS}")
        if not _MIN_RATE <= rate <= _MAX_RATE:
            raise _refused(f"a sample rate of {rate} Hz, outside {_MIN_RATE} to {_MAX_RATE} Hz")
        if sound.frames > MAX_PIECE_SECONDS * rate:
            raise _refused(f"sound that is longer than {MAX_PIECE_SECONDS:g} s")
        buffer = np.empty((round(_BLOCK_SECONDS * rate), channels), np.float32)
        while len(block := sound.read(out=buffer)):
            yield block.mean(axis=1), rate


def _refused(what: str) -> RequestError:
    return RequestError(f"A piece of the recording has {what}; stop and record with the button of this page")


class Files:
    """The files of a session's latest pieces; older ones are deleted.

    Nothing proves that a path in a request is a piece of this session: a forged one may be the upload of another visitor. So
    only files are deleted that have the name of a piece and that were written after the session began.
    """

    def __init__(self) -> None:
        self._began = time.time()
        self._paths: deque[Path] = deque()

    def add(self, path: Path) -> None:
        """Keep the path of a piece, to delete its file later."""
        with suppress(OSError):
            if path.name == _PIECE_NAME and path.stat().st_mtime >= self._began - _CLOCK_SECONDS:
                self._paths.append(path)

    def delete(self, keep: int = 0) -> None:
        """Delete all but the latest ``keep`` files; visitors who record the same sound share these files."""
        while len(self._paths) > keep:
            path = self._paths.popleft()
            if path not in self._paths:
                path.unlink(missing_ok=True)
                with suppress(OSError):
                    path.parent.rmdir()
