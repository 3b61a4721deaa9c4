"""The queue of runs before a device: one run at a time trains on it, in the order in which they were queued."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from filelock import AcquireReturnProxy, FileLock, Timeout

from genre_app.errors import RunError
from genre_app.files import temporary_folder
from genre_app.progress import Monitor
from genre_app.runs.events import Queued
from genre_app.runs.run import Run, list_runs
from genre_app.runs.status import Status

_POLL_SECONDS = 0.5
_EXIT_SECONDS = 10.0  # in which a process that has recorded its end lets go of its run, also on a busy machine


def device_of(run: Run, device: torch.device, monitor: Monitor, say: Callable[[str], object]) -> AcquireReturnProxy:
    """Return a context that holds the device for this run; wait while another run trains on it or was queued earlier.

    ``say`` gets one line of text if the run waits.

    Raises
    ------
    StoppedError
        If ``monitor`` says so while the run waits.
    """
    name = "cpu" if device.type == "cpu" else f"{device.type}-{device.index or 0}"
    lock = FileLock(_locks_folder() / f"{name}.lock")
    queued: Queued | None = None
    while _is_queued_before(run, name, queued) or (held := _acquired(lock)) is None:
        if queued is None:
            queued = Queued(device=name)
            run.record(queued)
            say(f"waiting for another run, which trains on this machine's {'CPU' if name == 'cpu' else 'GPU'}")
        monitor.check()
        time.sleep(_POLL_SECONDS)
    return held


def only_process_of(run: Run) -> AcquireReturnProxy:
    """Return a context in which no other process works on the run; raises `RunError` if another process does already."""
    # A process that has just recorded its end needs a moment to exit, and its run may be resumed at once.
    works = run.status() in (Status.queued, Status.preparing, Status.running)
    try:
        return FileLock(run.path / "run.lock").acquire(timeout=0.0 if works else _EXIT_SECONDS)
    except Timeout as error:
        raise RunError(f"{run.name} is running already, in another process.") from error


def _acquired(lock: FileLock) -> AcquireReturnProxy | None:
    with suppress(Timeout):
        return lock.acquire(timeout=0.0)
    return None


def _locks_folder() -> Path:
    path = Path(os.environ.get("GENRE_APP_LOCKS") or temporary_folder("locks"))
    path.mkdir(parents=True, exist_ok=True)
    return path


def _is_queued_before(run: Run, device: str, mine: Queued | None) -> bool:
    """Return whether another run of the folder waits for this device and was queued before this run."""
    for other in list_runs(run.path.parent):
        if other.path == run.path:
            continue
        status, journal = other.look()
        theirs = journal.last(Queued)
        if theirs is None or theirs.device != device or status is not Status.queued:
            continue
        if mine is None or (theirs.time, other.name) < (mine.time, run.name):
            return True
    return False
