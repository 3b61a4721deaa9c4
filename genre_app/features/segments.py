"""Cut a clip into segments, from samples or from a stored spectrogram."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genre_app.features.spec import FeatureSpec
from genre_app.features.spectrogram import finish


def segment_start_frames(n_frames: int, spec: FeatureSpec) -> list[int]:
    """Return the first frame of each segment of a clip of ``n_frames`` frames: evenly spaced, the last one right-aligned.

    A clip shorter than a segment gets one segment, which repeats the clip. Padding with silence instead would mislead a network
    that was trained on music.
    """
    last = n_frames - spec.segment_frames
    if last <= 0:
        return [0]
    starts = list(range(0, last + 1, spec.segment_hop_frames))
    if starts[-1] != last:
        starts.append(last)
    return starts


@dataclass(frozen=True)
class Segments:
    """A batch of consecutive segments of a clip.

    Attributes
    ----------
    start_frames : list of int
    samples : numpy.ndarray, float32 [s, n_fft // 2 + segment_samples + n_fft // 2]
        Each segment with ``n_fft // 2`` samples of context at both ends, which the outermost frames need; zeros beyond the
        clip. A clip shorter than a segment is repeated.
    """

    start_frames: list[int]
    samples: NDArray[np.float32]


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
    half = spec.n_fft // 2
    width = half + spec.segment_samples + half
    hop = spec.segment_hop_frames * spec.hop_length
    held = np.zeros(half, np.float32)  # samples from position `origin` on; positions count the zeros before the clip
    origin = 0
    n_samples = 0
    next_start = 0  # frame
    waiting: list[tuple[int, NDArray[np.float32]]] = []

    def batches(least: int) -> Iterator[Segments]:
        while len(waiting) >= least:
            taken, waiting[:] = waiting[:batch_size], waiting[batch_size:]
            yield Segments([start for start, _ in taken], np.stack([samples for _, samples in taken]))

    for block in blocks:
        n_samples += len(block)
        held = np.concatenate([held, block])
        # A segment belongs to the clip if the centre of its last frame does. The context after that centre may arrive later,
        # so wait for the whole width.
        while next_start * spec.hop_length + width <= origin + len(held):
            at = next_start * spec.hop_length - origin
            waiting.append((next_start, held[at : at + width]))
            next_start += spec.segment_hop_frames
            if len(waiting) == batch_size:
                yield from batches(batch_size)
        # Keep the samples of the next segment, and those of a right-aligned last one, if the clip ends now.
        keep = max(0, min(next_start * spec.hop_length, origin + len(held) - width - hop) - origin)
        held = held[keep:]
        origin += keep

    n_frames = 1 + n_samples // spec.hop_length
    if n_samples and n_frames < spec.segment_frames:
        held = np.concatenate([held[:half], np.resize(held[half:], half + spec.segment_samples)])
    held = np.concatenate([held, np.zeros(width, np.float32)])
    done = next_start - spec.segment_hop_frames
    for start in segment_start_frames(n_frames, spec):
        if start > done:
            at = start * spec.hop_length - origin
            waiting.append((start, held[at : at + width]))
    yield from batches(1)


def split_columns(columns: NDArray[np.floating], spec: FeatureSpec) -> tuple[list[int], Tensor]:
    """Cut a stored log-mel spectrogram into segments; their features equal those that `extract` computes from the audio.

    Parameters
    ----------
    columns : numpy.ndarray [frames, n_mels]
        dB re 1.0.
    spec : FeatureSpec

    Returns
    -------
    start_frames : list of int
    features : Tensor, float32 [s, bins, segment_frames]

    Raises
    ------
    ValueError
        For the kind ``summary``, which cannot be computed from a log-mel spectrogram.
    """
    db = torch.from_numpy(np.ascontiguousarray(columns, dtype=np.float32)).T  # [n_mels, frames]
    if db.shape[1] < spec.segment_frames:
        db = db[:, torch.arange(spec.segment_frames) % db.shape[1]]
    starts = segment_start_frames(db.shape[1], spec)
    segments = torch.stack([db[:, start : start + spec.segment_frames] for start in starts])
    return starts, finish(segments, spec)
