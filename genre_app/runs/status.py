"""The state of a run, which follows from its journal and from whether its process is alive."""

from __future__ import annotations

import time
from enum import StrEnum

from genre_app.runs import events
from genre_app.runs.host import is_alive
from genre_app.runs.journal import Journal

_START_SECONDS = 120.0  # a process that was started writes its first event within this time


class Status(StrEnum):
    """State of a run."""

    starting = "starting"
    queued = "queued"
    preparing = "preparing"
    running = "running"
    paused = "paused"
    stopped = "stopped"
    finished = "finished"
    failed = "failed"
    died = "died"

    @property
    def is_active(self) -> bool:
        """Whether a process works on the run, or will."""
        return self in (Status.starting, Status.queued, Status.preparing, Status.running, Status.paused)


_STATUS: dict[type[events.BaseEvent], Status] = {
    events.Created: Status.starting,
    events.Process: Status.starting,
    events.Queued: Status.queued,
    events.Preparing: Status.preparing,
    events.Started: Status.running,
    events.Paused: Status.paused,
    events.Stopped: Status.stopped,
    events.Finished: Status.finished,
    events.Failed: Status.failed,
}


def status_of(journal: Journal) -> Status:
    """Return the state that a journal describes; ``died`` if its process vanished after the last event."""
    last = journal.latest(*_STATUS)
    if last is None:
        return Status.died
    status = _STATUS[type(last)]
    if isinstance(last, events.Created):
        return status if abs(time.time() - last.time) < _START_SECONDS else Status.died
    if not status.is_active or status is Status.paused:
        return status
    process = journal.last(events.Process)
    return status if process and is_alive(process.pid, process.pid_created) else Status.died
