"""Runs as the page reads them, always from their folders: a restarted server and a second browser show the same."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

from genre_app.errors import RunError
from genre_app.runs.events import Epoch, Finished, Started, Stepped
from genre_app.runs.journal import Journal
from genre_app.runs.report import Report
from genre_app.runs.run import Description, Run, list_runs
from genre_app.runs.status import Status


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A run at one moment."""

    run: Run
    description: Description
    status: Status
    journal: Journal

    @property
    def started(self) -> Started | None:
        """The last start of the training loop; None before the data are open."""
        return self.journal.last(Started)

    @property
    def step(self) -> Stepped | None:
        """The last reported step."""
        return self.journal.last(Stepped)

    @property
    def validated(self) -> list[Epoch]:
        """Epochs that were validated."""
        return [epoch for epoch in self.journal.epochs if epoch.valid_accuracy is not None]

    @property
    def n_finished(self) -> int:
        """Number of finished epochs."""
        return self.journal.epochs[-1].epoch if self.journal.epochs else 0

    @property
    def n_epochs(self) -> int:
        """Number of epochs that the settings ask for."""
        return self.description.config.epochs

    @property
    def trains_on_all(self) -> bool:
        """Whether there are no validation tracks."""
        return self.description.config.split.trains_on_all

    @property
    def accuracy(self) -> float | None:
        """Share of whole validation tracks that the kept epoch gets right."""
        finished, best = self.journal.last(Finished), self.journal.best
        return finished.accuracy if finished else best.valid_accuracy if best else None

    @property
    def report(self) -> Report | None:
        """The report of a finished run; None if it is damaged."""
        with suppress(RunError):
            return self.read_report()
        return None

    def read_report(self) -> Report | None:
        """Read the report of a finished run; raises `RunError` if it is damaged."""
        return cast("Report | None", self.run.report()) if self.status is Status.finished else None


def find(name: str | None) -> Run | None:
    """Return the run of this name if there is one. A visitor's text never becomes a path."""
    return next((run for run in list_runs() if run.name == name), None)


def snapshots(on_damaged: Callable[[RunError], object] = lambda _: None) -> list[Snapshot]:
    """Read all runs, the newest first; ``on_damaged`` gets the error of each run that cannot be read."""
    found = []
    for run in list_runs(on_damaged=on_damaged):
        try:
            run.check_name("run")
        except RunError as error:
            on_damaged(error)
            continue
        with suppress(RunError):  # the run was deleted meanwhile
            found.append(snapshot(run))
    return found


def snapshot(run: Run) -> Snapshot:
    """Read a run.

    Raises
    ------
    RunError
        If the run is gone or damaged.
    """
    status, journal = run.look()
    return Snapshot(run, run.description(), status, journal)
