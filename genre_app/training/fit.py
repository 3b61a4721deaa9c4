"""The training loop."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from genre_app.augment.logmel import augment, draw_rates
from genre_app.augment.logmel_ops.scale import uniform
from genre_app.data.dataset import Dataset, MelDataset
from genre_app.data.pool import WavePool
from genre_app.errors import DataError
from genre_app.features import finish
from genre_app.models import GenreModel
from genre_app.progress import QUIET, Monitor, StoppedError
from genre_app.training.config import TrainConfig
from genre_app.training.processes import ONE_PROCESS, Processes
from genre_app.training.state import TrainState, frozen
from genre_app.training.validation import judged, recorded_features, segment_probabilities, validation_features

_STOP_EVERY = 10  # steps between two looks at a stop that several processes must agree on


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
    recorded_log_loss, recorded_accuracy : float or None
        Of the same tracks as imitated recordings; None too if training has no recordings.
    confusion : list of list of int, or None
        Validation tracks by true genre (rows) and answer (columns).
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
    recorded_log_loss: float | None = None
    recorded_accuracy: float | None = None
    confusion: list[list[int]] | None = field(default=None, repr=False)
    model: GenreModel | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Step:
    """One step, as it is told to ``on_step``; nothing here waits for the device.

    Attributes
    ----------
    epoch, step, steps : int
        From 1; of ``steps`` in the epoch.
    loss : Tensor []
        Mean over the epoch so far, on the device.
    learning_rate : float
    n_segments : int
    """

    epoch: int
    step: int
    steps: int
    loss: Tensor
    learning_rate: float
    n_segments: int


def steps_per_epoch(config: TrainConfig, n_tracks: int, n_segments: int) -> int:
    """Count the steps of an epoch over so many training tracks and segments of the grid."""
    if config.sampling == "random":
        return n_tracks * config.segments_per_track // config.batch_size or 1
    whole, rest = divmod(n_segments, config.batch_size)
    return whole + (rest > 1) or 1  # batch norm cannot learn from one


def fit(
    config: TrainConfig,
    train: Dataset,
    valid: Dataset,
    *,
    device: torch.device,
    state: TrainState | None = None,
    pool: WavePool | None = None,
    processes: Processes = ONE_PROCESS,
    on_step: Callable[[Step], object] | None = None,
    on_warning: Callable[[str], object] | None = None,
    monitor: Monitor = QUIET,
) -> Iterator[EpochResult]:
    """Train a network, one epoch a step of the iterator.

    Parameters
    ----------
    config : TrainConfig
    train, valid : Dataset
        On ``device``; no track may be in both.
    device : torch.device
    state : TrainState, optional
        Where to go on; it is changed in place, so that between two epochs and after `StoppedError` it can be saved. By default
        a run begins.
    pool : WavePool, optional
        Waveforms of the training tracks changed by worker processes; half of the segments are drawn from them.
    processes : Processes
        The processes that train together.
    on_step : callable, optional
        Called with a `Step` after each one.
    on_warning : callable, optional
        Called with a sentence when the run goes on otherwise than it was asked to.
    monitor : Monitor

    Yields
    ------
    EpochResult

    Raises
    ------
    DataError
        If a track is in both sets.
    StoppedError
        Soon after ``monitor`` says so.
    """
    shared = set(train.track_ids) & set(valid.track_ids)
    if shared:
        raise DataError(
            f"{len(shared)} tracks are in both training and validation, {min(shared)} among them; split whole tracks."
        )
    state = state or TrainState.begin(config, train, device)
    now = state.progress
    grid = train.grid()
    loop = _Loop(
        config, state, grid, steps_per_epoch(config, len(train), len(grid[0])), processes, on_warning or (lambda _: None)
    )
    quiet = monitor if processes.alone else QUIET  # several processes agree on a stop below
    valid_features, valid_owners = validation_features(config, state.model, valid)
    takes = recorded_features(config, valid, quiet)
    while now.epoch < config.epochs and not (config.patience and now.since_best >= config.patience):
        epoch = now.epoch + 1
        began, spent = time.perf_counter(), now.seconds
        source = train
        if pool is not None and isinstance(train, MelDataset):
            source = train.beside(pool.collect(epoch, quiet))
            if epoch < config.epochs:
                pool.begin(epoch + 1)
        loop.begin_epoch(train)
        while now.step < loop.steps:
            rate = loop.step(source, len(train))
            now.seconds = spent + time.perf_counter() - began
            if on_step is not None:
                on_step(Step(epoch, now.step, loop.steps, state.total / now.step, rate, len(state.order)))
            if processes.alone:
                monitor.check()
            elif (now.epoch * loop.steps + now.step) % _STOP_EVERY == 0 and processes.any(monitor.should_stop()):
                raise StoppedError("stopped on request")
        processes.average_buffers(state.model, state.average)
        scores: dict[str, float] = {}
        confusion, improved = None, False
        if epoch % config.validate_every == 0 or epoch == config.epochs:
            probabilities = segment_probabilities(state.average, valid_features, monitor=quiet)
            scores, confusion = judged(probabilities, valid_owners, valid)
            log_loss = scores["valid_log_loss"]
            if takes is not None:
                heard, _ = judged(segment_probabilities(state.average, takes[0], monitor=quiet), takes[1], valid)
                scores |= {"recorded_log_loss": heard["valid_log_loss"], "recorded_accuracy": heard["valid_accuracy"]}
                # Files are learned before recordings are: by them alone a network would be kept that hears recordings badly.
                log_loss = (log_loss + heard["valid_log_loss"]) / 2
            better = log_loss < now.best_log_loss
            now.since_best = 0 if better else now.since_best + 1
            improved = better or (config.keep == "last" and not math.isnan(log_loss))
            if better:
                now.best_log_loss = log_loss
            if improved:
                now.best_epoch = epoch
        result = EpochResult(
            epoch=epoch,
            train_loss=float(state.total) / loop.steps,
            learning_rate=config.learning_rate * _schedule(config, epoch * loop.steps - 1, config.epochs * loop.steps),
            seconds=now.seconds - spent,
            confusion=confusion,
            model=copy.deepcopy(state.average) if improved else None,
            **scores,
        )
        now.epoch, now.step, state.order = epoch, 0, state.order[:0]
        yield result


class _Loop:
    """The steps of an epoch."""

    def __init__(
        self,
        config: TrainConfig,
        state: TrainState,
        grid: tuple[Tensor, Tensor],
        steps: int,
        processes: Processes,
        warn: Callable[[str], object],
    ) -> None:
        self.config, self.state, self.grid, self.steps = config, state, grid, steps
        self.processes, self.warn = processes, warn
        self.still = frozen(state.model, config)
        device = state.order.device
        # Dropout draws from its device's own state, which is put aside while the caller has its turn.
        self.rng = torch.cuda if device.type == "cuda" else torch
        self.forked = [torch.cuda.current_device()] if device.type == "cuda" else []

    def begin_epoch(self, train: Dataset) -> None:
        """Draw the order of the epoch, unless it is under way already."""
        self.state.model.train()
        for part in self.still:
            part.eval()
        if self.state.progress.step:
            return
        state, config = self.state, self.config
        state.total.zero_()
        if config.sampling == "grid":
            state.order = torch.randperm(len(self.grid[0]), generator=state.draws, device=state.draws.device)
            state.order = state.order[: self.steps * config.batch_size]
        else:
            state.order = _order(train.labels, len(train.genres), self.steps * config.batch_size, state.draws)

    def step(self, source: Dataset, n_tracks: int) -> float:
        """Learn from one batch; return the learning rate."""
        state, config = self.state, self.config
        now = state.progress
        done = now.epoch * self.steps + now.step
        if self.processes.rank:  # of all processes only the first saves what it draws from, so the others begin anew each step
            state.reseed(config.seed, self.processes.rank, done)
        chosen = state.order[now.step * config.batch_size : (now.step + 1) * config.batch_size]
        rate = config.learning_rate * _schedule(config, done, config.epochs * self.steps)
        for group in state.optimiser.param_groups:
            group["lr"] = rate
        # Whatever interrupts the step before the weights change, out of memory or a lost device, leaves the state as it was.
        db, targets = self._batch(source, chosen[self.processes.rank :: self.processes.count], n_tracks)
        with torch.random.fork_rng(devices=self.forked):
            self.rng.set_rng_state(state.dropout)
            loss = self._learn(db, targets)
            state.optimiser.step()
            state.dropout = self.rng.get_rng_state()
        _update_average(state.average, state.model, min(config.average_decay, (done + 1) / (done + 10)))
        state.total += loss
        now.step += 1
        return rate

    def _batch(self, source: Dataset, chosen: Tensor, n_tracks: int) -> tuple[Tensor, Tensor]:
        config, generator = self.config, self.state.changes
        tracks = self.grid[0][chosen] if config.sampling == "grid" else chosen
        rates = draw_rates(len(tracks), config.augment, generator)
        targets = F.one_hot(source.labels[tracks], len(source.genres)).float()
        if len(source) > n_tracks:  # half of them from the changed waveforms
            tracks = tracks + n_tracks * (uniform(0, 1, (len(tracks),), generator) < 0.5)
        if config.sampling == "grid":
            starts = self.grid[1][chosen]
            if isinstance(source, MelDataset):  # a changed track may be longer or shorter
                starts = (starts * source.lengths[tracks] / source.lengths[tracks % n_tracks]).floor()
            db = source.cut(tracks, starts, rates)
        else:
            db = source.draw(tracks, rates, generator)
        db, targets = augment(db, targets, config.augment, config.spec, generator)
        return db, targets * (1.0 - config.label_smoothing) + config.label_smoothing / targets.shape[1]

    def _learn(self, db: Tensor, targets: Tensor) -> Tensor:
        """Put the batch's mean gradient into the parameters; return the loss [], a mean over the heads."""
        state = self.state
        while True:
            state.optimiser.zero_grad(set_to_none=True)
            try:
                loss = self._gradient(db, targets)
            except torch.OutOfMemoryError:
                now = state.progress
                if len(db) < 4 * now.pieces:
                    raise
                now.pieces *= 2
                if db.device.type == "cuda":
                    torch.cuda.empty_cache()
                self.warn(f"out of memory: batches now go through the network in {now.pieces} parts, and the run goes on")
            else:
                self.processes.average_gradients(state.model)
                return loss

    def _gradient(self, db: Tensor, targets: Tensor) -> Tensor:
        config, state = self.config, self.state
        total = torch.zeros((), device=db.device)
        for part, wanted in zip(db.chunk(state.progress.pieces), targets.chunk(state.progress.pieces), strict=True):
            with torch.autocast(db.device.type, dtype=torch.bfloat16, enabled=config.precision == "bfloat16"):
                features = part if config.spec.kind == "summary" else finish(part, config.spec)
                logits = state.model.training_logits(features)  # [heads, b, genres]
            losses = -(torch.log_softmax(logits.float(), dim=-1) * wanted).sum(dim=-1)  # [heads, b]
            loss = losses.sum() / len(db)
            loss.backward()
            total += loss.detach() / len(logits)
        return total


def _schedule(config: TrainConfig, step: int, steps: int) -> float:
    if config.schedule == "constant":
        return 1.0
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
        drawn.append(torch.cat([*shuffled, tracks[:0]])[:quota])
    order = torch.cat(drawn)
    return order[torch.randperm(len(order), generator=generator, device=device)]


@torch.no_grad()
def _update_average(average: GenreModel, model: GenreModel, decay: float) -> None:
    kept, new = average.state_dict().values(), model.state_dict().values()
    pairs = [(old, value) for old, value in zip(kept, new, strict=True) if old.is_floating_point()]
    torch._foreach_lerp_([old for old, _ in pairs], [value for _, value in pairs], 1.0 - decay)
    for old, value in zip(kept, new, strict=True):
        if not old.is_floating_point():
            old.copy_(value)
