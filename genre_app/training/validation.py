"""What a network is judged by while it learns: the validation tracks, as they are and as imitated recordings."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from genre_app.augment.logmel import apply_chain
from genre_app.data.dataset import Dataset, MelDataset
from genre_app.models import GenreModel
from genre_app.progress import QUIET, Monitor
from genre_app.training.config import TrainConfig

_TAKE_SECONDS = 12.0
_TAKES_SEED = 4  # not the run's, so that runs with different seeds are validated with the same recordings


@torch.inference_mode()
def segment_probabilities(model: GenreModel, features: Tensor, batch_size: int = 256, monitor: Monitor = QUIET) -> Tensor:
    """Probabilities [s, genres] of many segments [s, bins, frames]."""
    model.eval()
    # As many as fit a batch of ordinary segments: a whole song is a hundred times as long.
    batch_size = max(1, min(batch_size, (1 << 21) // (features.shape[1] * features.shape[2])))
    found = []
    for batch in features.split(batch_size):
        monitor.check()
        found.append(torch.softmax(model(batch).float(), dim=1))
    return torch.cat(found)


def track_means(probabilities: Tensor, owners: Tensor, n_tracks: int) -> Tensor:
    """Mean of the probabilities [s, genres] of each track's segments [tracks, genres]."""
    total = torch.zeros(n_tracks, probabilities.shape[1], device=probabilities.device).index_add_(0, owners, probabilities)
    return total / torch.bincount(owners, minlength=n_tracks)[:, None]


def validation_features(config: TrainConfig, model: GenreModel, valid: Dataset) -> tuple[Tensor, Tensor]:
    """Features of the tracks to validate with [s, bins, frames] and the track of each [s], scaled as the recipe has it."""
    features, owners = valid.segments()
    if config.scaler == "apart":
        mean, std = features.mean(dim=(0, 2)), features.std(dim=(0, 2)).clamp(min=1e-5)
        scaled = (features - mean[:, None]) / std[:, None]
        features = scaled * model.bin_std.to(features)[:, None] + model.bin_mean.to(features)[:, None]
    return features, owners


def recorded_features(config: TrainConfig, valid: Dataset, monitor: Monitor = QUIET) -> tuple[Tensor, Tensor] | None:
    """Imitate a recording of each validation track, always the same ones, each of it as long as a visitor may record.

    Returns
    -------
    (Tensor [s, bins, frames], Tensor [s]) or None
        Features of their segments and the track of each; None if training has no recordings.

    Raises
    ------
    StoppedError
        Soon after ``monitor`` says so.
    """
    if not config.augment.recorded_share or not isinstance(valid, MelDataset):
        return None
    generator = torch.Generator(valid.columns.device).manual_seed(_TAKES_SEED)
    n_frames = max(config.spec.segment_frames, round(_TAKE_SECONDS * config.spec.sample_rate / config.spec.hop_length))

    def record(db: Tensor) -> Tensor:
        monitor.check()  # many tracks take a while
        return apply_chain(db, config.augment.recorded, config.spec, generator)

    return valid.takes(n_frames, record).segments()


def judged(probabilities: Tensor, owners: Tensor, valid: Dataset) -> tuple[dict[str, float], list[list[int]]]:
    """Log-loss and accuracies of segments' probabilities [s, genres], by `EpochResult`'s names, and the confusion."""
    of_tracks = track_means(probabilities, owners, len(valid))
    answers = of_tracks.argmax(1)
    n_genres = len(valid.genres)
    confusion = torch.bincount(valid.labels * n_genres + answers, minlength=n_genres**2).reshape(n_genres, n_genres)
    return {
        "valid_log_loss": float(F.nll_loss(of_tracks.clamp(min=1e-12).log(), valid.labels)),
        "valid_accuracy": float((answers == valid.labels).float().mean()),
        "valid_segment_accuracy": float((probabilities.argmax(1) == valid.labels[owners]).float().mean()),
    }, confusion.tolist()
