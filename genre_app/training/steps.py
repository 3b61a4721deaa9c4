"""The steps of an epoch: the order of the segments, the batch, its gradient, and the average of the weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim.swa_utils import get_ema_multi_avg_fn

from genre_app.augment.logmel import augment, draw_rates
from genre_app.augment.logmel_ops.scale import uniform
from genre_app.data.dataset import Dataset, MelDataset
from genre_app.errors import DataError, first_line
from genre_app.features import finish
from genre_app.models import GenreModel
from genre_app.models.precision import has_bfloat16
from genre_app.training.config import TrainConfig
from genre_app.training.graph import GradientGraph
from genre_app.training.processes import Processes
from genre_app.training.stages import begin_stage
from genre_app.training.state import TrainState

# A batch is made by about 1000 kernels of a few microseconds; making several at once launches as many kernels as making one.
_BATCHES_AT_ONCE = 8  # on a GPU
_LEAST_ITEMS = 2  # of a batch, in each process: batch norm needs the variance


def steps_per_epoch(config: TrainConfig, n_tracks: int, n_segments: int, n_processes: int = 1) -> int:
    """Return the number of steps of an epoch.

    Parameters
    ----------
    config : TrainConfig
    n_tracks, n_segments : int
        Training tracks, and their segments on the grid of prediction.
    n_processes : int
        Processes that share each batch. A last batch that is too small for them is left out.
    """
    if config.sampling == "random":
        return n_tracks * config.segments_per_track // config.batch_size or 1
    whole, rest = divmod(n_segments, config.batch_size)
    return whole + (rest >= _LEAST_ITEMS * n_processes) or 1


class Steps:
    """Takes the training steps of the epochs, one after another.

    Parameters
    ----------
    config : TrainConfig
    state : TrainState
        Changed in place by each step.
    train : Dataset
    processes : Processes
    warn : callable
        Called with a sentence when batches must be cut into parts.

    Attributes
    ----------
    count : int
        Steps of an epoch.

    Raises
    ------
    DataError
        If a batch holds too few segments for batch norm.
    """

    def __init__(
        self, config: TrainConfig, state: TrainState, train: Dataset, processes: Processes, warn: Callable[[str], object]
    ) -> None:
        self.config, self.state, self.train, self.processes, self.warn = config, state, train, processes, warn
        self.grid = train.grid()
        n_segments = len(self.grid[0])
        self.count = steps_per_epoch(config, len(train), n_segments, processes.count)
        smallest = config.batch_size if config.sampling == "random" else min(config.batch_size, n_segments)
        if smallest < _LEAST_ITEMS * processes.count:
            raise DataError(
                f"A batch holds {smallest} segments, too few for {processes.count} processes, each of which needs "
                f"{_LEAST_ITEMS}; use a larger batch_size or fewer processes."
            )
        device = state.order.device
        # Dropout draws from the generator of its device; the caller gets that generator back unchanged.
        self.rng = torch.cuda if device.type == "cuda" else torch
        self.forked = [torch.cuda.current_device()] if device.type == "cuda" else []
        on_one_gpu = device.type == "cuda" and processes.alone
        self.n_at_once = _BATCHES_AT_ONCE if on_one_gpu else 1
        self.in_bfloat16 = forward_precision(config, device) == "bfloat16"
        self.records = on_one_gpu  # whether the gradient is recorded as a CUDA graph
        self.ready: list[tuple[Tensor, Tensor]] = []  # batches that were made and not used yet, the next one last
        self.graph: GradientGraph | None = None

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0 over the whole run."""
        config, steps = self.config, self.config.epochs * self.count
        if config.schedule == "constant":
            return config.learning_rate
        warmup = config.warmup * steps
        if step < warmup:
            return config.learning_rate * ((step + 1) / (warmup + 1))
        return config.learning_rate * (0.5 * (1.0 + math.cos(math.pi * (step - warmup) / max(1.0, steps - warmup))))

    def begin_epoch(self) -> None:
        """Draw the order of the epoch, unless the epoch has begun already."""
        if begin_stage(self.state.model, self.config, self.state.progress.epoch + 1):
            self.graph = None  # it computes the gradients of the stages before
        if self.state.progress.step:
            return
        state, config = self.state, self.config
        state.total.zero_()
        if config.sampling == "grid":
            state.order = torch.randperm(len(self.grid[0]), generator=state.draws, device=state.draws.device)
            state.order = state.order[: self.count * config.batch_size]
        else:
            state.order = draw_order(self.train.labels, len(self.train.genres), self.count * config.batch_size, state.draws)

    def take(self, source: Dataset) -> float:
        """Take one step; return its learning rate.

        Parameters
        ----------
        source : Dataset
            The training tracks, followed by the same tracks with changed waveforms if there is a pool.
        """
        state, config = self.state, self.config
        now = state.progress
        done = now.epoch * self.count + now.step
        if self.processes.rank:  # the saved generators are those of the first process; the others seed theirs at each step
            state.reseed(config.seed, self.processes.rank, done)
        rate = self.learning_rate(done)
        for group in state.optimiser.param_groups:
            group["lr"] = rate * group["rate"]
        # If memory runs out or the device is lost before the weights change, the state can still be saved.
        db, targets = self._next_batch(source)
        with torch.random.fork_rng(devices=self.forked):
            self.rng.set_rng_state(state.dropout)
            loss = self._learn(db, targets)
            state.optimiser.step()
            state.dropout = self.rng.get_rng_state()
        # The short memory of the first steps lets the average forget the initial weights.
        _update_average(state.average, state.model, min(config.average_decay, (done + 1) / (done + 10)))
        state.total += loss
        now.step += 1
        return rate

    def _next_batch(self, source: Dataset) -> tuple[Tensor, Tensor]:
        """Return the batch of the current step; on a GPU, make several batches at once."""
        state, size = self.state, self.config.batch_size
        step, n_at_once = state.progress.step, self.n_at_once
        if not self.ready:
            # A resumed run may begin in the middle of a group: it makes the whole group again, from the same random numbers.
            first = step - step % n_at_once
            state.changes_before = state.changes.get_state()
            chosen = state.order[first * size : min(first + n_at_once, self.count) * size]
            chosen = chosen[self.processes.rank :: self.processes.count]
            n = min(n_at_once, self.count - first)
            db, targets = self._batch(source, chosen)
            # Every n-th item: the chains take the first items of the group, and each batch needs its share of them.
            self.ready = [(db[i::n], targets[i::n]) for i in reversed(range(step - first, n))]
        batch = self.ready.pop()
        if not self.ready:
            state.changes_before = None
        return batch

    def _batch(self, source: Dataset, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Return log-mel segments [b, bins, frames] in dB and their targets [b, genres]."""
        config, generator, n_tracks = self.config, self.state.changes, len(self.train)
        tracks = self.grid[0][chosen] if config.sampling == "grid" else chosen
        rates = draw_rates(len(tracks), config.augment, generator)
        targets = F.one_hot(source.labels[tracks], len(source.genres)).float()
        if len(source) > n_tracks:  # half of the segments are from the changed waveforms
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
        """Put the mean gradient of the batch into the parameters; return the loss [], a mean over the heads."""
        state = self.state
        while True:
            state.optimiser.zero_grad(set_to_none=True)
            try:
                if self.records and state.progress.pieces == 1:
                    return self._replay(db, targets)
                loss = self._gradient(db, targets)
            except torch.OutOfMemoryError:
                now = state.progress
                if len(db) < 2 * _LEAST_ITEMS * now.pieces:
                    raise
                now.pieces *= 2
                self.graph = None  # it holds the memory of a whole batch
                if db.device.type == "cuda":
                    torch.cuda.empty_cache()
                self.warn(f"out of memory: training continues with each batch cut into {now.pieces} parts")
            else:
                self.processes.average_gradients(state.model)
                return loss

    def _replay(self, db: Tensor, targets: Tensor) -> Tensor:
        """Compute the gradient by a CUDA graph, which the first batch records."""
        if self.graph is None and self.records:
            try:
                self.graph = GradientGraph(self._gradient, self.state.model, db, targets)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:  # a network that waits for the GPU, or an operation that cannot be recorded
                self.records = False
                self.warn(f"training continues without a CUDA graph, which the network does not allow: {first_line(error)}")
            finally:
                self.rng.set_rng_state(self.state.dropout)  # recording drew from the generator
        if self.graph is None or self.graph.batch.shape != db.shape:
            return self._gradient(db, targets)
        return self.graph(db, targets)

    def _gradient(self, db: Tensor, targets: Tensor) -> Tensor:
        config, state = self.config, self.state
        total = torch.zeros((), device=db.device)
        n_parts = max(1, min(state.progress.pieces, len(db) // _LEAST_ITEMS))
        for part, wanted in zip(db.tensor_split(n_parts), targets.tensor_split(n_parts), strict=True):
            with torch.autocast(db.device.type, dtype=torch.bfloat16, enabled=self.in_bfloat16):
                features = part if config.spec.kind == "summary" else finish(part, config.spec)
                logits = state.model.training_logits(features)  # [heads, b, genres]
            losses = -(torch.log_softmax(logits.float(), dim=-1) * wanted).sum(dim=-1)  # [heads, b]
            loss = losses.sum() / len(db)
            loss.backward()
            total += loss.detach() / len(logits)
        return total


def forward_precision(config: TrainConfig, device: torch.device) -> Literal["float32", "bfloat16"]:
    """Return the precision of the forward pass on this device."""
    if config.precision == "auto":
        return "bfloat16" if has_bfloat16(device) else "float32"
    return config.precision


def draw_order(labels: Tensor, n_genres: int, count: int, generator: torch.Generator) -> Tensor:
    """Draw ``count`` tracks in random order; genres, and the tracks of a genre, are drawn equally often, within one."""
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
    """Move the averaged weights and statistics towards the current ones; integers, such as counters, are copied."""
    pairs = list(zip(average.state_dict().values(), model.state_dict().values(), strict=True))
    floats = [(old, new) for old, new in pairs if old.is_floating_point()]
    get_ema_multi_avg_fn(decay)([old for old, _ in floats], [new for _, new in floats], 0)
    for old, new in pairs:
        if not old.is_floating_point():
            old.copy_(new)
