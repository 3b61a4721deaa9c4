"""Clips, and the functions that open an audio file as a stream or load it as a clip."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from genre_app.audio import apart
from genre_app.audio.decode import open_decoder
from genre_app.audio.stream import MIN_SECONDS, AudioStream, DecodedStream
from genre_app.errors import AudioError

AudioSource = str | os.PathLike[str] | BinaryIO | bytes
_MAX_NAME_LENGTH = 120  # letters of a file's name that messages show


@dataclass(frozen=True, eq=False)
class Clip:
    """A decoded track or recording.

    Attributes
    ----------
    samples : numpy.ndarray, float32 [n]
        Mono, full scale 1.0.
    sample_rate : int
        Hz.
    name : str
        Name of the file, without its folder.
    warnings : tuple of str
        Warnings for the user, such as clipping or a damaged file.
    """

    samples: NDArray[np.float32]
    sample_rate: int
    name: str = "clip"
    warnings: tuple[str, ...] = ()

    @property
    def duration_seconds(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate

    def middle(self, seconds: float) -> Clip:
        """Return ``seconds`` from the middle of the clip; all of it if it is shorter."""
        n_kept = round(min(seconds * self.sample_rate, len(self.samples)))  # min first, since seconds may be infinite
        start = (len(self.samples) - n_kept) // 2
        return replace(self, samples=self.samples[start : start + n_kept])

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield all samples at once, so that a clip can be used like an `AudioStream`."""
        yield self.samples


def open_audio(
    source: AudioSource,
    *,
    sample_rate: int = 22050,
    name: str | None = None,
    min_seconds: float = MIN_SECONDS,
    max_seconds: float | None = None,
) -> AudioStream:
    """Open an audio file, or the sound of a video, as a stream.

    Parameters
    ----------
    source : str, os.PathLike, BinaryIO or bytes
        A path, a seekable file object, or the content of a file.
    sample_rate : int
        Hz, of the samples that the stream yields.
    name : str, optional
        Name of the file in messages; by default its own, without the folder.
    min_seconds : float
        Refuse shorter audio, once it is decoded.
    max_seconds : float, optional
        Refuse longer audio, as soon as this much is decoded.

    Returns
    -------
    AudioStream

    Raises
    ------
    AudioError
        If the source is missing, empty, a folder, not readable, or holds no audio that can be decoded.
    """
    if isinstance(source, os.PathLike):
        source = os.fspath(source)
    shown = _display_name(source, name)
    if isinstance(source, bytes):
        source = io.BytesIO(source)
    elif not isinstance(source, str) and not source.seekable():
        raise AudioError(f"{shown}: this stream cannot go back; save it to a file, or read it into memory, first")
    workers = apart.running()
    if workers is not None and isinstance(source, str):
        return workers.open(source, shown, sample_rate=sample_rate, min_seconds=min_seconds, max_seconds=max_seconds)
    decoder, file = open_decoder(source, shown)
    return DecodedStream(decoder, sample_rate, shown, max_seconds, file, min_seconds)


def load_clip(
    source: AudioSource, *, sample_rate: int = 22050, name: str | None = None, max_seconds: float | None = None
) -> Clip:
    """Decode a whole audio file; parameters as in `open_audio`.

    Returns
    -------
    Clip

    Raises
    ------
    AudioError
        As `open_audio` and `AudioStream.blocks`.
    """
    with open_audio(source, sample_rate=sample_rate, name=name, max_seconds=max_seconds) as stream:
        blocks = list(stream.blocks())
        samples = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)  # a single block needs no copy
        return Clip(samples, sample_rate, stream.name, stream.warnings)


def _display_name(source: object, name: str | None) -> str:
    if name is None:
        name = source if isinstance(source, str) else getattr(source, "name", None)
    if not isinstance(name, str):
        return "clip"
    base = Path(name).name or name or "clip"
    return "".join(c if c.isprintable() else "?" for c in base)[:_MAX_NAME_LENGTH]
