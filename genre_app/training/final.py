"""What is computed once, from the finished network: its temperature, the references of the knn vote, and its report."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from genre_app.checkpoint import Checkpoint
from genre_app.data.dataset import Dataset
from genre_app.evaluation.calibration import TEMPERATURES
from genre_app.evaluation.metrics import Report, TrackResult
from genre_app.models import GenreModel
from genre_app.progress import QUIET, Monitor
from genre_app.training import validation
from genre_app.training.config import TrainConfig
from genre_app.vote import References


def fit_temperature(config: TrainConfig, model: GenreModel, valid: Dataset, monitor: Monitor = QUIET) -> float:
    """Return the temperature with the least log-loss of whole validation tracks by the mean vote.

    If training has imitated recordings, the mean over files and recordings counts, as for the choice of the epoch.

    References
    ----------
    Guo et al. 2017, On calibration of modern neural networks (temperature scaling).
    """
    sets = [validation.validation_features(config, model, valid), validation.recorded_features(config, valid, monitor)]
    scored = [(_logits(model, found[0], monitor), found[1]) for found in sets if found is not None]

    def log_loss(log_temperature: float) -> float:
        total = 0.0
        for logits, owners in scored:
            means = validation.track_means(torch.softmax(logits / math.exp(log_temperature), dim=1), owners, len(valid))
            total += validation.track_log_loss(means, valid.labels)
        return total

    low, high = map(math.log, TEMPERATURES)
    return math.exp(minimize_scalar(log_loss, bounds=(low, high), method="bounded").x)


@torch.inference_mode()
def _logits(model: GenreModel, features: Tensor, monitor: Monitor) -> Tensor:
    model.eval()
    return torch.cat([model.logits(batch).double() for batch in validation.batches(features, monitor)])


def vote_references(model: GenreModel, valid: Dataset, monitor: Monitor = QUIET) -> References | None:
    """Return the validation tracks as references of the knn vote, None if there are fewer than two.

    Training tracks would mislead: the network has learned them, so their probabilities are closer to the truth than those of a
    new track.
    """
    features, owners = valid.segments()
    means = validation.track_means(validation.segment_probabilities(model, features, monitor), owners, len(valid))
    return References.of_tracks(means.cpu().numpy(), valid.labels.cpu().numpy())


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
