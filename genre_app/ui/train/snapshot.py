"""Runs as the page reads them, always from their folders: a restarted server and a second browser see the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from genre_app.errors import RunError
from genre_app.runs.events import Finished
from genre_app.runs.journal import Journal
from genre_app.runs.run import Description, Run, Status, list_runs

RECORDINGS = "recordings"
"""The series of the charts that has imitated recordings of the validation tracks; a longer word leaves others no room."""

_POINTS = 240  # of a curve; more cannot be told apart

Event = Any  # of `genre_app.runs.events`, or an empty dict


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A run at one moment.

    Attributes
    ----------
    run : Run
    description : Description
    status : Status
    events : tuple of dict
        The journal.
    epochs : list of dict
        Those that are over.
    """

    run: Run
    description: Description
    status: Status
    events: tuple[Event, ...]
    epochs: list[Event]

    def last(self, name: str) -> Event:
        """Return the last event of this name, empty if there is none."""
        return next((event for event in reversed(self.events) if event["event"] == name), {})

    @property
    def since_start(self) -> tuple[Event, ...]:
        """Events since the run was last started or resumed."""
        begins = [index for index, event in enumerate(self.events) if event["event"] == "process"]
        return self.events[begins[-1] :] if begins else self.events

    @property
    def validated(self) -> list[Event]:
        """Epochs that were validated."""
        return [epoch for epoch in self.epochs if epoch.get("valid_accuracy") is not None]

    @property
    def best(self) -> Event:
        """The epoch whose weights are kept so far, empty before the first."""
        return next((epoch for epoch in reversed(self.epochs) if epoch.get("best")), {})

    @property
    def n_epochs(self) -> int:
        """Epochs that the settings ask for."""
        return self.description.config.epochs


@dataclass(frozen=True)
class Brief:
    """A run in the list of all runs.

    Attributes
    ----------
    name : str
    status : Status
    epoch, epochs : int
        That are over, and that the settings ask for.
    accuracy : float or None
        Of the epoch kept, on whole validation tracks.
    created : float
        Seconds since 1970.
    has_checkpoint : bool
    """

    name: str
    status: Status
    epoch: int
    epochs: int
    accuracy: float | None
    created: float
    has_checkpoint: bool


def find(name: str | None) -> Run | None:
    """Return the run of this name if there is one; nothing that a visitor sends is taken for a path."""
    return next((run for run in list_runs() if run.name == name), None)


def briefs() -> list[Brief]:
    """Return all runs, the newest first."""
    found = []
    for run in list_runs():
        try:
            described = run.description()
        except RunError:
            continue
        journal = run.journal()
        found.append(
            Brief(
                name=run.name,
                status=run.status(journal),
                epoch=journal.epochs[-1].epoch if journal.epochs else 0,
                epochs=described.config.epochs,
                accuracy=_accuracy(journal),
                created=described.created,
                has_checkpoint=run.best.is_file(),
            )
        )
    return found


def snapshot(run: Run) -> Snapshot:
    """Read a run.

    Raises
    ------
    RunError
        If it is gone or damaged.
    """
    journal = run.journal()
    return Snapshot(run, run.description(), run.status(journal), journal.events, list(journal.epochs))


def _accuracy(journal: Journal) -> float | None:
    finished = journal.last(Finished)
    if finished is not None:
        return finished.accuracy
    return journal.best.valid_accuracy if journal.best else None


def curves(seen: Snapshot) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return loss, accuracy and learning rate over epochs, each with the columns ``epoch``, ``value`` and ``series``."""
    loss: list[tuple[float, float | None, str]] = []
    rate: list[tuple[float, float | None, str]] = []
    for event in _thinned(_steps(seen)):
        at = event["epoch"] - 1 + event["step"] / max(1, event["steps"])
        loss.append((at, event["loss"], "training"))
        rate.append((at, event["learning_rate"], "learning rate"))
    accuracy: list[tuple[float, float | None, str]] = []
    for epoch in _thinned(seen.epochs):
        loss.append((epoch["epoch"], epoch["train_loss"], "training"))
        rate.append((epoch["epoch"], epoch["learning_rate"], "learning rate"))
    for epoch in _thinned(seen.validated):
        loss.append((epoch["epoch"], epoch["valid_log_loss"], "validation"))
        accuracy.append((epoch["epoch"], epoch["valid_accuracy"], "whole tracks"))
        accuracy.append((epoch["epoch"], epoch["valid_segment_accuracy"], "segments"))
        loss.append((epoch["epoch"], epoch.get("recorded_log_loss"), RECORDINGS))
        accuracy.append((epoch["epoch"], epoch.get("recorded_accuracy"), RECORDINGS))
    return _frame(loss), _frame(accuracy), _frame(rate)


def overlaid(one: Snapshot, other: Snapshot) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return validation log-loss and accuracy of whole tracks over epochs of two runs, ``series`` being their names."""
    epochs = [(epoch, seen.run.name) for seen in (one, other) for epoch in _thinned(seen.validated)]
    loss = _frame([(epoch["epoch"], epoch["valid_log_loss"], name) for epoch, name in epochs])
    return loss, _frame([(epoch["epoch"], epoch["valid_accuracy"], name) for epoch, name in epochs])


def _steps(seen: Snapshot) -> list[Event]:
    """Return the steps told of, without those that a resumed run took again."""
    kept: list[Event] = []
    for event in seen.events:
        if event["event"] == "started":
            at = (event.get("epoch", 0), event.get("step", 0))
            kept = [step for step in kept if (step["epoch"] - 1, step["step"]) <= at]
        elif event["event"] == "step" and event.get("loss") is not None and event["step"] < event["steps"]:
            kept.append(event)  # the last one of an epoch is in what is told of the epoch
    return kept


def _thinned(events: list[Event]) -> list[Event]:
    every = -(-len(events) // _POINTS) or 1
    return events[::-1][::every][::-1]  # the newest one always


def _frame(points: list[tuple[float, Any, str]]) -> pd.DataFrame:
    rows = [point for point in points if point[1] is not None]
    return pd.DataFrame(sorted(rows, key=lambda row: (row[2], row[0])), columns=["epoch", "value", "series"])
