"""How far a long step of opening data has come, and how it is told to stop."""

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
    """The caller asked to stop; what is done is kept, and opening the same data again goes on from there."""


class Meter:
    """Counts what is done of one stage, reports it, and asks whether to stop.

    Parameters
    ----------
    stage : str
    total : int
        Units, as they are shown.
    work : float
        Size of the whole task in whatever tells its time best, such as bytes.
    on_progress, should_stop : callable, optional
    """

    def __init__(
        self,
        stage: str,
        total: int,
        work: float,
        on_progress: Callable[[Progress], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> None:
        self._stage, self._total, self._work = stage, total, work
        self._on_progress, self._should_stop = on_progress, should_stop
        self._began = time.monotonic()
        self._done = 0
        self._worked = self._free = 0.0

    @property
    def stopping(self) -> bool:
        """Whether the caller asked to stop."""
        return self._should_stop is not None and self._should_stop()

    def check(self) -> None:
        """Raise `StoppedError` if the caller asked for it."""
        if self.stopping:
            raise StoppedError(f"stopped while {self._stage}: {self._done} of {self._total} are done and kept")

    def advance(self, units: int, work: float, *, free: bool = False) -> None:
        """Count some units, and the work that they were; ``free`` where an earlier call had done it."""
        self._done += units
        self._worked += work
        self._free += work if free else 0.0
        self.check()
        if self._on_progress is not None:
            self._on_progress(Progress(self._stage, min(self._done, self._total), self._total, self._eta()))

    def _eta(self) -> float | None:
        elapsed, paid = time.monotonic() - self._began, self._worked - self._free
        if self._worked >= self._work:
            return 0.0
        if elapsed < _SETTLING_SECONDS or paid <= 0:
            return None
        return elapsed / paid * (self._work - self._worked)
