"""The command line: genre-app classify | evaluate | checkpoints.

Results go to standard output, everything else to standard error. Exit codes: 0, 1 if a file failed, 2 for wrong usage, which
takes in a checkpoint or a data set that cannot be used.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from genre_app.files import printable

# torch and what needs it are imported by the commands: --help must not wait for them.
if TYPE_CHECKING:
    from genre_app.checkpoint import Checkpoint
    from genre_app.predict import Prediction

app = typer.Typer(
    help="Classify the genre of music, and measure how well a model does.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class VoteName(StrEnum):
    """Values of --vote: those of `genre_app.vote.VOTES`, which a test compares."""

    majority = "majority"
    mean = "mean"
    geometric = "geometric"
    knn = "knn"


class ClassifyFormat(StrEnum):
    """Values of classify --format."""

    table = "table"
    jsonl = "jsonl"
    csv = "csv"


class ReportFormat(StrEnum):
    """Values of evaluate --format and checkpoints --format."""

    table = "table"
    json = "json"


_Checkpoint = Annotated[
    str, typer.Option("--checkpoint", help="Name of a bundled checkpoint (see: genre-app checkpoints) or a .safetensors file.")
]
_Overlap = Annotated[
    float | None,
    typer.Option(min=0.0, max=0.95, help="Share of a segment that neighbours have in common; by default as in training."),
]
_Threads = Annotated[int | None, typer.Option(min=1, max=256, help="Processor threads to use; by default one per core.")]


@app.command()
def classify(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="Audio files, or videos with sound.", show_default=False)],
    checkpoint: _Checkpoint = "default",
    vote: Annotated[VoteName, typer.Option(help="How the segments decide together.")] = VoteName.mean,
    overlap: _Overlap = None,
    threads: _Threads = None,
    format_: Annotated[ClassifyFormat, typer.Option("--format", help="A line per file in each.")] = ClassifyFormat.table,
) -> None:
    """Name the genre of each file, one line each.

    A file that cannot be classified gets a line that says why, does not stop the others, and makes the exit code 1.
    """
    model = _open_checkpoint(checkpoint, threads)
    from genre_app.audio import AudioError, open_audio
    from genre_app.checkpoint import CheckpointError
    from genre_app.predict import classify as classify_clip
    from genre_app.vote import available_votes

    if vote not in available_votes(model.references):
        _stop(f"the checkpoint {model.name} has no reference tracks for the {vote} vote; choose another --vote")
    write = {ClassifyFormat.table: _write_table, ClassifyFormat.jsonl: _write_jsonl, ClassifyFormat.csv: _write_csv}[format_]
    if format_ is ClassifyFormat.csv:
        _csv_line(["file", "genre", *model.genres, "vote", "agreement", "warnings", "checkpoint", "error"])
    failed = False
    for file in files:
        result: Prediction | str
        try:
            with open_audio(file, sample_rate=model.spec.sample_rate) as stream:
                result = classify_clip(stream, model, vote=vote.value, overlap=overlap)
        except AudioError as error:
            result, failed = str(error), True
        except CheckpointError as error:  # its network's answers are not finite
            _stop(str(error))
        write(_shown(file), result, model)
        sys.stdout.flush()
    if failed:
        raise typer.Exit(1)


@app.command()
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
    checkpoint: _Checkpoint = "default",
    overlap: _Overlap = None,
    threads: _Threads = None,
    format_: Annotated[ReportFormat, typer.Option("--format")] = ReportFormat.table,
) -> None:
    """Measure a checkpoint on labelled tracks: accuracy, log-loss, F1, confusion.

    Files that cannot be classified are listed in the report and do not stop it.
    """
    model = _open_checkpoint(checkpoint, threads)
    import torch
    from tqdm import tqdm  # type: ignore[import-untyped]

    from genre_app.checkpoint import CheckpointError
    from genre_app.condition_report import ConditionsReport, evaluate_conditions
    from genre_app.data.mel_cache import DataError
    from genre_app.evaluation import Report
    from genre_app.evaluation import evaluate as evaluate_tracks

    # The threads go to files, not to the work within one: faster, and the sums keep one order whatever their number.
    torch.set_num_threads(1)
    with tqdm(unit="track", leave=False, disable=None) as bar:  # disable=None: only when stderr is a terminal

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        common: dict[str, Any] = {"split": split, "overlap": overlap, "seconds": seconds, "on_track": show}
        common["workers"] = threads or _n_cores()
        report: Report | ConditionsReport
        try:
            if (conditions, noise, rooms) == (None, None, None):
                report = evaluate_tracks(data, model, **common)
            else:
                report = evaluate_conditions(data, model, conditions, noise=noise, rooms=rooms, **common)
        except (DataError, CheckpointError) as error:  # as above
            bar.close()
            _stop(str(error))
    print(json.dumps(report.to_dict(), allow_nan=False) if format_ is ReportFormat.json else printable(report.to_table()))


@app.command()
def checkpoints(format_: Annotated[ReportFormat, typer.Option("--format")] = ReportFormat.table) -> None:
    """List the bundled checkpoints."""
    from genre_app.checkpoint import bundled_checkpoints, load_checkpoint

    rows = []
    for name in bundled_checkpoints():
        checkpoint = load_checkpoint(name)
        rows.append(
            {
                "name": name,
                "model": checkpoint.model.name,
                "features": checkpoint.spec.kind,
                "genres": list(checkpoint.genres),
                "metrics": checkpoint.metrics,
            }
        )
    if format_ is ReportFormat.json:
        print(json.dumps(rows, allow_nan=False))
    else:
        for row in rows:
            print(f"{row['name']:<20}{row['model']} on {row['features']}: {', '.join(row['genres'])}")


def main() -> None:
    """Run the command line."""
    # A file's name may hold letters that the terminal's encoding lacks; that must not end the run.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    app()


def _open_checkpoint(name: str, threads: int | None) -> Checkpoint:
    import torch

    from genre_app.checkpoint import CheckpointError, load_checkpoint

    torch.set_num_threads(threads or _n_cores())
    try:
        return load_checkpoint(name)
    except CheckpointError as error:
        _stop(str(error))


def _n_cores() -> int:
    # Those that this process may use; a container often has fewer than the machine.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _stop(message: str) -> NoReturn:
    print(f"error: {printable(message)}", file=sys.stderr)
    raise typer.Exit(2)


def _shown(file: str) -> str:
    """Return a file's name as text: bytes that are no UTF-8 would make invalid JSON."""
    return os.fsencode(file).decode("utf-8", "replace")


def _write_table(file: str, result: Prediction | str, model: Checkpoint) -> None:
    if isinstance(result, str):
        answer = f"{'error':<{_width(model)}}               {result}"
    else:
        sure = " " if result.is_sure else "?"
        counts = f"{result.n_agree}/{result.n_sounding}"
        notes = f"  ({'; '.join(result.warnings)})" if result.warnings else ""
        answer = f"{result.genre:<{_width(model)}}{sure} {result.top(1)[0][1]:4.0%} {counts:>9}  {file}{notes}"
    print(printable(answer.replace("\n", "?")))


def _width(model: Checkpoint) -> int:
    return max(len(genre) for genre in model.genres)


def _write_jsonl(file: str, result: Prediction | str, model: Checkpoint) -> None:
    row: dict[str, Any] = {"file": file, "error": result} if isinstance(result, str) else {**result.to_dict(), "file": file}
    print(json.dumps(row, allow_nan=False))


def _write_csv(file: str, result: Prediction | str, model: Checkpoint) -> None:
    if isinstance(result, str):
        _csv_line([file, *[""] * (len(model.genres) + 5), result])
        return
    probabilities = (f"{p:.9g}" for p in result.probabilities.tolist())
    _csv_line(
        [
            file,
            result.genre,
            *probabilities,
            result.vote,
            f"{result.agreement:.4f}",
            "; ".join(result.warnings),
            result.checkpoint,
            "",
        ]
    )


def _csv_line(values: list[str]) -> None:
    csv.writer(sys.stdout, lineterminator="\n").writerow(values)


if __name__ == "__main__":
    main()
