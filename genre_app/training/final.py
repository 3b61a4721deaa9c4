"""The report on a finished network, and the results of tracks from those of their segments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from genre_app.checkpoint import Checkpoint
from genre_app.data.dataset import Dataset
from genre_app.evaluation.metrics import Report, TrackResult
from genre_app.progress import QUIET, Monitor
from genre_app.training import validation
from genre_app.training.config import TrainConfig


def report_on(
    checkpoint: Checkpoint, tracks: Dataset, config: TrainConfig, monitor: Monitor = QUIET, *, leave_one_out: bool = False
) -> Report:
    """Return the metrics of a checkpoint on some tracks; ``leave_one_out`` says that its references are these tracks."""
    features, owners = validation.validation_features(config, checkpoint.model, tracks)
    probabilities = validation.segment_probabilities(checkpoint.model, features, monitor)
    results = track_results(tracks.track_ids, tracks.labels, probabilities, owners)
    return Report(tracks.genres, results, checkpoint.references, leave_one_out=leave_one_out)


def track_results(track_ids: Sequence[str], labels: Tensor, probabilities: Tensor, owners: Tensor) -> tuple[TrackResult, ...]:
    """Return the results of tracks with ``labels`` [n] from the probabilities [s, g] of their segments.

    ``owners`` [s] is the track of each segment, ascending from 0.
    """
    of_track = np.split(probabilities.cpu().numpy(), np.flatnonzero(np.diff(owners.cpu().numpy())) + 1)
    return tuple(TrackResult(*row) for row in zip(track_ids, labels.tolist(), of_track, strict=True))
