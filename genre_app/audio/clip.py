"""Clips, and streams of samples on their way to a model."""

from __future__ import annotations

import io
import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import soxr
from numpy.typing import ArrayLike, NDArray

from genre_app.audio.base import Decoder, full_scale
from genre_app.audio.decode import open_decoder
from genre_app.errors import AudioError

MIN_SECONDS = 0.5  # less is refused: it holds no music to tell a genre from
_RATES = (4000, 384000)  # Hz
_MAX_LEVEL = 1e6  # beyond, the spectrum's power leaves float32

# Clipping is where a waveform stays at full scale: in runs, as tops that were cut off do and the peaks of a loud but limited
# master do not. Codecs let cut-off tops ripple, so a little beyond counts; what lies far beyond is a float mix, not clipped.
_FULL_SCALE = (32767 / 32768, 1.05)
_CLIPPED_RUN = 4  # samples
# Measured on synthesised music: clipped by 6 dB 0.007 to 0.07, the same by 9 dB as MP3 or Vorbis from 0.006 on; pressed against
# full scale by a limiter none, or up to 0.0012 (by 6 dB) after these codecs.
_CLIPPED_SHARE = 0.005


@dataclass(frozen=True, eq=False)
class Clip:
    """A decoded track or take.

    Attributes
    ----------
    samples : numpy.ndarray, float32 [n]
        Mono, full scale 1.0.
    sample_rate : int
        Hz.
    name : str
        Of the file, without its folder.
    warnings : tuple of str
        What the listener should know: clipped, decoded only in part.
    """

    samples: NDArray[np.float32]
    sample_rate: int
    name: str = "clip"
    warnings: tuple[str, ...] = ()

    @property
    def duration_seconds(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield the samples, all at once; the same protocol as an `AudioStream`."""
        yield self.samples


class AudioStream:
    """Audio that is decoded, mixed to mono and resampled while it is consumed; a context manager, made by `open_audio`.

    Attributes
    ----------
    sample_rate : int
        Hz, of the samples that `blocks` yields.
    name : str
    n_samples : int
        Yielded so far.
    """

    def __init__(
        self,
        decoder: Decoder,
        sample_rate: int,
        name: str,
        max_seconds: float | None,
        file: BinaryIO | None = None,
        min_seconds: float = MIN_SECONDS,
    ) -> None:
        self.sample_rate, self.name, self.n_samples = sample_rate, name, 0
        self._decoder, self._file = decoder, file
        self._min_seconds, self._max_seconds = min_seconds, max_seconds
        self._clipping = _Clipping()
        self._warnings: list[str] = []
        self._blocks = self._decoded()

    def __enter__(self) -> AudioStream:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Release the file; no blocks come after that."""
        self._blocks.close()  # first: a decoder must not be asked for more once it is closed
        self._decoder.close()
        if self._file is not None:
            self._file.close()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the listener should know; complete once the blocks are consumed."""
        return tuple(self._warnings)

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Return an iterator over consecutive mono samples, float32 [n]; it can be consumed once.

        Raises
        ------
        AudioError
            If the audio holds no samples, less than ``min_seconds`` of them, more than ``max_seconds``, or values that are not
            finite or far beyond full scale.
        """
        return self._blocks

    def _decoded(self) -> Generator[NDArray[np.float32], None, None]:
        resampler: soxr.ResampleStream | None = None
        current = 0
        for rate, block in self._decoder.blocks():
            if rate != current:
                if resampler is not None:
                    yield from self._counted(resampler.resample_chunk(np.empty(0, np.float32), last=True))
                resampler, current = self._resampler(rate), rate
            mono = _mix(block)
            self._check(mono)
            self._clipping.add(block)
            yield from self._counted(mono if resampler is None else resampler.resample_chunk(mono))
        if resampler is not None:
            yield from self._counted(resampler.resample_chunk(np.empty(0, np.float32), last=True))
        self._finish()

    def _resampler(self, rate: int) -> soxr.ResampleStream | None:
        if not _RATES[0] <= rate <= _RATES[1]:
            raise AudioError(f"{self.name}: a sample rate of {rate} Hz is not supported; convert it to 44100 Hz")
        if rate == self.sample_rate:
            return None
        # From 44.1 kHz "HQ" errs by -136 dB in the pass band. "LQ" would save 2 % of decoding and lose the band from 9 kHz on.
        return soxr.ResampleStream(rate, self.sample_rate, 1, "float32", "HQ")

    def _check(self, mono: NDArray[np.float32]) -> None:
        with np.errstate(over="ignore", invalid="ignore"):
            total = mono.sum()  # finite only if all terms are
        if not np.isfinite(total) and not np.isfinite(mono).all():
            raise AudioError(f"{self.name}: some samples are not numbers (NaN or infinite); export the audio again")
        if len(mono) and max(float(mono.max()), -float(mono.min())) > _MAX_LEVEL:
            raise AudioError(f"{self.name}: the samples lie far beyond full scale; scale them to between -1 and 1")

    def _counted(self, samples: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        self.n_samples += len(samples)
        if self._max_seconds is not None and self.n_samples > self._max_seconds * self.sample_rate:
            raise AudioError(f"{self.name}: the audio is longer than {_spoken(self._max_seconds)}; cut it into shorter pieces")
        if len(samples):
            yield samples

    def _finish(self) -> None:
        seconds = self.n_samples / self.sample_rate
        if not self.n_samples:
            what = "the file is damaged or was cut short" if self._decoder.damaged else "the file holds no audio samples"
            raise AudioError(f"{self.name}: {what}; choose another file")
        if seconds < self._min_seconds:
            raise AudioError(f"{self.name}: {seconds:.2f} s of audio are too few; give at least {self._min_seconds} s")
        if self._decoder.damaged:
            claimed = self._decoder.claimed_seconds or 0.0
            extent = f"{seconds:.1f} s" + (f" of {claimed:.1f} s" if claimed > seconds + 0.1 else "")
            self._warnings.append(f"decoded only in part ({extent}): the file is damaged or was cut short")
        if self._clipping.share > _CLIPPED_SHARE:
            self._warnings.append(f"clipped: {self._clipping.share:.1%} of the samples are cut off at full scale")


class _Clipping:
    """Share of samples that stand at full scale after at least three others that do, of the same sign and channel."""

    def __init__(self) -> None:
        self._tail: NDArray[np.float32] | None = None
        self._n_clipped = self._n_values = 0

    @property
    def share(self) -> float:
        return self._n_clipped / max(1, self._n_values)

    def add(self, block: NDArray[np.float32]) -> None:
        self._n_values += block.size
        before, kept = self._tail, _CLIPPED_RUN - 1
        if before is None or before.shape[1] != block.shape[1]:
            before = np.zeros((kept, block.shape[1]), np.float32)
        self._tail = np.concatenate([before, block[-kept:]])[-kept:]
        low, high = _FULL_SCALE
        if not len(block) or max(float(block.max()), -float(block.min())) < low:
            return  # as nearly always, and then nothing of the block's size is copied
        block = np.concatenate([before, block])
        for at_full_scale in ((block >= low) & (block <= high), (block <= -low) & (block >= -high)):
            run = at_full_scale[kept:].copy()
            for shift in range(kept):
                run &= at_full_scale[shift : len(block) - kept + shift]
            self._n_clipped += int(np.count_nonzero(run))


def _mix(block: NDArray[np.float32]) -> NDArray[np.float32]:
    if block.shape[1] == 1:
        return block[:, 0].copy()
    with np.errstate(invalid="ignore", over="ignore"):  # infinities are for the check that follows
        mono = block[:, 0] + block[:, 1]
        for channel in range(2, block.shape[1]):
            mono += block[:, channel]
    mono /= np.float32(block.shape[1])
    return mono


def _spoken(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def _display_name(source: object, name: str | None) -> str:
    if name is None:
        name = source if isinstance(source, str) else getattr(source, "name", None)
    if not isinstance(name, str):
        return "clip"
    base = Path(name).name or name
    return "".join(c if c.isprintable() else "?" for c in base)[:120]


def open_audio(
    source: str | os.PathLike[str] | BinaryIO | bytes,
    *,
    sample_rate: int = 22050,
    name: str | None = None,
    min_seconds: float = MIN_SECONDS,
    max_seconds: float | None = None,
) -> AudioStream:
    """Open an audio file, or the sound of a video, for streamed decoding.

    Parameters
    ----------
    source : str, os.PathLike, BinaryIO or bytes
        A path, a file object that can seek, or the file's content.
    sample_rate : int
        Hz, of the samples wanted.
    name : str, optional
        What messages call the file; by default its name without the folder.
    min_seconds : float
        Refuse shorter audio, once it is decoded.
    max_seconds : float, optional
        Refuse longer audio, as soon as that much is decoded.

    Returns
    -------
    AudioStream

    Raises
    ------
    AudioError
        If the source is missing, empty, a folder, may not be read, or holds no audio that can be decoded.
    """
    if isinstance(source, os.PathLike):
        source = os.fspath(source)
    shown = _display_name(source, name)
    if isinstance(source, bytes):
        source = io.BytesIO(source)
    elif not isinstance(source, str) and not source.seekable():
        raise AudioError(f"{shown}: this stream cannot go back; save it to a file, or read it into memory, first")
    decoder, file = open_decoder(source, shown)
    return AudioStream(decoder, sample_rate, shown, max_seconds, file, min_seconds)


def load_clip(
    source: str | os.PathLike[str] | BinaryIO | bytes,
    *,
    sample_rate: int = 22050,
    name: str | None = None,
    max_seconds: float | None = None,
) -> Clip:
    """Decode a whole audio file; parameters and errors as those of `open_audio` and `AudioStream.blocks`.

    Returns
    -------
    Clip
    """
    with open_audio(source, sample_rate=sample_rate, name=name, max_seconds=max_seconds) as stream:
        blocks = list(stream.blocks())
        samples = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
        return Clip(samples, sample_rate, stream.name, stream.warnings)


class _ArrayDecoder:
    damaged = False
    claimed_seconds: float | None = None

    def __init__(self, samples: NDArray[np.float32], sample_rate: int) -> None:
        self._samples, self._sample_rate = samples, sample_rate

    def blocks(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        yield self._sample_rate, self._samples

    def close(self) -> None:
        pass


def clip_from_array(samples: ArrayLike, sample_rate: int, *, target_sample_rate: int = 22050, name: str = "clip") -> Clip:
    """Make a clip from samples in memory.

    Parameters
    ----------
    samples : array_like [n] or [n, channels]
        Integers of any width at their full scale, or floats at 1.0.
    sample_rate : int
        Hz, of ``samples``.
    target_sample_rate : int
        Hz, of the clip.
    name : str
        What messages call it.

    Returns
    -------
    Clip

    Raises
    ------
    AudioError
        If the array has another shape or type, and as `AudioStream.blocks`.
    """
    values: NDArray[Any] = np.asarray(samples)
    if values.ndim not in (1, 2) or values.shape[1:] == (0,) or values.dtype.kind not in "iuf":
        raise AudioError(f"{name}: samples must be numbers [n] or [n, channels], got {values.dtype} {list(values.shape)}")
    decoder = _ArrayDecoder(full_scale(values[:, None] if values.ndim == 1 else values), sample_rate)
    stream = AudioStream(decoder, target_sample_rate, _display_name(None, name), None)
    blocks = list(stream.blocks())
    return Clip(np.concatenate(blocks), target_sample_rate, stream.name, stream.warnings)
