"""Progress of long tasks, a way to stop them, and the number of cores they may use."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_CONTAINER_LIMIT = Path("/sys/fs/cgroup/cpu.max")  # of a cgroup v2, in microseconds of CPU time and of a period
_MAX_WINDOWS = 60  # a process there waits for at most 63 others
_SETTLING_SECONDS = 1.0  # an earlier rate is too uncertain to predict the time left


@dataclass(frozen=True)
class Progress:
    """How far one stage of a task is.

    Attributes
    ----------
    stage : str
        Name of the stage and its unit: "decoding tracks", "unpacking MB".
    done, total : int
        In that unit.
    eta_seconds : float or None
        Time left at the rate so far; None while the rate is unknown.
    """

    stage: str
    done: int
    total: int
    eta_seconds: float | None


class StoppedError(Exception):
    """The caller asked the task to stop. Finished work is kept; the same task continues from there."""


@dataclass(frozen=True)
class Monitor:
    """The two ways in which a caller follows a long task: progress reports and a stop signal.

    Attributes
    ----------
    on_progress : callable
        Called with a `Progress`.
    should_stop : callable
        Returns whether the task must stop; called several times a second.
    """

    on_progress: Callable[[Progress], object] = lambda _: None
    should_stop: Callable[[], bool] = lambda: False

    def check(self, doing: str = "") -> None:
        """Raise `StoppedError` if the task must stop; ``doing`` names the interrupted work in the message."""
        if self.should_stop():
            raise StoppedError(f"stopped while {doing}" if doing else "stopped on request")


QUIET = Monitor()
"""A monitor that ignores reports and never stops the task."""


class Meter:
    """Count the finished units of one stage and report them.

    Parameters
    ----------
    stage : str
    total : int
        Number of units, as it is shown.
    work : float
        Size of the whole stage in the quantity that predicts its time best, such as bytes.
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
        """Count finished ``units`` and their ``work``; ``free`` work was done by an earlier call and took no time now."""
        self._done += units
        self._worked += work
        self._free += work if free else 0.0
        self.check()
        self.monitor.on_progress(Progress(self._stage, min(self._done, self._total), self._total, self._eta()))

    def advance_bytes(self, n_bytes: int, *, free: bool = False) -> None:
        """Count finished bytes in a stage whose unit is the MB and whose work is counted in bytes."""
        self.advance((int(self._worked + n_bytes) >> 20) - (int(self._worked) >> 20), n_bytes, free=free)

    def _eta(self) -> float | None:
        elapsed, paid = time.monotonic() - self._began, self._worked - self._free
        if self._worked >= self._work:
            return 0.0
        if elapsed < _SETTLING_SECONDS or paid <= 0:
            return None
        return elapsed / paid * (self._work - self._worked)


def usable_cores() -> int:
    """Return the number of cores that this process may use; a container often may use only some of the machine's."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else min(os.cpu_count() or 1, _MAX_WINDOWS)
    with suppress(OSError, ValueError):  # no container, or one without a limit, which is written "max"
        microseconds, period = map(int, _CONTAINER_LIMIT.read_text(encoding="ascii").split())
        cores = max(1, min(cores, math.ceil(microseconds / period)))
    return cores
