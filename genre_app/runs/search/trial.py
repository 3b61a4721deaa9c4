"""One trial of a search: train a run, or cross-validate its settings, and measure the validation log-loss."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from genre_app.errors import DataError
from genre_app.progress import Monitor, StoppedError
from genre_app.runs import events
from genre_app.runs.executor import work
from genre_app.runs.failure import sentence
from genre_app.runs.folds import cross_validate
from genre_app.runs.queue import device_of, only_process_of
from genre_app.runs.run import Run
from genre_app.runs.status import Status
from genre_app.runs.watched import WatchedRun
from genre_app.training.config import TrainConfig
from genre_app.training.held_out import HeldOut
from genre_app.training.processes import join


@dataclass(frozen=True)
class Outcome:
    """Result of a trial.

    Attributes
    ----------
    log_loss, accuracy : float
        Of whole validation tracks; with folds, the mean over folds.
    seconds : float
        Of training; with folds, of the whole cross-validation.
    """

    log_loss: float
    accuracy: float
    seconds: float


class PrunedError(Exception):
    """The trial is ended early, because it is worse than half of the trials before."""


Report = Callable[[int, float], bool]
"""Takes an epoch or a fold, and its log-loss; returns whether the trial is to be pruned."""


def train_trial(run: Run, report: Report, should_stop: Callable[[], bool]) -> Outcome:
    """Train the run of a trial.

    Raises
    ------
    PrunedError, StoppedError
        If ``report`` or ``should_stop`` says so.
    """
    pruned = False
    config = run.description().config

    def listen(event: events.Event) -> None:
        nonlocal pruned
        if isinstance(event, events.Epoch) and event.valid_log_loss is not None and math.isfinite(event.valid_log_loss):
            # After the last epoch nothing is saved by ending early.
            pruned = report(event.epoch, event.valid_log_loss) and event.epoch < config.epochs

    if run.status() is not Status.finished:
        run.cancel_stop()
        watched = WatchedRun(run.path, listen, lambda: pruned or should_stop())
        if not work(watched, say=run.log):
            raise PrunedError if pruned else StoppedError("stopped on request")
    end = run.journal().last(events.Finished)
    if end is None or end.log_loss is None or end.accuracy is None:
        raise DataError("The run has no validation tracks; set another split.method, or search with --folds.")
    return Outcome(end.log_loss, end.accuracy, end.seconds)


def cross_validate_trial(run: Run, folds: int, report: Report, should_stop: Callable[[], bool]) -> Outcome:
    """Cross-validate the settings of a trial in the folder of its run, which stays untrained.

    Raises
    ------
    PrunedError, StoppedError
        If ``report`` or ``should_stop`` says so.
    """
    request = run.description().request
    began, outcomes = time.monotonic(), list[Outcome]()
    monitor = Monitor(should_stop=should_stop)

    def after_fold(config: TrainConfig, parts: Sequence[HeldOut]) -> None:
        outcomes.append(_over_folds(config, parts, time.monotonic() - began))
        if report(len(parts), outcomes[-1].log_loss) and len(parts) < folds:
            raise PrunedError

    with only_process_of(run):
        run.record_process()
        try:
            with device_of(run, join()[1], monitor, run.log):
                run.record(events.Preparing(stage="cross-validating"))
                cross_validate(request, folds, run.path, say=run.log, after_fold=after_fold, monitor=monitor)
        except (PrunedError, StoppedError):
            run.record_end(events.Stopped())
            raise
        except BaseException as error:
            run.record_end(events.Failed(message=sentence(error)))
            raise
        run.record_end(events.Stopped())  # the run itself can be trained later, with --resume
    return outcomes[-1]


def _over_folds(config: TrainConfig, parts: Sequence[HeldOut], seconds: float) -> Outcome:
    """Return the means over folds; one temperature for all, if the recipe fits it."""
    temperature = HeldOut.join(parts).temperature() if config.fit_temperature else config.temperature
    reports = [part.report(temperature) for part in parts]
    log_loss, accuracy = (sum(getattr(report, name) for report in reports) / len(reports) for name in ("log_loss", "accuracy"))
    return Outcome(log_loss, accuracy, seconds)
