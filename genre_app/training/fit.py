"""The training loop, one epoch a step."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from genre_app.data.dataset import Dataset, MelDataset
from genre_app.data.pool import WavePool
from genre_app.errors import DataError
from genre_app.models import GenreModel
from genre_app.progress import QUIET, Monitor, StoppedError
from genre_app.training.config import TrainConfig
from genre_app.training.processes import ONE_PROCESS, Processes
from genre_app.training.state import Progress, TrainState
from genre_app.training.steps import Steps
from genre_app.training.validation import Validation

_STOP_EVERY = 10  # steps between two checks of a stop request, on which several processes must agree


@dataclass(frozen=True)
class EpochResult:
    """Result of one epoch.

    Attributes
    ----------
    epoch : int
        From 1.
    train_loss : float
        Mean cross-entropy with the smoothed and mixed targets, nats.
    learning_rate : float
        At the last step of the epoch.
    seconds : float
        Time of the training steps.
    valid_log_loss, valid_accuracy, valid_segment_accuracy : float or None
        Of whole validation tracks by the mean vote, and of their segments; None if the epoch was not validated, or there are no
        validation tracks.
    recorded_log_loss, recorded_accuracy : float or None
        Of the same tracks as simulated recordings; None if training simulates none.
    confusion : list of list of int, or None
        Number of validation tracks by true genre (rows) and answer (columns).
    model : GenreModel or None
        The averaged network, if this is the epoch to keep so far.
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
    """A step, as ``on_step`` gets it; no field waits for the device.

    Attributes
    ----------
    epoch, step, steps : int
        Both from 1; ``steps`` is the number of steps in the epoch.
    loss : Tensor []
        Mean over the epoch so far, on the device.
    learning_rate : float
    """

    epoch: int
    step: int
    steps: int
    loss: Tensor
    learning_rate: float


def fit(
    config: TrainConfig,
    train: Dataset,
    valid: Dataset | None,
    *,
    device: torch.device,
    state: TrainState | None = None,
    pool: WavePool | None = None,
    processes: Processes = ONE_PROCESS,
    on_step: Callable[[Step], object] = lambda _: None,
    on_warning: Callable[[str], object] = lambda _: None,
    monitor: Monitor = QUIET,
) -> Iterator[EpochResult]:
    """Train a network, and yield the result of each epoch.

    Parameters
    ----------
    config : TrainConfig
    train, valid : Dataset
        On ``device``; they must have no track in common. Without validation tracks (None), the last epoch is kept. Validation
        draws no random number of the training, so it does not change the weights of an epoch.
    device : torch.device
    state : TrainState, optional
        State to continue from, by default that of a new run. It is changed in place; it can be saved between two epochs and
        after `StoppedError`.
    pool : WavePool, optional
        Changed waveforms of the training tracks, from which half of the segments are drawn.
    processes : Processes
        The processes that train together.
    on_step : callable
        Called with a `Step` after each step.
    on_warning : callable
        Called with a sentence if training continues with a change that nobody asked for.
    monitor : Monitor

    Yields
    ------
    EpochResult

    Raises
    ------
    DataError
        If a track is in both sets, the segments are too few for batch norm, or the best epoch is to be kept without validation.
    StoppedError
        If ``monitor`` says so.
    """
    _check_valid(config, train, valid)
    state = state or TrainState.begin(config, train, device)
    now = state.progress
    steps = Steps(config, state, train, processes, on_warning)
    quiet = monitor if processes.alone else QUIET  # several processes stop together, in `_check_stop`
    validation = None if valid is None else Validation(config, state.model, valid, quiet)
    while now.epoch < config.epochs and not (config.patience and now.since_best >= config.patience):
        epoch = now.epoch + 1
        began, spent = time.perf_counter(), now.seconds
        source = train
        if pool is not None and isinstance(train, MelDataset):
            source = train.beside(pool.collect(epoch, quiet))
            if epoch < config.epochs:
                pool.begin(epoch + 1)
        steps.begin_epoch()
        while now.step < steps.count:
            rate = steps.take(source)
            now.seconds = spent + time.perf_counter() - began
            on_step(Step(epoch, now.step, steps.count, state.total / now.step, rate))
            _check_stop(now, steps.count, processes, monitor)
        processes.average_buffers(state.model, state.average)
        validates = epoch % config.validate_every == 0 or epoch == config.epochs
        train_loss = float(state.total) / steps.count
        scores: dict[str, Any] = {}
        if validates and validation is not None:
            scores = _validate(config, validation, state, epoch, quiet)
        elif validates and math.isfinite(train_loss):
            scores = _keep(state, epoch)
        rate = steps.learning_rate(epoch * steps.count - 1)
        result = EpochResult(epoch, train_loss, rate, now.seconds - spent, **scores)
        now.epoch, now.step, state.order = epoch, 0, state.order[:0]
        yield result


def _check_valid(config: TrainConfig, train: Dataset, valid: Dataset | None) -> None:
    if valid is None:
        if config.keep == "best":
            raise DataError("There are no validation tracks, so no epoch is known to be the best; set keep=last.")
        return
    shared = set(train.track_ids) & set(valid.track_ids)
    if shared:
        raise DataError(
            f"{len(shared)} tracks are in both training and validation, {min(shared)} among them; split whole tracks."
        )


def _check_stop(now: Progress, steps: int, processes: Processes, monitor: Monitor) -> None:
    if processes.alone:
        monitor.check()
    elif (now.epoch * steps + now.step) % _STOP_EVERY == 0 and processes.any(monitor.should_stop()):
        raise StoppedError("stopped on request")


def _validate(config: TrainConfig, validation: Validation, state: TrainState, epoch: int, monitor: Monitor) -> dict[str, Any]:
    """Validate the averaged network, update the progress, and return the fields of `EpochResult` about validation."""
    files, recordings = validation.scores(state.average, monitor)
    scores: dict[str, Any] = {
        "valid_log_loss": files.log_loss,
        "valid_accuracy": files.accuracy,
        "valid_segment_accuracy": files.segment_accuracy,
        "confusion": files.confusion,
    }
    log_loss = files.log_loss
    if recordings is not None:
        scores |= {"recorded_log_loss": recordings.log_loss, "recorded_accuracy": recordings.accuracy}
        # The loss on files reaches its minimum first; selecting by it alone keeps an epoch that is weak on recordings.
        log_loss = (files.log_loss + recordings.log_loss) / 2
    now = state.progress
    is_better = log_loss < now.best_log_loss
    now.since_best = 0 if is_better else now.since_best + 1
    if is_better:
        now.best_log_loss = log_loss
    if is_better or (config.keep == "last" and not math.isnan(log_loss)):
        scores |= _keep(state, epoch)
    return scores


def _keep(state: TrainState, epoch: int) -> dict[str, Any]:
    """Note that this is the epoch to keep so far, and return the fields of `EpochResult` about it."""
    state.progress.best_epoch = epoch
    return {"model": copy.deepcopy(state.average)}
