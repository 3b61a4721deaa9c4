"""Progress of long tasks, and a way to stop them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

_SETTLING_SECONDS = 1.0  # before that the rate says little


@dataclass(frozen=True)
class Progress:
    """A moment of a long step.

    Attributes
    ----------
    stage : str
        What is being done and counted: "decoding tracks", "unpacking MB".
    done, total : int
    eta_seconds : float or None
        Time left at the rate so far; None while there is no rate yet.
    """

    stage: str
    done: int
    total: int
    eta_seconds: float | None


class StoppedError(Exception):
    """The caller asked the task to stop. What is done is kept; the same task continues from there."""


@dataclass(frozen=True)
class Monitor:
    """What a long task reports to, and what tells it to stop.

    Attributes
    ----------
    on_progress : callable
        Called with a `Progress`.
    should_stop : callable
        Asked several times a second; returns whether the task must stop.
    """

    on_progress: Callable[[Progress], object] = lambda _: None
    should_stop: Callable[[], bool] = lambda: False

    def check(self, doing: str = "") -> None:
        """Raise `StoppedError` if the task must stop; ``doing`` says in the message what it was doing."""
        if self.should_stop():
            raise StoppedError(f"stopped while {doing}" if doing else "stopped on request")


QUIET = Monitor()
"""Reports to nobody and never stops."""


class Meter:
    """Counts the finished units of one stage and reports them.

    Parameters
    ----------
    stage : str
    total : int
        Units, as they are shown.
    work : float
        Size of the whole task in the unit that predicts its time best, such as bytes.
    monitor : Monitor
    """

    def __init__(self, stage: str, total: int, work: float, monitor: Monitor) -> None:
        self.monitor = monitor
        self._stage, self._total, self._work = stage, total, work
        self._began = time.monotonic()
        self._done = 0
        self._worked = self._free = 0.0

    def check(self) -> None:
        """Raise `StoppedError` if the task must stop."""
        self.monitor.check(f"{self._stage}: {self._done} of {self._total} are done and kept")

    def advance(self, units: int, work: float, *, free: bool = False) -> None:
        """Count ``units`` and their ``work``; ``free`` says that an earlier call had done it, so it took no time."""
        self._done += units
        self._worked += work
        self._free += work if free else 0.0
        self.check()
        self.monitor.on_progress(Progress(self._stage, min(self._done, self._total), self._total, self._eta()))

    def _eta(self) -> float | None:
        elapsed, paid = time.monotonic() - self._began, self._worked - self._free
        if self._worked >= self._work:
            return 0.0
        if elapsed < _SETTLING_SECONDS or paid <= 0:
            return None
        return elapsed / paid * (self._work - self._worked)
