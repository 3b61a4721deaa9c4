"""The training loop."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from genre_app.augment.chain import augment
from genre_app.augment.spectrogram import uniform
from genre_app.data.dataset import MelDataset
from genre_app.data.mel_cache import DataError
from genre_app.features import finish
from genre_app.models import GenreModel, create_model
from genre_app.training.config import TrainConfig


@dataclass(frozen=True)
class EpochResult:
    """What one epoch came to.

    Attributes
    ----------
    epoch : int
        From 1.
    train_loss : float
        Mean cross-entropy against the smoothed, mixed targets, nats.
    learning_rate : float
        At the epoch's last step.
    seconds : float
    valid_log_loss, valid_accuracy, valid_segment_accuracy : float or None
        Of whole validation tracks by the mean vote, and of their segments; None if the epoch was not validated.
    model : GenreModel or None
        The averaged network, where this epoch is the one to keep so far.
    """

    epoch: int
    train_loss: float
    learning_rate: float
    seconds: float
    valid_log_loss: float | None = None
    valid_accuracy: float | None = None
    valid_segment_accuracy: float | None = None
    model: GenreModel | None = None


@torch.inference_mode()
def segment_probabilities(model: GenreModel, features: Tensor, batch_size: int = 256) -> Tensor:
    """Probabilities [s, genres] of many segments [s, bins, frames]."""
    model.eval()
    return torch.cat([torch.softmax(model(batch), dim=1) for batch in features.split(batch_size)])


def track_means(probabilities: Tensor, owners: Tensor, n_tracks: int) -> Tensor:
    """Mean of the probabilities [s, genres] of each track's segments [tracks, genres]."""
    total = torch.zeros(n_tracks, probabilities.shape[1], device=probabilities.device).index_add_(0, owners, probabilities)
    return total / torch.bincount(owners, minlength=n_tracks)[:, None]


def _schedule(config: TrainConfig, step: int, steps: int) -> float:
    warmup = config.warmup * steps
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / max(1.0, steps - warmup)))


def _order(labels: Tensor, n_genres: int, count: int, generator: torch.Generator) -> Tensor:
    """Draw ``count`` tracks, each genre and within it each track equally often to within one, in random order."""
    device = generator.device
    quotas = torch.full((n_genres,), count // n_genres)
    quotas[torch.randperm(n_genres, generator=generator, device=device)[: count % n_genres].cpu()] += 1
    drawn = []
    for genre, quota in enumerate(quotas.tolist()):
        tracks = torch.nonzero(labels == genre)[:, 0]
        rounds = -(-quota // len(tracks))
        shuffled = [tracks[torch.randperm(len(tracks), generator=generator, device=device)] for _ in range(rounds)]
        drawn.append(torch.cat(shuffled)[:quota])
    order = torch.cat(drawn)
    return order[torch.randperm(len(order), generator=generator, device=device)]


@torch.no_grad()
def _update_average(average: GenreModel, model: GenreModel, decay: float) -> None:
    for kept, new in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(new, 1.0 - decay)
        else:
            kept.copy_(new)


def fit(
    config: TrainConfig, train: MelDataset, valid: MelDataset, *, device: torch.device, choose: bool = True
) -> Iterator[EpochResult]:
    """Train a network, one epoch a step of the iterator.

    Parameters
    ----------
    config : TrainConfig
    train, valid : MelDataset
        On ``device``; no track may be in both.
    device : torch.device
    choose : bool
        Offer the network of each epoch that is the best so far by validation log-loss; otherwise that of the last epoch only.

    Yields
    ------
    EpochResult

    Raises
    ------
    DataError
        If a track is in both sets.
    """
    shared = set(train.track_ids) & set(valid.track_ids)
    if shared:
        raise DataError(
            f"{len(shared)} tracks are in both training and validation, {min(shared)} among them; split whole tracks."
        )
    spec, n_genres = config.spec, len(train.genres)
    generator = torch.Generator(device).manual_seed(config.seed)
    # Dropout draws from its device's own state, which is put aside while the caller has its turn.
    dropout_rng = torch.cuda if device.type == "cuda" else torch
    forked = [torch.cuda.current_device()] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=forked):
        torch.manual_seed(config.seed)  # initial weights and dropout take no generator
        model = create_model(
            config.model, n_bins=spec.n_bins, n_frames=spec.segment_frames, n_genres=n_genres, settings=config.model_settings
        )
        dropout_state = dropout_rng.get_rng_state()
    model.fit_standardisation(train.segments()[0].cpu())
    model.temperature.fill_(config.temperature)
    model.to(device)
    average = copy.deepcopy(model).requires_grad_(False)
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=config.learning_rate,
    )
    valid_features, valid_owners = valid.segments()
    per_epoch = len(train) * config.segments_per_track // config.batch_size or 1
    steps = config.epochs * per_epoch
    best = math.inf
    for epoch in range(1, config.epochs + 1):
        began = time.perf_counter()
        model.train()
        total = torch.zeros((), device=device)
        order = _order(train.labels, n_genres, per_epoch * config.batch_size, generator)
        with torch.random.fork_rng(devices=forked):
            dropout_rng.set_rng_state(dropout_state)
            for step in range(per_epoch):
                tracks = order[step * config.batch_size : (step + 1) * config.batch_size]
                rates = 1.0 + uniform(-config.augment.stretch, config.augment.stretch, (len(tracks),), generator)
                plain = uniform(0, 1, (len(tracks),), generator) >= config.augment.stretch_probability
                db = train.draw(tracks, torch.where(plain, 1.0, rates), generator)
                targets = F.one_hot(train.labels[tracks], n_genres).float()
                db, targets = augment(db, targets, config.augment, spec, generator)
                targets = targets * (1.0 - config.label_smoothing) + config.label_smoothing / n_genres
                now = (epoch - 1) * per_epoch + step
                for group in optimiser.param_groups:
                    group["lr"] = config.learning_rate * _schedule(config, now, steps)
                with torch.autocast(device.type, dtype=torch.bfloat16, enabled=config.precision == "bfloat16"):
                    logits = model.training_logits(finish(db, spec))  # [heads, b, genres]
                loss = -(torch.log_softmax(logits.float(), dim=-1) * targets).sum(dim=-1).mean(dim=1).sum()
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
                _update_average(average, model, min(config.average_decay, (now + 1) / (now + 10)))
                total += loss.detach() / len(logits)
            dropout_state = dropout_rng.get_rng_state()
        scores: dict[str, float] = {}
        if epoch % config.validate_every == 0 or epoch == config.epochs:
            probabilities = segment_probabilities(average, valid_features)
            tracks_p = track_means(probabilities, valid_owners, len(valid))
            scores = {
                "valid_log_loss": float(F.nll_loss(tracks_p.clamp(min=1e-12).log(), valid.labels)),
                "valid_accuracy": float((tracks_p.argmax(1) == valid.labels).float().mean()),
                "valid_segment_accuracy": float((probabilities.argmax(1) == valid.labels[valid_owners]).float().mean()),
            }
        improved = bool(scores) and scores["valid_log_loss"] < best if choose else epoch == config.epochs
        if improved and choose:
            best = scores["valid_log_loss"]
        yield EpochResult(
            epoch=epoch,
            train_loss=float(total) / per_epoch,
            learning_rate=optimiser.param_groups[0]["lr"],
            seconds=time.perf_counter() - began,
            model=copy.deepcopy(average) if improved else None,
            **scores,
        )
