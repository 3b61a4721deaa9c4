"""The study of a search: Optuna's record of the trials, and what is read from it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from genre_app.runs.search.results import Results, Row, write
from genre_app.runs.search.search import Search
from genre_app.runs.search.space import value_of

_NAME = "search"
_BEFORE_PRUNING = 5  # trials that are never pruned: Optuna's default
_WARMUP_SHARE = 3  # a trial is not pruned in the first third of its epochs: learning rates that win late lose at first
_MIN_FOR_IMPORTANCE = 4  # finished trials
_STATES = {TrialState.COMPLETE: "done", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


@contextmanager
def open_study(path: Path, search: Search) -> Iterator[optuna.Study]:
    """Open or create the study in an SQLite file, and close the file at the end."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # With a creator, any name of a folder is possible; in an address, "?" and "#" would be read as more than a name.
    arguments = {"creator": lambda: sqlite3.connect(path, check_same_thread=False)}
    warmup = 1 if search.folds else search.config.epochs // _WARMUP_SHARE
    pruner = optuna.pruners.MedianPruner(n_startup_trials=_BEFORE_PRUNING, n_warmup_steps=warmup)
    storage = optuna.storages.RDBStorage("sqlite://", engine_kwargs=arguments)
    try:
        yield optuna.create_study(storage=storage, study_name=_NAME, load_if_exists=True, pruner=pruner)
    finally:
        storage.remove_session()
        storage.engine.dispose()


def next_trial(study: optuna.Study, search: Search) -> Trial | None:
    """Return the interrupted trial if there is one, or a new one; None if all are done."""
    known = study.get_trials(deepcopy=False)
    interrupted = [trial for trial in known if not trial.state.is_finished()]
    if not interrupted and len(known) >= search.trials:
        return None
    number = interrupted[0].number if interrupted else len(known)
    # A sampler of its own for each trial: an interrupted search then draws the same settings as one that is not.
    seed = search.config.seed + number
    samplers = optuna.samplers
    study.sampler = samplers.RandomSampler(seed) if search.sampler == "random" else samplers.TPESampler(seed=seed)
    return Trial(study, interrupted[0]._trial_id) if interrupted else study.ask()


class Reporter:
    """Reports intermediate values of a trial to the study, each step once, and says whether to prune it."""

    def __init__(self, study: optuna.Study, trial: Trial, *, prune: bool) -> None:
        self.study, self.trial, self.prune = study, trial, prune
        self.known = set(study.get_trials(deepcopy=False)[trial.number].intermediate_values)

    def __call__(self, step: int, log_loss: float) -> bool:
        """Report a value; return whether the trial is to be pruned."""
        if step not in self.known:  # a resumed run may repeat an epoch
            self.known.add(step)
            self.trial.report(log_loss, step)
        return self.is_pruned()

    def is_pruned(self) -> bool:
        """Return whether the trial is to be pruned after the last value."""
        return self.prune and bool(self.known) and self.trial.should_prune()


def tell(study: optuna.Study, trial: Trial, state: TrialState, log_loss: float | None = None, **facts: Any) -> None:
    """Record how a trial ended; ``facts`` are other fields of its `Row`."""
    for name, value in facts.items():
        trial.set_user_attr(name, value)
    study.tell(trial, log_loss, state)


def failures(study: optuna.Study) -> list[str]:
    """Return the messages of the failed trials."""
    failed = study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
    return [str(trial.user_attrs.get("message", "")) for trial in failed]


def write_results(study: optuna.Study, search: Search, folder: Path) -> None:
    """Write the files of `genre_app.runs.search.results` if a trial has ended."""
    trials = [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
    if not trials:
        return
    rows = sorted((_row(trial, search) for trial in trials), key=Row.order)
    results = Results(trials=search.trials, folds=search.folds, rows=tuple(rows), importance=importance(study, trials))
    write(results, folder, search.space)


def _row(trial: FrozenTrial, search: Search) -> Row:
    steps = trial.intermediate_values
    last = steps[max(steps)] if steps else None
    params = trial.params
    return Row(
        number=trial.number + 1,
        state=_STATES[trial.state],
        log_loss=trial.value if trial.state is TrialState.COMPLETE else last,
        accuracy=trial.user_attrs.get("accuracy"),
        seconds=trial.user_attrs.get("seconds"),
        settings={field: value_of(params[field], values) for field, values in search.space.items() if field in params},
        message=trial.user_attrs.get("message"),
    )


def importance(study: optuna.Study, trials: Sequence[FrozenTrial]) -> dict[str, float]:
    """Return the share of the variance of the log-loss that each field explains (fANOVA); empty with too few trials."""
    done = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    if len(done) < _MIN_FOR_IMPORTANCE or len({trial.value for trial in done}) < 2:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    return {name: float(share) for name, share in optuna.importance.get_param_importances(study, evaluator=evaluator).items()}
