"""A lock between processes that a waiting task can leave."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from genre_app.progress import Monitor

_POLL_SECONDS = 0.5


@contextmanager
def locked(path: Path, monitor: Monitor) -> Iterator[None]:
    """Hold the lock of a file; while another process holds it, wait and ask the monitor whether to stop.

    Raises
    ------
    StoppedError
        If the task must stop while it waits.
    """
    lock = FileLock(path)
    while not lock.is_locked:
        try:
            lock.acquire(timeout=_POLL_SECONDS)
        except Timeout:
            monitor.check("waiting for another process that prepares the same data")
    try:
        yield
    finally:
        lock.release()
