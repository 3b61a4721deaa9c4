"""genre-app evaluate: measure a checkpoint on labelled tracks."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from genre_app.cli._shared import (
    CheckpointOption,
    OverlapOption,
    ReportFormat,
    ThreadsOption,
    open_checkpoint,
    progress_bar,
    show,
    stopping_on_errors,
)
from genre_app.progress import usable_cores


def evaluate(
    data: Annotated[str, typer.Argument(metavar="DATA", help="A folder of genre folders with audio, or a mel cache.")],
    split: Annotated[
        str | None, typer.Option(help="Split of a mel cache, or the folder inside of DATA that holds the genre folders.")
    ] = None,
    conditions: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Also evaluate the same audio under simulated conditions: all, or names separated by commas, such as "
            "white-10,telephone,mp3-32. A wrong name lists them all.",
        ),
    ] = None,
    noise: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Your own noises, each a condition at 20, 10, 5 and 0 dB.")
    ] = None,
    rooms: Annotated[str | None, typer.Option(metavar="FOLDER", help="Your own impulse responses, as one condition.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0.5, help="Classify only this much of the middle of each track.")] = None,
    checkpoint: CheckpointOption = None,
    overlap: OverlapOption = None,
    threads: ThreadsOption = None,
    format_: ReportFormat = "table",
) -> None:
    """Evaluate a checkpoint on labelled tracks: accuracy, log-loss, F1, confusion.

    Files that cannot be classified are listed in the report.
    """
    model, workers = open_checkpoint(checkpoint), threads or usable_cores()
    from genre_app.evaluation.conditions.report import ConditionsReport, evaluate_conditions
    from genre_app.evaluation.evaluate import evaluate as evaluate_tracks
    from genre_app.evaluation.metrics import Report

    report: Report | ConditionsReport
    common: dict[str, Any] = {"split": split, "overlap": overlap, "seconds": seconds, "workers": workers}
    with stopping_on_errors(), progress_bar() as bar:
        if (conditions, noise, rooms) == (None, None, None):
            report = evaluate_tracks(data, model, **common, on_track=bar)
        else:
            report = evaluate_conditions(data, model, conditions, noise=noise, rooms=rooms, **common, on_track=bar)
    show(report.to_dict(), report.to_table(), format_)
