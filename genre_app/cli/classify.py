"""genre-app classify: predict the genre of each file."""

from __future__ import annotations

import csv
import json
import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from genre_app.cli._shared import CheckpointOption, OverlapOption, ThreadsOption, open_checkpoint, printable, stop

if TYPE_CHECKING:
    from genre_app.checkpoint import Checkpoint
    from genre_app.predict import Prediction


VoteName = Literal["majority", "mean", "geometric", "knn"]
"""Values of --vote: those of `genre_app.vote.VOTES`, which a test compares."""


def classify(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="Audio files, or videos with sound.", show_default=False)],
    checkpoint: CheckpointOption = None,
    vote: Annotated[VoteName, typer.Option(help="Rule that combines the segments into one answer.")] = "mean",
    overlap: OverlapOption = None,
    threads: ThreadsOption = None,
    format_: Annotated[
        Literal["table", "jsonl", "csv"], typer.Option("--format", help="Output format; each has one line a file.")
    ] = "table",
) -> None:
    """Predict the genre of each file, one line each.

    If a file cannot be classified, its line says why, the other files are classified, and the exit code is 1.
    """
    model = open_checkpoint(checkpoint, threads)
    from genre_app.audio import open_audio
    from genre_app.errors import AudioError, CheckpointError
    from genre_app.files import valid_text
    from genre_app.predict import classify as classify_clip
    from genre_app.vote import available_votes

    if vote not in available_votes(model.references):
        stop(f"the checkpoint {model.name} has no reference tracks for the {vote} vote; choose another --vote")
    write = {"table": _write_table, "jsonl": _write_jsonl, "csv": _write_csv}[format_]
    if format_ == "csv":
        _csv_line(["file", "genre", *model.genres, "vote", "agreement", "rejected", "warnings", "checkpoint", "error"])
    failed = False
    for file in files:
        result: Prediction | str
        try:
            with open_audio(file, sample_rate=model.sample_rate) as stream:
                result = classify_clip(stream, model, vote=vote, overlap=overlap)
        except AudioError as error:
            result, failed = str(error), True
        except CheckpointError as error:  # the network returns values that are not finite
            stop(str(error))
        write(valid_text(file), result, model)
        sys.stdout.flush()
    if failed:
        raise typer.Exit(1)


def _write_table(file: str, result: Prediction | str, model: Checkpoint) -> None:
    from genre_app.prediction import REJECTED_WORDS

    width = max(map(len, model.genres))
    if isinstance(result, str):
        answer = f"{'error':<{width}}               {result}"
    else:
        sure = " " if result.is_sure or result.rejected else "?"
        counts = f"{result.n_agree}/{result.n_sounding}"
        notes = f"  ({'; '.join(result.warnings)})" if result.warnings else ""
        share = "" if result.rejected else f"{result.top(1)[0][1]:.0%}"
        genre = f"{result.genre or REJECTED_WORDS[result.rejected or 'other']:<{width}}"
        answer = f"{genre}{sure} {share:>4} {counts:>9}  {file}{notes}"
    print(printable(answer.replace("\n", "?")))


def _write_jsonl(file: str, result: Prediction | str, model: Checkpoint) -> None:
    row: dict[str, Any] = {"file": file, "error": result} if isinstance(result, str) else {**result.to_dict(), "file": file}
    print(json.dumps(row, allow_nan=False))


def _write_csv(file: str, result: Prediction | str, model: Checkpoint) -> None:
    if isinstance(result, str):
        _csv_line([file, *[""] * (len(model.genres) + 6), result])
    else:
        probabilities = (f"{p:.9g}" for p in result.probabilities.tolist())
        notes = [result.vote, f"{result.agreement:.4f}", result.rejected or "", "; ".join(result.warnings), result.checkpoint]
        _csv_line([file, result.genre or "", *probabilities, *notes, ""])


def _csv_line(values: list[str]) -> None:
    csv.writer(sys.stdout, lineterminator="\n").writerow(values)
