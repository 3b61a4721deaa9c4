"""The report on a finished network."""

from __future__ import annotations

import numpy as np

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
    probabilities = validation.segment_probabilities(checkpoint.model, features, monitor).cpu().numpy()
    of_track = np.split(probabilities, np.flatnonzero(np.diff(owners.cpu().numpy())) + 1)
    labels = tracks.labels.tolist()
    results = [TrackResult(*of) for of in zip(tracks.track_ids, labels, of_track, strict=True)]
    return Report(tracks.genres, tuple(results), checkpoint.references, leave_one_out=leave_one_out)
