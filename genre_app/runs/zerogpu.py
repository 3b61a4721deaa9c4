"""Training on a Space with ZeroGPU, which lends its GPU for one or two minutes at a time.

A run trains in turns: each turn is `genre_app.runs.executor.work` with a deadline, and continues bit-exactly from the state of
the turn before. A thread of the server takes the turns. After a restart of the server the run is paused; Resume continues it.
"""

from __future__ import annotations

import contextvars
import os
import threading
import time
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path

from genre_app.errors import RunError
from genre_app.runs import events, launch
from genre_app.runs.failure import EXPECTED, sentence
from genre_app.runs.run import Run
from genre_app.runs.status import Status

TURN_SECONDS = 90.0
_SAVE_SECONDS = 25.0  # lent in addition, for loading the state before a turn and saving it after
_THREAD = "zerogpu "
_one_run = threading.Lock()


def is_zero() -> bool:
    """Return whether this is a Space with ZeroGPU."""
    return bool(os.environ.get("SPACES_ZERO_GPU"))


def begin(run: Run) -> None:
    """Start or resume a run: with ZeroGPU in a thread of this server, else in a process of its own.

    Raises
    ------
    RunError
        If the run is running already, or has finished.
    """
    if not is_zero():
        launch.start(run)
        return
    if is_going(run):
        raise RunError(f"{run.name} is running already.")
    run.begin()
    # ZeroGPU reads from the context of the click whose quota is used.
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(take_turns, run), name=_THREAD + str(run.path), daemon=True).start()


def is_going(run: Run) -> bool:
    """Return whether a thread of this server takes the turns of the run."""
    return any(thread.name == _THREAD + str(run.path) for thread in threading.enumerate())


def take_turns(run: Run) -> None:
    """Take turn after turn until the run has finished, failed or is stopped. One run takes turns at a time."""
    if not _wait(run):
        run.record_end(events.Stopped())
        return
    try:
        while not run.should_stop:
            try:
                finished = turn()(str(run.path), TURN_SECONDS)
            except Exception as error:  # noqa: BLE001 - the journal gets any error as a sentence
                if not isinstance(error, EXPECTED):
                    run.log(traceback.format_exc())
                if run.status() is not Status.failed:
                    run.record_end(events.Failed(message=sentence(error)))
                return
            if finished or run.status() is not Status.paused:
                return
        run.record_end(events.Stopped())
    finally:
        _one_run.release()


def _wait(run: Run) -> bool:
    """Wait until no other run takes turns; return False if the run is stopped before.

    This is not done by `work`, since waiting within a turn would use up GPU time.
    """
    if _one_run.acquire(blocking=False):
        return True
    run.record_process()
    run.record(events.Queued(device="zerogpu"))
    while not run.should_stop:
        if _one_run.acquire(timeout=0.5):
            return True
    return False


@cache
def turn() -> Callable[[str, float], bool]:
    """Return the function that takes a turn of a run, given its folder and the seconds of the turn.

    ZeroGPU must have seen a function with its decorator before the page is served.
    """
    try:
        import spaces
    except ImportError:
        return _turn
    decorated: Callable[[str, float], bool] = spaces.GPU(duration=round(TURN_SECONDS + _SAVE_SECONDS))(_turn)
    return decorated


def _turn(path: str, seconds: float) -> bool:
    from genre_app.runs.executor import work

    run = Run(Path(path))
    return work(run, say=run.log, deadline=time.monotonic() + seconds)
