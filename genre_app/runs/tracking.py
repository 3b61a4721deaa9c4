"""Optional tracking of a run's epochs by TensorBoard or trackio, beside the journal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import Any

from genre_app.errors import RunError
from genre_app.runs.events import Epoch, Event
from genre_app.runs.run import Run

_PROJECT = "genre-app"  # under which trackio lists the runs
_NUMBERS = {
    "train_loss": "loss/training",
    "valid_log_loss": "loss/validation",
    "recorded_log_loss": "loss/recorded",
    "valid_accuracy": "accuracy/validation",
    "valid_segment_accuracy": "accuracy/validation segments",
    "recorded_accuracy": "accuracy/recorded",
    "learning_rate": "learning rate",
    "seconds": "seconds",
}


def check_trackers(names: Sequence[str]) -> None:
    """Raise `RunError` if a tracker is not installed; ``names`` are "tensorboard" and "trackio"."""
    for name in names:
        if find_spec(name) is None:
            raise RunError(f"--log {name} needs the package {name}; install it with: pip install 'genre-app[{name}]'")


@contextmanager
def tracking(run: Run, names: Sequence[str]) -> Iterator[Callable[[Event], None]]:
    """Hold the trackers of a run; yield a function that writes an event to them.

    TensorBoard's files are in the folder ``tensorboard`` of the run. trackio keeps its own database.

    Raises
    ------
    RunError
        If a tracker is not installed.
    """
    check_trackers(names)
    with ExitStack() as held:
        writers = [held.enter_context(_TRACKERS[name](run)) for name in names]

        def write(event: Event) -> None:
            if isinstance(event, Epoch):
                numbers = {title: getattr(event, field) for field, title in _NUMBERS.items()}
                for writer in writers:
                    writer({title: value for title, value in numbers.items() if value is not None}, event.epoch)

        yield write


_Writer = Callable[[dict[str, float], int], object]


@contextmanager
def _tensorboard(run: Run) -> Iterator[_Writer]:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(run.path / "tensorboard")) as board:

        def write(numbers: dict[str, float], epoch: int) -> None:
            for title, value in numbers.items():
                board.add_scalar(title, value, epoch)
            board.flush()

        yield write


@contextmanager
def _trackio(run: Run) -> Iterator[_Writer]:
    import trackio

    settings: dict[str, Any] = run.description().config.model_dump(mode="json")
    tracked = trackio.init(project=_PROJECT, name=run.name, config=settings, resume="allow")
    try:
        yield lambda numbers, epoch: tracked.log(numbers, step=epoch)
    finally:
        tracked.finish()


_TRACKERS = {"tensorboard": _tensorboard, "trackio": _trackio}
