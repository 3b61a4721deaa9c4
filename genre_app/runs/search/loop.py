"""The loop over the trials of a search."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import optuna
import torch
from filelock import FileLock, Timeout
from optuna.trial import Trial, TrialState

from genre_app.errors import GenreAppError, RunError
from genre_app.progress import StoppedError
from genre_app.runs.failure import EXPECTED, sentence
from genre_app.runs.run import Run
from genre_app.runs.search import study as studies
from genre_app.runs.search.search import Search, SearchFolder
from genre_app.runs.search.space import draw
from genre_app.runs.search.trial import Outcome, PrunedError, cross_validate_trial, train_trial
from genre_app.runs.settings import Value

_MAX_FAILURES = 3  # of the first trials: after these, all are expected to fail


def run_search(folder: SearchFolder, *, say: Callable[[str], object] = print) -> bool:
    """Do the rest of a search: resume its interrupted trial, then draw and train new ones.

    Parameters
    ----------
    folder : SearchFolder
    say : callable
        Gets one line of text at a time. The lines of a trial go to its own ``log.txt``.

    Returns
    -------
    bool
        Whether all trials are done; False if the search is stopped.

    Raises
    ------
    RunError
        If another process works on the search, its recipe has changed, or its first trials all fail.
    """
    search = folder.search()
    if search.request.config() != search.config:
        name = Path(search.request.recipe).name
        raise RunError(f"The recipe {name} has changed since the search began; start a new search.")
    try:
        with FileLock(folder.path / "search.lock", timeout=0):
            folder.record_process()
            folder.cancel_stop()
            with studies.open_study(folder.path / "study.db", search) as study:
                is_done = _Loop(folder, search, study, say).run()
            folder.cancel_stop()
    except Timeout as error:
        raise RunError(f"{folder.name} is running already, in another process.") from error
    return is_done


class _Loop:
    """The loop over trials, in one process."""

    def __init__(self, folder: SearchFolder, search: Search, study: optuna.Study, say: Callable[[str], object]) -> None:
        self.folder, self.search, self.study, self.say = folder, search, study, say

    def run(self) -> bool:
        studies.write_results(self.study, self.search, self.folder.path)  # a process may have died before it wrote them
        while (trial := studies.next_trial(self.study, self.search)) is not None:
            if self.folder.should_stop:
                return False
            try:
                self.do(trial)
            except StoppedError:
                return False
            studies.write_results(self.study, self.search, self.folder.path)
            self.refuse_if_all_fail()
        return True

    def do(self, trial: Trial) -> None:
        """Train a trial and tell the study how it ended."""
        number = trial.number + 1
        settings = draw(trial, self.search.space)
        shown = "  ".join(f"{field}={value}" for field, value in settings.items())
        self.say(f"trial {number} of {self.search.trials}: {shown}")
        try:
            outcome = self.train(trial, self.run_of(number, settings))
        except PrunedError:
            studies.tell(self.study, trial, TrialState.PRUNED)
            self.say(f"trial {number}: pruned, because it is worse than half of the trials before")
        except (*EXPECTED, torch.OutOfMemoryError, ValueError) as error:
            studies.tell(self.study, trial, TrialState.FAIL, message=sentence(error))
            self.say(f"trial {number}: failed: {sentence(error)}")
        else:
            facts = {"accuracy": outcome.accuracy, "seconds": outcome.seconds}
            studies.tell(self.study, trial, TrialState.COMPLETE, outcome.log_loss, **facts)
            best = self.study.best_trial
            self.say(
                f"trial {number}: log-loss {outcome.log_loss:.4f}  accuracy {outcome.accuracy:.1%}  "
                f"best so far: trial {best.number + 1}, {best.value:.4f}"
            )

    def train(self, trial: Trial, run: Run) -> Outcome:
        report = studies.Reporter(self.study, trial, prune=self.search.prune)
        if report.is_pruned():  # the process ended between the decision and its record
            raise PrunedError
        if self.search.folds:
            return cross_validate_trial(run, self.search.folds, report, lambda: self.folder.should_stop)
        return train_trial(run, report, lambda: self.folder.should_stop)

    def run_of(self, number: int, settings: dict[str, Value]) -> Run:
        """Return the run of a trial: the interrupted one, or a new one."""
        run = self.folder.trial(number)
        request = self.search.request
        with suppress(RunError):
            run.description()
            return run
        shutil.rmtree(run.path, ignore_errors=True)  # the process ended while it created the folder
        return Run.create(run.path, request.model_copy(update={"settings": request.settings | settings}))

    def refuse_if_all_fail(self) -> None:
        failures = studies.failures(self.study)
        if len(failures) == len(self.study.trials) == _MAX_FAILURES:
            raise GenreAppError(f"The first {_MAX_FAILURES} trials failed; the last one: {failures[-1]}")
