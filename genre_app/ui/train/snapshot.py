"""Runs as the page reads them, always from their folders: a restarted server and a second browser see the same."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pandas as pd

from genre_app.errors import RunError
from genre_app.runs.run import Description, Run, Status, list_runs

RECORDINGS = "recordings"
"""The series of the charts that has imitated recordings of the validation tracks; a longer word leaves others no room."""

_POINTS = 240  # of a curve; more cannot be told apart

Event = dict[str, Any]


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
            described = _description(run, _stamp(run, "run.json"))
        except RunError:
            continue
        telling, epoch, accuracy = _gist(run, _stamp(run, "journal.jsonl"))
        found.append(
            Brief(
                name=run.name,
                status=run.status(list(telling)),
                epoch=epoch,
                epochs=described.config.epochs,
                accuracy=accuracy,
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
    events = _journal(run, _stamp(run, "journal.jsonl"))
    described = _description(run, _stamp(run, "run.json"))
    return Snapshot(run, described, run.status(list(events)), events, run.epochs(list(events)))


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


def _stamp(run: Run, name: str) -> tuple[int, int, int]:
    """Return what changes when a file does."""
    try:
        found = (run.path / name).stat()
    except OSError:
        return 0, 0, 0
    return found.st_mtime_ns, found.st_size, found.st_ino


@lru_cache(maxsize=256)
def _description(run: Run, _: tuple[int, int, int]) -> Description:
    return run.description()


@lru_cache(maxsize=4)
def _journal(run: Run, _: tuple[int, int, int]) -> tuple[Event, ...]:
    return tuple(run.journal())


@lru_cache(maxsize=1024)
def _gist(run: Run, stamp: tuple[int, int, int]) -> tuple[tuple[Event, ...], int, float | None]:
    """Return the last event of each kind in their order, the epochs that are over, and the accuracy of the one kept."""
    events = _journal(run, stamp)
    epochs = run.epochs(list(events))
    kept = next((epoch.get("valid_accuracy") for epoch in reversed(epochs) if epoch.get("best")), None)
    places = {event["event"]: place for place, event in enumerate(events)}
    telling = tuple(events[place] for place in sorted(places.values()))
    accuracy = next((event["accuracy"] for event in telling if event["event"] == "finished"), kept)
    return telling, epochs[-1]["epoch"] if epochs else 0, accuracy
