"""Validation during training: the log-loss and accuracy of the validation tracks, as files and as simulated recordings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from genre_app.augment.logmel import apply_chain
from genre_app.data.dataset import Dataset, MelDataset
from genre_app.evaluation.calibration import LEAST_PROBABILITY
from genre_app.models import GenreModel
from genre_app.progress import QUIET, Monitor
from genre_app.training.config import TrainConfig

_RECORDING_SECONDS = 12.0  # of a short recording; the results of the recipes were measured with it
_RECORDING_SEED = 4  # not the seed of the run, so that all runs are validated on the same recordings
_BATCH_SEGMENTS = 256
_BATCH_VALUES = 1 << 21  # of features; a whole song has a hundred times as many as a segment of 3 s


@dataclass(frozen=True)
class Scores:
    """Scores of a network on the validation tracks, by the mean vote.

    Attributes
    ----------
    log_loss, accuracy : float
        Of whole tracks.
    segment_accuracy : float
        Of single segments.
    confusion : list of list of int
        Number of tracks by true genre (rows) and answer (columns).
    """

    log_loss: float
    accuracy: float
    segment_accuracy: float
    confusion: list[list[int]]


class Validation:
    """Validates a network again and again on the same features.

    Parameters
    ----------
    config : TrainConfig
    model : GenreModel
        Its standardisation is used if ``config.scaler`` is ``apart``.
    valid : Dataset
    monitor : Monitor
    """

    def __init__(self, config: TrainConfig, model: GenreModel, valid: Dataset, monitor: Monitor) -> None:
        self._valid = valid
        self._files = validation_features(config, model, valid)
        self._recordings = recorded_features(config, valid, monitor)

    def scores(self, model: GenreModel, monitor: Monitor) -> tuple[Scores, Scores | None]:
        """Return the scores on files, and on simulated recordings if training has them."""
        files = self._judge(model, *self._files, monitor)
        return files, None if self._recordings is None else self._judge(model, *self._recordings, monitor)

    def _judge(self, model: GenreModel, features: Tensor, owners: Tensor, monitor: Monitor) -> Scores:
        labels, n_genres = self._valid.labels, len(self._valid.genres)
        probabilities = segment_probabilities(model, features, monitor)
        of_tracks = track_means(probabilities, owners, len(labels))
        answers = of_tracks.argmax(1)
        confusion = torch.bincount(labels * n_genres + answers, minlength=n_genres**2).reshape(n_genres, n_genres)
        return Scores(
            log_loss=track_log_loss(of_tracks, labels),
            accuracy=float((answers == labels).float().mean()),
            segment_accuracy=float((probabilities.argmax(1) == labels[owners]).float().mean()),
            confusion=confusion.tolist(),
        )


def batches(features: Tensor, monitor: Monitor) -> Iterator[Tensor]:
    """Split features [s, bins, frames] into batches that need about the same memory, however long the segments are."""
    size = max(1, min(_BATCH_SEGMENTS, _BATCH_VALUES // (features.shape[1] * features.shape[2])))
    for batch in features.split(size):
        monitor.check()
        yield batch


@torch.inference_mode()
def segment_probabilities(model: GenreModel, features: Tensor, monitor: Monitor = QUIET) -> Tensor:
    """Return the probabilities [s, genres] of segments [s, bins, frames]."""
    model.eval()
    return torch.cat([torch.softmax(model(batch).float(), dim=1) for batch in batches(features, monitor)])


def track_means(probabilities: Tensor, owners: Tensor, n_tracks: int) -> Tensor:
    """Return the mean probabilities [tracks, genres] of each track's segments [s, genres]; ``owners`` [s] are the tracks."""
    total = torch.zeros(n_tracks, probabilities.shape[1], dtype=probabilities.dtype, device=probabilities.device)
    return total.index_add_(0, owners, probabilities) / torch.bincount(owners, minlength=n_tracks)[:, None]


def track_log_loss(probabilities: Tensor, labels: Tensor) -> float:
    """Return the mean negative log-likelihood, in nats, of the true genres [tracks] given probabilities [tracks, genres]."""
    return float(F.nll_loss(probabilities.clamp(min=LEAST_PROBABILITY).log(), labels))


def validation_features(config: TrainConfig, model: GenreModel, valid: Dataset) -> tuple[Tensor, Tensor]:
    """Return the features [s, bins, frames] of the validation tracks, scaled by ``config.scaler``, and their tracks [s]."""
    features, owners = valid.segments()
    if config.scaler == "apart":
        mean, std = features.mean(dim=(0, 2)), features.std(dim=(0, 2)).clamp(min=1e-5)
        scaled = (features - mean[:, None]) / std[:, None]
        features = scaled * model.bin_std.to(features)[:, None] + model.bin_mean.to(features)[:, None]
    return features, owners


def recorded_features(config: TrainConfig, valid: Dataset, monitor: Monitor = QUIET) -> tuple[Tensor, Tensor] | None:
    """Simulate a recording of 12 s of each validation track; the recordings are the same in every run.

    Returns
    -------
    (Tensor [s, bins, frames], Tensor [s]) or None
        Features of the segments and the track of each; None if training simulates no recordings.

    Raises
    ------
    StoppedError
        If ``monitor`` says so.
    """
    if not config.augment.recorded_share or not isinstance(valid, MelDataset):
        return None
    generator = torch.Generator(valid.columns.device).manual_seed(_RECORDING_SEED)
    frames = round(_RECORDING_SECONDS * config.spec.sample_rate / config.spec.hop_length)

    def record(db: Tensor) -> Tensor:
        monitor.check()  # many tracks take a while
        return apply_chain(db, config.augment.recorded, config.spec, generator)

    return valid.takes(max(config.spec.segment_frames, frames), record).segments()
