"""genre-app combine: join checkpoints into one that averages their answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genre_app.cli._shared import ReportFormat, ThreadsOption, open_checkpoint, progress_bar, show, stop, stopping_on_errors
from genre_app.progress import usable_cores


def combine(
    checkpoints: Annotated[
        list[str], typer.Argument(metavar="CHECKPOINT...", help="Two or more checkpoints: names, files or hub:OWNER/NAME.")
    ],
    data: Annotated[
        str | None,
        typer.Option(help="Labelled tracks that choose weights, temperatures and sure limits: a folder or a mel cache."),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Split of the data, as for evaluate; tracks that trained nothing.")] = None,
    weights: Annotated[
        str | None, typer.Option(metavar="W,W...", help="Weights to use; by default chosen on the data, else equal.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File for the combined checkpoint.")] = None,
    threads: ThreadsOption = None,
    format_: ReportFormat = "table",
) -> None:
    """Join checkpoints into one that averages their answers.

    With --data, the weights with the least log-loss are chosen, and each checkpoint is compared with the combined one.
    """
    if len(checkpoints) < 2:
        stop("name at least two checkpoints")
    if data is None and out is None:
        stop("nothing to do; give --data to compare the checkpoints, --out FILE to write the combined one, or both")
    if data is None and split is not None:
        stop("--split names a part of --data; give both, or none of them")
    try:
        given = None if weights is None else [float(weight) for weight in weights.split(",")]
    except ValueError:
        stop(f"the weights {weights!r} are not numbers separated by commas")
    parts = [open_checkpoint([name]) for name in checkpoints]
    from genre_app.checkpoint import save_checkpoint
    from genre_app.combine import combine as join
    from genre_app.evaluation.combination import combine_on

    with stopping_on_errors(out):
        if data is None:
            joined = join(parts, given)
        else:
            with progress_bar() as bar:
                found = combine_on(data, parts, weights=given, split=split, workers=threads or usable_cores(), on_track=bar)
            joined = found.checkpoint
            show(found.to_dict(), found.to_table(), format_)
        if out is not None:
            save_checkpoint(joined, out)
