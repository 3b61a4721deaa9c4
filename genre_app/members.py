"""Compute the probabilities of a checkpoint's members for the same segments of a clip.

The first member's specification sets the segments. Another member takes segments of its own for each of them, see
`genre_app.features.own_starts`, and gives their mean.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genre_app.checkpoint import Checkpoint
from genre_app.errors import AudioError
from genre_app.features import Cutter, FeatureSpec, batch_size, cut_columns, extract, own_starts
from genre_app.features.segments import Segments

SILENT_PEAK = 1e-3
"""-60 dBFS. A quiet take (-50 dBFS RMS) peaks far above it; the noise of a silent sound card stays far below."""


class MemberStream:
    """Probabilities of one member for a stream of samples.

    Parameters
    ----------
    checkpoint : Checkpoint
    index : int
        Of the member.
    shared : FeatureSpec
        Of the segments: that of the checkpoint, perhaps with another overlap.
    name : str
        Name of the clip in messages.
    """

    def __init__(self, checkpoint: Checkpoint, index: int, shared: FeatureSpec, name: str) -> None:
        self._checkpoint, self._index, self._shared, self._name = checkpoint, index, shared, name
        self._spec = checkpoint.members[index].spec
        self._cutter = Cutter(self._spec, shared, batch_size=batch_size(self._spec))
        self._starts: list[int] = []
        self._peaks: list[NDArray[np.float32]] = []
        self._rows: list[NDArray[np.float32]] = []

    @property
    def sample_rate(self) -> int:
        """Rate of the samples, Hz."""
        return self._spec.sample_rate

    @property
    def n_frames(self) -> int:
        """Number of frames so far, by the member's specification."""
        return self._cutter.n_frames

    @property
    def peaks(self) -> NDArray[np.float32]:
        """Peak of each segment of the member, in the order of their evaluation [n]."""
        return np.concatenate(self._peaks)

    def add(self, block: NDArray[np.float32]) -> None:
        """Process the next samples, float32 [n].

        Raises
        ------
        AudioError
            If they are not finite.
        CheckpointError
            If the network's output is not finite.
        """
        for segments in self._cutter.add(block):
            self._evaluate(segments)

    def finish(self, shared_frames: list[int]) -> NDArray[np.float32]:
        """Return the probabilities [s, g] of the segments of the whole clip, which start at ``shared_frames``."""
        return segment_means(*self.finish_rows(shared_frames))

    def finish_rows(self, shared_frames: list[int]) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        """Return the probabilities [n, g] of the member's own segments, and the places [s, k] of each shared segment's own."""
        for segments in self._cutter.finish(shared_frames):
            self._evaluate(segments)
        own = [own_starts(frame, self._shared, self._spec, self.n_frames) for frame in shared_frames]
        return np.concatenate(self._rows), places_of(self._starts, own)

    def _evaluate(self, segments: Segments) -> None:
        half = self._spec.n_fft // 2
        # Without the context at both ends; of a clip shorter than a segment, without its repetitions.
        width = max(1, min(self._spec.segment_samples, self._cutter.n_samples))
        self._peaks.append(peaks(segments.samples[:, half : half + width]))
        if not np.isfinite(self._peaks[-1]).all():
            raise AudioError(f"{self._name}: some samples are not numbers (NaN or infinite); export the audio again")
        self._starts += segments.start_frames
        features = segment_features(segments, self._spec, self._checkpoint.device)
        self._rows.append(self._checkpoint.probabilities(features, self._index))


def places_of(starts: list[int], own: list[list[int]]) -> NDArray[np.intp]:
    """Return the places [s, k] in ``starts`` of the ``k`` first frames that each of ``s`` shared segments has in ``own``."""
    place_of = {start: place for place, start in enumerate(starts)}
    return np.array([[place_of[start] for start in group] for group in own])


def segment_means(rows: NDArray[np.float32], places: NDArray[np.intp]) -> NDArray[np.float32]:
    """Return the mean [s, g] over each shared segment's own segments, at ``places`` [s, k] of the member's ``rows`` [n, g]."""
    chosen = rows[places]  # [s, k, g]
    return chosen[:, 0] if chosen.shape[1] == 1 else np.asarray(chosen.mean(axis=1))


def segment_features(segments: Segments, spec: FeatureSpec, device: torch.device) -> Tensor:
    """Compute the features [s, bins, frames] of a batch; columns shared by overlapping segments are computed once."""
    starts, hop = segments.start_frames, spec.hop_length
    overlap = all(b - a < spec.segment_frames for a, b in pairwise(starts))
    if not overlap or spec.kind == "summary":
        return extract(torch.from_numpy(segments.samples).to(device), spec, padded=True)
    offsets = [start - starts[0] for start in starts]
    width = segments.samples.shape[1]
    joined = np.empty((1, offsets[-1] * hop + width), np.float32)
    for offset, samples in zip(offsets, segments.samples, strict=True):
        joined[0, offset * hop : offset * hop + width] = samples
    # Columns as in a mel cache. `cut_columns` then applies reference, floor and kind to each segment by itself.
    columns = extract(torch.from_numpy(joined).to(device), spec.columns, padded=True)[0].T  # [frames, n_mels]
    return cut_columns(columns.cpu().numpy(), offsets, spec)


def peaks(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the largest distance of each row of ``samples`` from its mean: a constant offset is not sound."""
    middle = samples.mean(axis=1)
    return np.asarray(np.maximum(samples.max(axis=1) - middle, middle - samples.min(axis=1)))
