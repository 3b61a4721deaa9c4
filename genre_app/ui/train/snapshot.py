"""Runs as the page reads them, always from their folders: a restarted server and a second browser show the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from genre_app.errors import RunError
from genre_app.runs.run import Description, Run, Status, runs_folder

Event = dict[str, Any]
"""A line of the journal."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A run at one moment.

    Attributes
    ----------
    run : Run
    description : Description
    status : Status
    events : list of dict
        The journal.
    epochs : list of dict
        The finished epochs.
    """

    run: Run
    description: Description
    status: Status
    events: list[Event]
    epochs: list[Event]

    def last(self, name: str) -> Event:
        """Return the last event of this name, empty if there is none."""
        return next((event for event in reversed(self.events) if event["event"] == name), {})

    @property
    def since_start(self) -> list[Event]:
        """Events since the run was last started or resumed."""
        starts = [index for index, event in enumerate(self.events) if event["event"] == "process"]
        return self.events[starts[-1] :] if starts else self.events

    @property
    def validated(self) -> list[Event]:
        """Epochs that were validated."""
        return [epoch for epoch in self.epochs if epoch.get("valid_accuracy") is not None]

    @property
    def best(self) -> Event:
        """The epoch whose weights are kept so far, empty before the first."""
        return next((epoch for epoch in reversed(self.epochs) if epoch.get("best")), {})

    @property
    def n_finished(self) -> int:
        """Number of finished epochs."""
        return int(self.epochs[-1]["epoch"]) if self.epochs else 0

    @property
    def n_epochs(self) -> int:
        """Number of epochs that the settings ask for."""
        return self.description.config.epochs

    @property
    def n_valid(self) -> int:
        """Number of validation tracks; 0 before the data are open."""
        return int(self.last("started").get("tracks", {}).get("valid", 0))

    @property
    def report(self) -> dict[str, Any] | None:
        """The report of a finished run."""
        return self.run.report() if self.status is Status.finished else None


@dataclass(frozen=True)
class Brief:
    """A run in the list of all runs.

    Attributes
    ----------
    name : str
    status : Status
    epoch, epochs : int
        Finished epochs, and epochs that the settings ask for.
    accuracy : float or None
        Share of whole validation tracks that the kept epoch gets right.
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


@dataclass(frozen=True)
class _Summary:
    """What the list of runs needs of ``run.json`` and the journal.

    ``latest`` holds the last event of each kind, in their order; `Run.status` needs no others.
    """

    created: float
    epochs: int
    latest: tuple[Event, ...]
    epoch: int
    accuracy: float | None


def find(name: str | None) -> Run | None:
    """Return the run of this name if there is one. A visitor's text never becomes a path."""
    return next((run for run in _runs() if run.name == name), None)


def briefs() -> list[Brief]:
    """Return all runs, the newest first."""
    found = []
    for run in _runs():
        try:
            summary = _summary(run, _stamp(run.path / "run.json"), _stamp(run.path / "journal.jsonl"))
        except RunError:
            continue
        found.append(
            Brief(
                name=run.name,
                status=run.status(list(summary.latest)),
                epoch=summary.epoch,
                epochs=summary.epochs,
                accuracy=summary.accuracy,
                created=summary.created,
                has_checkpoint=run.best.is_file(),
            )
        )
    return sorted(found, key=lambda brief: (-brief.created, brief.name))


def snapshot(run: Run) -> Snapshot:
    """Read a run.

    Raises
    ------
    RunError
        If the run is gone or damaged.
    """
    events = run.journal()
    return Snapshot(run, run.description(), run.status(events), events, run.epochs(events))


def _runs() -> Iterator[Run]:
    """Yield all runs without reading them; a folder with a dot is a run that is being deleted."""
    return (Run(path.parent) for path in runs_folder().glob("*/run.json") if not path.parent.name.startswith("."))


def _stamp(path: Path) -> tuple[int, int, int]:
    """Return numbers that change when the file does."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0, 0
    return found.st_mtime_ns, found.st_size, found.st_ino


@lru_cache(maxsize=1024)
def _summary(run: Run, *_: tuple[int, int, int]) -> _Summary:
    description, events = run.description(), run.journal()
    epochs = run.epochs(events)
    last_index = {event["event"]: index for index, event in enumerate(events)}
    latest = tuple(events[index] for index in sorted(last_index.values()))
    kept = next((epoch.get("valid_accuracy") for epoch in reversed(epochs) if epoch.get("best")), None)
    return _Summary(
        created=description.created,
        epochs=description.config.epochs,
        latest=latest,
        epoch=epochs[-1]["epoch"] if epochs else 0,
        accuracy=next((event["accuracy"] for event in latest if event["event"] == "finished"), kept),
    )
