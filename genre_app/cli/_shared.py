"""Options that several commands share, and how the commands print and stop."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from genre_app.progress import Monitor, usable_cores

# Each command imports torch, and modules that need it, when it runs: --help must not wait for them.
if TYPE_CHECKING:
    from genre_app.checkpoint import Checkpoint


ReportFormat = Annotated[Literal["table", "json"], typer.Option("--format")]
CheckpointOption = Annotated[
    list[str] | None,
    typer.Option(
        "--checkpoint",
        help="Name of a bundled checkpoint (see: genre-app checkpoints), a .safetensors file or hub:OWNER/NAME. The answers of "
        "several are averaged.",
        show_default="default",
    ),
]
OverlapOption = Annotated[
    float | None,
    typer.Option(min=0.0, max=0.95, help="Overlap of neighbouring segments, as a share; by default that of the checkpoint."),
]
ThreadsOption = Annotated[int | None, typer.Option(min=1, max=256, help="CPU threads; by default one per core.")]


def open_checkpoint(names: list[str] | None, threads: int | None = 1) -> Checkpoint:
    """Load and combine checkpoints, and set the number of CPU threads; stop with exit code 2 if one cannot be used.

    One thread is for commands that process several clips at once: that is faster than several threads for each clip, and sums
    keep their order. None is one thread per core.
    """
    import torch

    from genre_app.checkpoint import DEFAULT_CHECKPOINT, load_checkpoint
    from genre_app.combine import combine

    torch.set_num_threads(threads or usable_cores())
    with stopping_on_errors():
        return combine([load_checkpoint(name) for name in names or [DEFAULT_CHECKPOINT]])


@contextmanager
def stopping_on_errors(out: Path | None = None, unwritten: int = 2) -> Iterator[None]:
    """Stop with exit code 2 if something given cannot be used, and with ``unwritten`` if a file cannot be written."""
    from genre_app.errors import GenreAppError

    try:
        yield
    except GenreAppError as error:
        stop(str(error))
    except OSError as error:
        if out is None:
            raise
        stop(f"{error.filename or out} cannot be written: {error.strerror or error}", unwritten)


@contextmanager
def progress_bar() -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar over tracks, on a terminal only; yield the function to call with done and total."""
    from tqdm import tqdm  # type: ignore[import-untyped]

    with tqdm(unit="track", leave=False, disable=None) as bar:  # disable=None: only when stderr is a terminal

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show


@contextmanager
def monitored(should_stop: Callable[[], bool] = lambda: False) -> Iterator[Monitor]:
    """Show a progress bar over clips; yield the monitor that moves it."""
    with progress_bar() as show:
        yield Monitor(lambda progress: show(progress.done, progress.total), should_stop)


def stop(message: str, exit_code: int = 2) -> NoReturn:
    """Print an error to standard error and end the command."""
    print(f"error: {printable(message)}", file=sys.stderr)
    raise typer.Exit(exit_code)


def show(data: dict[str, Any], table: str, format_: str) -> None:
    """Print the result of a command as JSON or as a table."""
    print(json.dumps(data, allow_nan=False) if format_ == "json" else printable(table))


def say(text: str) -> None:
    """Print a line at once, since the page shows the log; if the terminal is gone, the run continues without."""
    try:
        print(printable(text), flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else printing would fail again when the process ends


def on_signals(request_stop: Callable[[], None]) -> None:
    """Call ``request_stop`` on Ctrl-C and on a request to end, and continue if the terminal is closed."""
    for name in ("SIGINT", "SIGTERM"):
        signal.signal(getattr(signal, name), lambda *_: request_stop())
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a run outlives the terminal that it was started from


def printable(text: str) -> str:
    """Replace control characters, which names of files and genres may hold and a terminal would execute."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)
