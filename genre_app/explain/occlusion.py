"""Find the cells that decide: remove each from the input of each network, and see how far the genres' probabilities fall.

Method
------
Each member of a checkpoint answers for segments of a few seconds. One band of one part of a segment is silenced at a time in
the member's log-mel columns, and the member answers again. Parts are about as long as the grid's moments. Parts of half this
length were no better (measured with tests.explain). The fall of a genre's log-odds is the importance of this part;
means over the segments and weighted means over the members give that for the clip. Log-odds still fall where a probability near
1 hardly does.

Occlusion needs no gradient, so it works with every network and every kind of features, and gives all genres at once.

References
----------
Zeiler and Fergus 2014, Visualizing and understanding convolutional networks. Robnik-Sikonja and Kononenko 2008, Explaining
classifications for individual instances (difference of log-odds).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genre_app.audio import Clip
from genre_app.audio.resample import Resamplers
from genre_app.checkpoint import Checkpoint, tempered
from genre_app.explain.grid import Grid
from genre_app.explain.masking import mask_samples
from genre_app.explain.threads import at_once
from genre_app.features import Cutter, FeatureSpec, batch_size, extract, finish, own_starts, split
from genre_app.features.segments import Segments
from genre_app.features.spectrogram import mel_edges
from genre_app.predict import NoSoundError, overlapped, sounding

MARKED_SHARE = 0.2
"""Share of the cells that is marked as decisive."""

_NAMED_SHARE = 0.6  # share of the marked importance that the bands named in words hold
_LEAST = 0.05  # share of the largest importance; less comes from sound that is too soft to hear
_CERTAIN = 1e-6  # distance of a probability from 0 and 1 at which its log-odds are limited
_SILENT_DB = -100.0  # least value of a log-mel column


@dataclass(frozen=True, eq=False)
class Explanation:
    """How much each cell of a clip contributes to each genre.

    Attributes
    ----------
    grid : Grid
    genres : tuple of str
    importance : numpy.ndarray, float64 [genres, bands, moments]
        Fall of the genre's log-odds without the cell; negative if they rise.
    """

    grid: Grid
    genres: tuple[str, ...]
    importance: NDArray[np.float64]

    def of(self, genre: str) -> NDArray[np.float64]:
        """Return the importance of the cells for a genre, float64 [bands, moments]."""
        return np.asarray(self.importance[self.genres.index(genre)])

    def marked(self, genre: str, share: float = MARKED_SHARE) -> NDArray[np.bool_]:
        """Return the most important cells for a genre, bool [bands, moments]: this share of all cells, or fewer.

        Cells with less than a twentieth of the largest importance are never marked.
        """
        importance = self.of(genre)
        chosen = np.zeros(importance.size, np.bool_)
        chosen[np.argsort(-importance, axis=None, kind="stable")[: round(share * importance.size)]] = True
        large: NDArray[np.bool_] = importance > _LEAST * max(0.0, float(importance.max()))
        return chosen.reshape(importance.shape) & large

    def bands(self, genre: str) -> list[tuple[float, float]]:
        """Return the edges in Hz of the bands that hold most of the marked importance; neighbours are joined."""
        by_band = self._marked_importance(genre).sum(axis=1)
        if not by_band.any():
            return []
        order = np.argsort(-by_band, kind="stable")
        n = 1 + int(np.searchsorted(np.cumsum(by_band[order]), _NAMED_SHARE * by_band.sum()))
        chosen = np.sort(order[:n])
        neighbours = np.split(chosen, np.flatnonzero(np.diff(chosen) > 1) + 1)
        edges = self.grid.bands_hz.tolist()
        return [(edges[group[0]], edges[group[-1] + 1]) for group in neighbours]

    def moment(self, genre: str) -> tuple[float, float]:
        """Return start and end in seconds of the moment with the largest marked importance."""
        place = int(self._marked_importance(genre).sum(axis=0).argmax())
        return float(self.grid.times[place]), float(self.grid.times[place + 1])

    def _marked_importance(self, genre: str) -> NDArray[np.float64]:
        return np.where(self.marked(genre), self.of(genre), 0.0)


def explain(clip: Clip, checkpoint: Checkpoint) -> Explanation:
    """Find the bands and moments that decide the answer for a clip.

    The work grows with the length of the clip: 30 s take about 2 s on two cores.

    Parameters
    ----------
    clip : Clip
        At ``checkpoint.sample_rate``.
    checkpoint : Checkpoint

    Returns
    -------
    Explanation

    Raises
    ------
    NoSoundError
        If the clip is silent.
    CheckpointError
        If the network's output is not finite.
    ValueError
        For another sample rate.
    """
    if clip.sample_rate != checkpoint.sample_rate:
        raise ValueError(f"{clip.name} has {clip.sample_rate} Hz, {checkpoint.name} needs {checkpoint.sample_rate} Hz")
    grid = Grid.over(clip.duration_seconds, max(member.spec.fmax for member in checkpoint.members))
    importance = np.zeros((len(checkpoint.genres), *grid.shape))
    for batch in _batches(clip, checkpoint):
        for falls in at_once(partial(_occlude_band, batch, grid), _bands(batch, grid)):
            importance += falls
    return Explanation(grid, checkpoint.genres, importance)


class _Batch:
    """Segments of one member, and their share in the clip's answer.

    Parameters
    ----------
    checkpoint : Checkpoint
    index : int
        Of the member.
    segments : Segments
    weights : numpy.ndarray, float64 [s]
        Shares of the segments in the clip's answer.
    """

    def __init__(self, checkpoint: Checkpoint, index: int, segments: Segments, weights: NDArray[np.float64]) -> None:
        self._checkpoint, self._index = checkpoint, index
        self.spec = checkpoint.members[index].spec
        self.starts = np.array([self.spec.seconds(frame) for frame in segments.start_frames])
        self.weights = weights
        self.samples = torch.from_numpy(segments.samples).to(checkpoint.device)
        if self.spec.kind == "summary":  # which is no function of log-mel columns
            self.log_odds = self.answer(extract(self.samples, self.spec, padded=True))
        else:
            self.columns = extract(self.samples, self.spec.columns, padded=True)
            self.log_odds = self.answer(finish(self.columns, self.spec))

    def answer(self, features: Tensor) -> NDArray[np.float64]:
        """Return the member's log-odds [s, g], at the temperature at which its probabilities are joined with the others'."""
        rows = self._checkpoint.probabilities(features, self._index).astype(np.float64)
        p = np.clip(tempered(rows, self._checkpoint.members[self._index].temperature), _CERTAIN, 1.0 - _CERTAIN)
        return np.log(p / (1.0 - p))


def _batches(clip: Clip, checkpoint: Checkpoint) -> Iterator[_Batch]:
    """Yield the segments of each member that count in the clip's answer."""
    shared = checkpoint.spec
    if shared.segment_hop_seconds < shared.segment_seconds / 2:  # more overlap would only repeat the work
        shared = overlapped(shared, 0.5)
    resamplers = Resamplers(clip.sample_rate, {shared.sample_rate, *(member.spec.sample_rate for member in checkpoint.members)})
    samples = resamplers.add(clip.samples, last=True)
    frames = _sounding_frames(samples[shared.sample_rate], shared)
    if not frames:
        raise NoSoundError(f"{clip.name}: there is nothing to explain, the whole clip is silent")
    for index, member in enumerate(checkpoint.members):
        spec, own = member.spec, samples[member.spec.sample_rate]
        n_frames = 1 + len(own) // spec.hop_length
        counts = Counter(start for frame in frames for start in own_starts(frame, shared, spec, n_frames))
        cutter = Cutter(spec, shared, batch_size=batch_size(spec))
        for batch in (*cutter.add(own), *cutter.finish(frames)):
            weights = member.weight * np.array([counts[start] for start in batch.start_frames]) / counts.total()
            places = np.flatnonzero(weights)
            if len(places):
                kept = Segments([batch.start_frames[place] for place in places], batch.samples[places])
                yield _Batch(checkpoint, index, kept, weights[places])


def _sounding_frames(samples: NDArray[np.float32], spec: FeatureSpec) -> list[int]:
    """Return the first frames of the segments that are not silent."""
    half, width = spec.n_fft // 2, max(1, min(spec.segment_samples, len(samples)))
    return [
        start
        for batch in split([samples], spec, batch_size=batch_size(spec))
        for start, sounds in zip(batch.start_frames, sounding(batch.samples[:, half : half + width]), strict=True)
        if sounds
    ]


def _bands(batch: _Batch, grid: Grid) -> list[int]:
    """Return the bands that the member sees."""
    low, high = grid.bands_hz[:-1], grid.bands_hz[1:]
    return list(np.flatnonzero((low < batch.spec.fmax) & (high > batch.spec.fmin)))


def _occlude_band(batch: _Batch, grid: Grid, band: int) -> NDArray[np.float64]:
    """Silence a band in each part of the segments; return the falls of the log-odds [g, bands, moments]."""
    spec = batch.spec
    importance = np.zeros((batch.log_odds.shape[1], *grid.shape))
    # A clip shorter than a segment is repeated in it: silence all repetitions.
    parts = max(1, round(spec.segment_seconds / grid.moment_seconds)) if grid.times[-1] >= spec.segment_seconds else 1
    edges = np.linspace(0.0, spec.segment_seconds, parts + 1)
    for start, end in pairwise(edges.tolist()):
        falls = batch.log_odds - batch.answer(_silenced(batch, grid, band, start, end))
        overlaps = _overlaps(batch.starts + start, batch.starts + end, grid.times)  # [s, moments]
        importance[:, band] += (falls * batch.weights[:, None]).T @ overlaps
    return importance


def _silenced(batch: _Batch, grid: Grid, band: int, start: float, end: float) -> Tensor:
    """Return the features of the segments without a band from ``start`` to ``end`` seconds after each segment's start."""
    spec = batch.spec
    if spec.kind == "summary":
        half = spec.n_fft // 2
        times = np.array([0.0, start, end, np.inf])
        mask = np.ones((grid.shape[0], 3), np.bool_)
        mask[band, 1] = False
        samples = mask_samples(batch.samples, spec.sample_rate, Grid(grid.bands_hz, times), mask, -half / spec.sample_rate)
        return extract(samples, spec, padded=True)
    rows = torch.from_numpy(grid.bands_of(mel_edges(spec)[1:-1]) == band)
    seconds = np.arange(batch.columns.shape[2]) * spec.hop_length / spec.sample_rate
    frames = torch.from_numpy((seconds >= start) & (seconds < end if end < spec.segment_seconds else True))
    cells = (rows[:, None] & frames).to(batch.columns.device)
    return finish(batch.columns.masked_fill(cells, _SILENT_DB), spec)


def _overlaps(starts: NDArray[np.float64], ends: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return which share of each stretch from ``starts`` to ``ends`` [s] lies in each moment, float64 [s, moments]."""
    starts, ends = np.minimum(starts, times[-1]), np.minimum(ends, times[-1])
    shared = np.minimum(ends[:, None], times[1:]) - np.maximum(starts[:, None], times[:-1])
    shared = np.maximum(shared, 0.0)
    return np.asarray(shared / np.maximum(shared.sum(axis=1, keepdims=True), 1e-9))
