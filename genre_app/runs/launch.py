"""Runs as processes of their own, one at a time on each device."""

from __future__ import annotations

import getpass
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from genre_app.errors import RunError
from genre_app.progress import Monitor
from genre_app.runs.run import Run, Status, list_runs

_POLL_SECONDS = 0.5


def start(run: Run) -> None:
    """Begin or resume a run in a process of its own, which outlives this one.

    Raises
    ------
    RunError
        If it is at work already, or has finished.
    """
    status = run.status()
    if status.is_active and status not in (Status.starting, Status.paused):
        raise RunError(f"{run.name} is at work already.")
    if status is Status.finished:
        raise RunError(f"{run.name} has finished; start a new run to go further.")
    (run.path / "stop").unlink(missing_ok=True)
    run.record("created")
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}
    with (run.path / "log.txt").open("ab") as log:
        # A process group of its own, so that Ctrl-C in the server's terminal is not for it; but the server's session, since
        # between sessions Linux shares the processor evenly, and training would slow the page down however nice it is.
        process = subprocess.Popen(  # noqa: S603 - no shell
            [sys.executable, "-P", "-m", "genre_app", "train", "--resume", str(run.path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            **_OWN_GROUP,
        )
    threading.Thread(target=process.wait, daemon=True).start()  # or it would stay a zombie when it ends


_OWN_GROUP: dict[str, Any] = (
    {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)} if sys.platform == "win32" else {"process_group": 0}
)


@contextmanager
def device_of(run: Run, device: torch.device, monitor: Monitor) -> Iterator[None]:
    """Hold the device for this run; wait while another run has it, earlier ones first.

    Raises
    ------
    StoppedError
        If the run is asked to stop while it waits.
    """
    name = "cpu" if device.type == "cpu" else f"{device.type}-{device.index or 0}"
    lock = FileLock(_locks_folder() / f"{name}.lock")
    told = False
    while True:
        try:
            if next(_queued_before(run, name), None) is None:
                lock.acquire(timeout=0)
                break
        except Timeout:
            pass
        if not told:
            run.record("queued", device=name)
            told = True
        monitor.check()
        time.sleep(_POLL_SECONDS)
    with lock:
        lock.release()  # the one of the loop; `with` took it once more
        yield


@contextmanager
def only_process_of(run: Run) -> Iterator[None]:
    """Hold the run itself, so that no two processes work on it.

    Raises
    ------
    RunError
        If another one does.
    """
    lock = FileLock(run.path / "run.lock")
    try:
        with lock.acquire(timeout=0):
            yield
    except Timeout:
        raise RunError(f"{run.name} is at work already, in another process.") from None


def _locks_folder() -> Path:
    folder = os.environ.get("GENRE_APP_LOCKS")
    path = Path(folder) if folder else Path(tempfile.gettempdir()) / f"genre-app-{getpass.getuser()}"
    path.mkdir(parents=True, exist_ok=True)
    return path


def _queued_before(run: Run, device: str) -> Iterator[Run]:
    """Yield the runs of the same folder that wait for this device and were made earlier."""
    created = run.description().created
    for other in list_runs(run.path.parent):
        with suppress(RunError):  # it is deleted or renamed at this moment
            if other.path == run.path or other.description().created >= created:
                continue
            journal = other.journal()
            waits_for = next((event.get("device") for event in reversed(journal) if event["event"] == "queued"), None)
            if other.status(journal) is Status.queued and waits_for == device:
                yield other
