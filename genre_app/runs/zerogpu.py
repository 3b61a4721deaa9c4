"""Training on a Space with ZeroGPU, which lends its GPU for a minute or two: in turns, each from the state of the last one.

A turn is `genre_app.runs.executor.work` with a deadline, and a run resumed is to the bit the run that was not interrupted. A
thread of the server goes from turn to turn; a server that is started again finds the run paused, and Resume takes it up.
"""

from __future__ import annotations

import contextvars
import os
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from genre_app.errors import RunError
from genre_app.runs import launch
from genre_app.runs.run import Run, Status

TURN_SECONDS = 90.0
_SAVE_SECONDS = 25.0  # of a turn, for loading before and saving after
_THREAD = "zerogpu "
_one_run = threading.Lock()


def is_zero() -> bool:
    """Whether the GPU is lent by the turn."""
    return bool(os.environ.get("SPACES_ZERO_GPU"))


def begin(run: Run) -> None:
    """Begin or resume a run in the way that suits this machine.

    Raises
    ------
    RunError
        If it is at work already, or has finished.
    """
    if not is_zero():
        launch.start(run)
        return
    status = run.status()
    if is_going(run) or (status.is_active and status not in (Status.starting, Status.paused)):
        raise RunError(f"{run.name} is at work already.")
    if status is Status.finished:
        raise RunError(f"{run.name} has finished; start a new run to go further.")
    (run.path / "stop").unlink(missing_ok=True)
    run.record("created")
    # With the context of the click, from which ZeroGPU tells whose share of its time is used.
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(take_turns, run), name=_THREAD + str(run.path), daemon=True).start()


def is_going(run: Run) -> bool:
    """Whether a thread of this server goes from turn to turn of the run."""
    return any(thread.name == _THREAD + str(run.path) for thread in threading.enumerate())


def take_turns(run: Run, seconds: float = TURN_SECONDS) -> None:
    """Work on a run, turn after turn, until it has finished, failed or is stopped; one run after another."""
    from genre_app.runs import executor as job

    if not _wait(run):
        _end_stopped(run)
        return
    try:
        while not run.should_stop:
            try:
                finished = turn()(str(run.path), seconds)
            except Exception as error:  # noqa: BLE001 - whatever it was, the run's journal has it or gets it here
                if run.status() is not Status.failed:
                    run.record_end("failed", message=job.sentence(error))
                return
            if finished or run.status() is not Status.paused:
                return
        _end_stopped(run)
    finally:
        _one_run.release()


def _wait(run: Run) -> bool:
    """Wait until no other run takes turns, for waiting within a turn would use the GPU up; return whether it came to that."""
    if _one_run.acquire(blocking=False):
        return True
    me = psutil.Process()
    run.record("process", pid=me.pid, pid_created=me.create_time())
    run.record("queued", device="zerogpu")
    while not run.should_stop:
        if _one_run.acquire(timeout=0.5):
            return True
    return False


def _end_stopped(run: Run) -> None:
    run.record_end("stopped")
    (run.path / "stop").unlink(missing_ok=True)


@cache
def turn() -> Callable[[str, float], bool]:
    """Return what takes a turn: with the GPU, where the package that lends it is there.

    ZeroGPU wants to have seen one such function by the time the page is served.
    """
    try:
        import spaces
    except ImportError:
        return _turn
    decorated: Any = spaces.GPU(duration=round(TURN_SECONDS + _SAVE_SECONDS))(_turn)
    return lambda path, seconds: bool(decorated(path, seconds))


def _turn(path: str, seconds: float) -> bool:
    from genre_app.runs import executor as job

    run = Run(Path(path))
    with (run.path / "log.txt").open("a", encoding="utf-8") as log:

        def say(line: str) -> None:
            log.write(f"{line}\n")
            log.flush()

        return job.work(run, say=say, deadline=time.monotonic() + seconds)
