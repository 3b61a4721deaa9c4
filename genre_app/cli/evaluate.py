"""genre-app evaluate: measure a checkpoint on labelled tracks."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from genre_app.cli._shared import (
    CheckpointOption,
    OverlapOption,
    ReportFormat,
    ThreadsOption,
    open_checkpoint,
    printable,
    stop,
)
from genre_app.progress import usable_cores


def evaluate(
    data: Annotated[str, typer.Argument(metavar="DATA", help="A folder of genre folders with audio, or a mel cache.")],
    split: Annotated[
        str | None,
        typer.Option(help="Of a mel cache: a split of its index. Of a folder: a folder within that holds the genre folders."),
    ] = None,
    conditions: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Hear the same audio under other conditions too and tell how much accuracy is left: all, or names with commas "
            "between (white-10,telephone,mp3-32 and so on; a wrong name lists them all).",
        ),
    ] = None,
    noise: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Noises of your own, as conditions at 20, 10, 5 and 0 dB.")
    ] = None,
    rooms: Annotated[str | None, typer.Option(metavar="FOLDER", help="Impulse responses of your own, as a condition.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0.5, help="Classify only so much from the middle of each track.")] = None,
    checkpoint: CheckpointOption = "default",
    overlap: OverlapOption = None,
    threads: ThreadsOption = None,
    format_: Annotated[ReportFormat, typer.Option("--format")] = ReportFormat.table,
) -> None:
    """Measure a checkpoint on labelled tracks: accuracy, log-loss, F1, confusion.

    Files that cannot be classified are listed in the report and do not stop it.
    """
    model = open_checkpoint(checkpoint, threads)
    import torch
    from tqdm import tqdm  # type: ignore[import-untyped]

    from genre_app.errors import CheckpointError, DataError
    from genre_app.evaluation import evaluate as evaluate_tracks
    from genre_app.evaluation.conditions.report import ConditionsReport, evaluate_conditions
    from genre_app.evaluation.metrics import Report

    # The threads go to files, not to the work within one: faster, and the sums keep one order whatever their number.
    torch.set_num_threads(1)
    with tqdm(unit="track", leave=False, disable=None) as bar:  # disable=None: only when stderr is a terminal

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        common: dict[str, Any] = {"split": split, "overlap": overlap, "seconds": seconds, "on_track": show}
        common["workers"] = threads or usable_cores()
        report: Report | ConditionsReport
        try:
            if (conditions, noise, rooms) == (None, None, None):
                report = evaluate_tracks(data, model, **common)
            else:
                report = evaluate_conditions(data, model, conditions, noise=noise, rooms=rooms, **common)
        except (DataError, CheckpointError) as error:  # as above
            bar.close()
            stop(str(error))
    print(json.dumps(report.to_dict(), allow_nan=False) if format_ is ReportFormat.json else printable(report.to_table()))
