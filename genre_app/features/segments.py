"""Cut a clip into segments, from samples or from a stored spectrogram.

Networks with different segment lengths answer for the same *shared segments*, those of one specification. `own_starts` says
which of its own segments a network takes for a shared one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genre_app.features.held import Held
from genre_app.features.spec import FeatureSpec
from genre_app.features.spectrogram import finish

# Limits of a batch, so that memory is bounded for every spec: segments, values of their spectra, values of the model's input.
# The two numbers of values hold 32 segments of the default `FeatureSpec`.
_BATCH_SEGMENTS = 32
_BATCH_SPECTRUM_VALUES = 2_200_000
_BATCH_INPUT_VALUES = 280_000


def batch_size(spec: FeatureSpec) -> int:
    """Return the number of segments in a batch, which bounds its memory."""
    spectrum_values = spec.segment_frames * (1 + spec.n_fft // 2)
    input_values = spec.input_frames * spec.n_bins
    return max(1, min(_BATCH_SEGMENTS, _BATCH_SPECTRUM_VALUES // spectrum_values, _BATCH_INPUT_VALUES // input_values))


def segment_start_frames(n_frames: int, spec: FeatureSpec) -> list[int]:
    """Return the first frame of each segment of a clip of ``n_frames`` frames: evenly spaced, the last one right-aligned.

    A clip shorter than a segment gets one segment, which repeats the clip. Padding with silence instead would mislead a network
    that was trained on music.
    """
    last = max(0, n_frames - spec.segment_frames)
    return [*range(0, last, spec.segment_hop_frames), last]


def own_starts(frame: int, shared: FeatureSpec, spec: FeatureSpec, n_frames: int | None = None) -> list[int]:
    """Return the first frame of each segment of ``spec`` for the shared segment that starts at ``frame``.

    ``round(shared.segment_seconds / spec.segment_seconds)`` segments are evenly spaced over the shared one. A single one is
    centred on it, so a segment of the same length starts at the same time, to the nearest frame.

    Parameters
    ----------
    frame : int
        Frame of ``shared``.
    shared, spec : FeatureSpec
    n_frames : int, optional
        Number of frames of the clip by ``spec``; the segments are moved to lie within it. By default only its start counts.
    """
    n = max(1, round(shared.segment_seconds / spec.segment_seconds))
    spare = shared.segment_seconds - spec.segment_seconds
    offsets = [spare / 2] if n == 1 else [spare * place / (n - 1) for place in range(n)]
    starts = [max(0, round((shared.seconds(frame) + offset) * spec.sample_rate / spec.hop_length)) for offset in offsets]
    if n_frames is None:
        return starts
    last = max(0, n_frames - spec.segment_frames)
    return [min(start, last) for start in starts]


def is_complete(starts: list[int], spec: FeatureSpec, n_samples: int) -> bool:
    """Return whether the segments at the frames ``starts`` lie within the first ``n_samples``, with their context.

    A segment belongs to a clip if the centre of its last frame does. The context after that centre may arrive later.
    """
    return starts[-1] * spec.hop_length + spec.segment_samples + spec.n_fft - spec.n_fft // 2 <= n_samples


def first_needed(starts: list[int], shared: FeatureSpec, spec: FeatureSpec, n_samples: int) -> int:
    """Return the first sample of a stream of ``n_samples`` that is still needed if ``starts`` are the next segments.

    The stream may end at any time, and a right-aligned last shared segment then begins before the next one.
    """
    # The hops cover the rounding to frames.
    seconds = max(shared.segment_seconds, spec.segment_seconds) + shared.hop_length / shared.sample_rate
    reach = math.ceil(seconds * spec.sample_rate) + spec.n_fft + spec.hop_length
    return min(starts[0] * spec.hop_length - spec.n_fft // 2, n_samples - reach)


@dataclass(frozen=True)
class Segments:
    """A batch of segments of a clip, in the order of their starts.

    Attributes
    ----------
    start_frames : list of int
    samples : numpy.ndarray, float32 [s, segment_samples + n_fft]
        Each segment with the context that its outermost frames need: ``n_fft // 2`` samples before it, and the rest of
        ``n_fft`` after it; zeros beyond the clip. A clip shorter than a segment is repeated.
    """

    start_frames: list[int]
    samples: NDArray[np.float32]


class Cutter:
    """Cuts a stream of samples into batches of segments, with at most one batch in memory. Each segment is cut once.

    Parameters
    ----------
    spec : FeatureSpec
        Of the segments to cut; the samples have its sample rate.
    shared : FeatureSpec
        Of the shared segments; its ``segment_hop_seconds`` counts.
    batch_size : int
        Number of segments in a batch.
    """

    def __init__(self, spec: FeatureSpec, shared: FeatureSpec, *, batch_size: int) -> None:
        self._spec, self._shared, self._batch_size = spec, shared, batch_size
        self._held = Held(spec.n_fft // 2)
        self._frame = 0  # where the next shared segment starts
        self._cut: set[int] = set()
        self._waiting: list[tuple[int, NDArray[np.float32]]] = []

    @property
    def n_samples(self) -> int:
        """Number of samples so far."""
        return self._held.n_samples

    @property
    def n_frames(self) -> int:
        """Number of frames so far."""
        return 1 + self.n_samples // self._spec.hop_length

    def add(self, block: NDArray[np.float32]) -> Iterator[Segments]:
        """Take the next samples, float32 [n], and yield the batches that they complete; consume all of them."""
        spec = self._spec
        self._held.add(block)
        while is_complete(starts := own_starts(self._frame, self._shared, spec), spec, self.n_samples):
            self._take(starts)
            self._frame += self._shared.segment_hop_frames
            yield from self._batches(self._batch_size)
        self._held.drop_before(first_needed(starts, self._shared, spec, self.n_samples))

    def finish(self, shared_frames: list[int]) -> Iterator[Segments]:
        """Yield what is still missing for the shared segments of the whole clip, which start at ``shared_frames``."""
        n_frames = self.n_frames
        for frame in shared_frames:
            self._take(own_starts(frame, self._shared, self._spec, n_frames))
        yield from self._batches(1)

    def _take(self, starts: list[int]) -> None:
        for start in starts:
            if start not in self._cut:
                self._waiting.append((start, self._held.segment(start, self._spec)))
                self._cut.add(start)

    def _batches(self, least: int) -> Iterator[Segments]:
        while len(self._waiting) >= least:
            taken, self._waiting = self._waiting[: self._batch_size], self._waiting[self._batch_size :]
            taken.sort(key=lambda segment: segment[0])
            yield Segments([start for start, _ in taken], np.stack([samples for _, samples in taken]))


def split(blocks: Iterable[NDArray[np.float32]], spec: FeatureSpec, *, batch_size: int = 32) -> Iterator[Segments]:
    """Cut a stream of samples into batches of segments, with at most one batch in memory.

    Parameters
    ----------
    blocks : iterable of numpy.ndarray, float32 [n]
        Consecutive mono samples at ``spec.sample_rate``.
    spec : FeatureSpec
    batch_size : int
        Number of segments in a batch.

    Yields
    ------
    Segments
    """
    cutter = Cutter(spec, spec, batch_size=batch_size)
    for block in blocks:
        yield from cutter.add(block)
    yield from cutter.finish(segment_start_frames(cutter.n_frames, spec))


def cut_columns(columns: NDArray[np.floating], starts: list[int], spec: FeatureSpec) -> Tensor:
    """Cut a stored log-mel spectrogram into segments; their features equal those that `extract` computes from the audio.

    Parameters
    ----------
    columns : numpy.ndarray [frames, n_mels]
        dB re 1.0. A clip shorter than a segment is repeated.
    starts : list of int
        First frame of each segment.
    spec : FeatureSpec

    Returns
    -------
    Tensor, float32 [s, bins, segment_frames]

    Raises
    ------
    ValueError
        For the kind ``summary``, which cannot be computed from a log-mel spectrogram.
    """
    db = torch.from_numpy(np.ascontiguousarray(columns, dtype=np.float32)).T  # [n_mels, frames]
    if db.shape[1] < spec.segment_frames:
        db = db[:, torch.arange(spec.segment_frames) % db.shape[1]]
    return finish(torch.stack([db[:, start : start + spec.segment_frames] for start in starts]), spec)
