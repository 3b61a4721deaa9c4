"""Streams: audio that is decoded, mixed to mono and resampled block by block while it is consumed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager
from itertools import groupby
from operator import itemgetter
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from genre_app.audio.base import Decoder
from genre_app.audio.resample import Resamplers
from genre_app.errors import AudioError

MIN_SECONDS = 0.5
"""Shorter audio is refused: it holds too little music to classify."""

_MIN_RATE, _MAX_RATE = 4000, 384000  # Hz: the lowest rate of a `FeatureSpec`, the highest of audio interfaces
_MAX_LEVEL = 1e6  # relative to full scale; the power spectrum of higher levels can overflow float32

# A clipped waveform stays at full scale for several samples; the peaks of a limited master do not. Codecs ripple clipped
# peaks, so levels slightly above full scale count too. Levels far above it come from float files, which are not clipped.
_FULL_SCALE = (32767 / 32768, 1.05)
_CLIPPED_RUN = 4  # samples
# Share of clipped samples, measured on synthesised music. Clipped by 6 dB: 0.007 to 0.07; by 9 dB and then coded as MP3 or
# Vorbis: 0.006 or more. Limited to full scale: 0; by 6 dB and then coded: up to 0.0012.
_CLIPPED_SHARE = 0.005


class AudioStream(AbstractContextManager["AudioStream"]):
    """Audio that is decoded while it is consumed; a context manager, made by `genre_app.audio.open_audio`.

    Attributes
    ----------
    sample_rate : int
        Hz, of the samples that `blocks` yields.
    name : str
        Name of the file in messages.
    n_samples : int
        Number of samples yielded so far.
    """

    def __init__(self, sample_rate: int, name: str) -> None:
        self.sample_rate, self.name, self.n_samples = sample_rate, name, 0
        self._warnings: list[str] = []
        self._blocks = self._decoded()

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the file; no blocks come after that."""
        self._blocks.close()  # first, because a closed decoder must not be asked for blocks
        self._release()

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings for the user, such as clipping; complete once the blocks are consumed."""
        return tuple(self._warnings)

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Return an iterator over consecutive mono samples, float32 [n]; it can be consumed once.

        Raises
        ------
        AudioError
            If the audio holds no samples, is shorter than ``min_seconds`` or longer than ``max_seconds``, or has values that
            are not finite or far beyond full scale.
        """
        return self._blocks

    @abstractmethod
    def _decoded(self) -> Generator[NDArray[np.float32], None, None]: ...

    @abstractmethod
    def _release(self) -> None: ...


class DecodedStream(AudioStream):
    """A stream that this process decodes.

    Parameters
    ----------
    decoder : Decoder
    sample_rate, name, min_seconds, max_seconds
        As in `genre_app.audio.open_audio`.
    file : BinaryIO, optional
        The file that the decoder reads; closed with the stream.
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
        super().__init__(sample_rate, name)
        self._decoder, self._file = decoder, file
        self._min_seconds, self._max_seconds = min_seconds, max_seconds
        self._clipping = _Clipping()

    def _release(self) -> None:
        self._decoder.close()
        if self._file is not None:
            self._file.close()

    def _decoded(self) -> Generator[NDArray[np.float32], None, None]:
        for rate, blocks in groupby(self._decoder.blocks(), key=itemgetter(0)):  # the rate may change within a file
            if not _MIN_RATE <= rate <= _MAX_RATE:
                raise AudioError(f"{self.name}: a sample rate of {rate} Hz is not supported; convert it to 44100 Hz")
            resampler = Resamplers(rate, [self.sample_rate])
            for _, block in blocks:
                mono = _mix(block)
                self._check(mono)
                self._clipping.add(block)
                yield from self._counted(resampler.add(mono)[self.sample_rate])
            yield from self._counted(resampler.finish()[self.sample_rate])
        self._finish()

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
            limit = _duration(self._max_seconds)
            raise AudioError(f"{self.name}: the audio is longer than {limit}; cut it into shorter pieces")
        if len(samples):
            yield samples

    def _finish(self) -> None:
        seconds = self.n_samples / self.sample_rate
        if not self.n_samples:
            what = "the file is damaged or was cut short" if self._decoder.damaged else "the file holds no audio samples"
            raise AudioError(f"{self.name}: {what}; choose another file")
        if seconds < self._min_seconds:
            raise AudioError(f"{self.name}: {seconds:.2f} s is too short; at least {self._min_seconds:g} s is needed")
        if self._decoder.damaged:
            claimed = self._decoder.claimed_seconds or 0.0
            extent = f"{seconds:.1f} s" + (f" of {claimed:.1f} s" if claimed > seconds + 0.1 else "")
            self._warnings.append(f"decoded only in part ({extent}): the file is damaged or was cut short")
        if self._clipping.share > _CLIPPED_SHARE:
            self._warnings.append(f"clipped: {self._clipping.share:.1%} of the samples are cut off at full scale")


class _Clipping:
    """Share of clipped samples: at full scale, after at least three others at full scale with the same sign and channel."""

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
            return  # the usual case, which copies nothing
        block = np.concatenate([before, block])
        for at_full_scale in ((block >= low) & (block <= high), (block <= -low) & (block >= -high)):
            run = at_full_scale[kept:].copy()
            for shift in range(kept):
                run &= at_full_scale[shift : len(block) - kept + shift]
            self._n_clipped += int(np.count_nonzero(run))


def _mix(block: NDArray[np.float32]) -> NDArray[np.float32]:
    if block.shape[1] == 1:
        return block[:, 0].copy()
    with np.errstate(invalid="ignore", over="ignore"):  # `AudioStream._check` refuses infinities afterwards
        mono = block[:, 0] + block[:, 1]
        for channel in range(2, block.shape[1]):
            mono += block[:, channel]
    mono /= np.float32(block.shape[1])
    return mono


def _duration(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
