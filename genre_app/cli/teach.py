"""genre-app teach: teach a checkpoint new genres from a folder of clips, in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genre_app.cli._shared import (
    CheckpointOption,
    ReportFormat,
    ThreadsOption,
    monitored,
    open_checkpoint,
    show,
    stopping_on_errors,
)
from genre_app.progress import usable_cores

if TYPE_CHECKING:
    from genre_app.teaching.taught import Taught


def teach(
    folder: Annotated[Path, typer.Argument(help="Genre folders with clips, or a collection of the page.")],
    out: Annotated[Path, typer.Option(help="File for the taught checkpoint.")],
    checkpoint: CheckpointOption = None,
    extend: Annotated[
        bool,
        typer.Option("--extend/--replace", help="Keep the checkpoint's genres and add the new ones, or replace them."),
    ] = False,
    none_of_these: Annotated[
        list[str] | None,
        typer.Option(metavar="GENRE", help="Folder whose clips are none of the genres: what sounds like them gets no genre."),
    ] = None,
    recordings: Annotated[int, typer.Option(min=1, max=20, help="Simulated recordings of each clip.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulated recordings.")] = 0,
    cache: Annotated[
        Path | None, typer.Option(help="Folder that keeps embeddings, so that teaching again takes seconds.")
    ] = None,
    threads: ThreadsOption = None,
    format_: ReportFormat = "table",
) -> None:
    """Teach a checkpoint the genres of a folder: keep its networks and fit new last layers.

    Two genres with five clips each are enough to try. Each clip is then tested by layers that were fitted without it.
    """
    base = open_checkpoint(checkpoint)
    from genre_app.checkpoint import save_checkpoint
    from genre_app.teaching.examples import cache_of, folder_examples
    from genre_app.teaching.teach import teach as teach_examples

    with stopping_on_errors(out):
        examples, marked = folder_examples(folder)
        with monitored() as monitor:
            taught = teach_examples(
                examples,
                base,
                extend=extend,
                none_of_these={*marked, *(none_of_these or [])},
                n_recordings=recordings,
                seed=seed,
                cache=cache or cache_of(folder),
                prune=cache is None,  # a cache that the user names may serve several folders
                threads=threads or usable_cores(),
                monitor=monitor,
            )
        save_checkpoint(taught.checkpoint, out)
    show(taught.to_dict(), _table(taught, out), format_)


def _table(taught: Taught, out: Path) -> str:
    n = len(taught.report.tracks)
    lines = [
        f"Each clip was left out with its source, then tested. Right: {taught.n_right} of {n}, before {taught.n_before};",
        f"of a simulated recording of each clip, {taught.n_right_recorded} of {n}.",
        "",
        taught.report.to_table(),
    ]
    if wrong := taught.wrong():
        lines += ["", "wrong:", *(f"  {name}: {answer} instead of {genre}" for name, genre, answer in wrong)]
    if taught.failed:
        lines += ["", "not used:", *(f"  {reason}" for _, reason in taught.failed)]
    return "\n".join([*lines, "", f"{taught.seconds:.0f} s; written to {out}"])
