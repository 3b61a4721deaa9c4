"""A training process that goes slowly until a test lets it go on.

It lasts as long as a busy machine needs to show it, and ends soon on an idle one.
"""

from __future__ import annotations

import time

from genre_app.runs import executor
from genre_app.runs.run import runs_folder
from tests.forked import Forked

_FEW = 10  # epochs for the first charts
_FIRST_SECONDS, _LATER_SECONDS = 0.1, 2.5  # of an epoch


def hold() -> None:
    """Let each epoch of the runs last."""
    (runs_folder() / "hold").touch()


def let_go() -> None:
    """Let the runs go on at full speed."""
    (runs_folder() / "hold").unlink()


def pace() -> None:
    """Change this process so that it obeys `hold`."""
    end_epoch, held = executor._Job.end_epoch, runs_folder() / "hold"

    def paced(job, result, state) -> None:
        end_epoch(job, result, state)
        if held.exists():
            time.sleep(_FIRST_SECONDS if result.epoch < _FEW else _LATER_SECONDS)

    executor._Job.end_epoch = paced


class Paced(Forked):
    """A fork that obeys `hold`."""

    prepare = staticmethod(pace)
