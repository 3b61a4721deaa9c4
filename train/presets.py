"""Compare the presets of augmentation, on files and on recordings: ``python -m train.presets --data MEL_CACHE``.

The recipe is trained once with each preset and once with its own augmentation. A finished run in the output folder is not
trained again, and an interrupted one is resumed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genre_app.checkpoint import load_checkpoint
from genre_app.evaluation.conditions.report import evaluate_conditions
from genre_app.evaluation.evaluate import evaluate
from genre_app.runs.request import Request
from genre_app.runs.settings import read_settings
from train.results import finished_run, show_table

_PRESETS = ("none", "noise", "pitch", "noise+pitch", "recorded")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    data: Annotated[str, typer.Option(help="Mel cache with training and validation tracks.")],
    audio: Annotated[
        str | None,
        typer.Option(help="Folder of audio of validation tracks, to measure the mean retention over all conditions."),
    ] = None,
    heard: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FOLDER", help="Recordings of validation tracks; see tests/record_clips.py."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs/presets"),
    recipe: str = "default",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Change a field of the recipe. Can be repeated.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="Length of the middle part of each --audio track that is classified.")] = 12.0,
    write: Annotated[bool, typer.Option(help="Put the table into train/RESULTS.md.")] = False,
    threads: Annotated[int, typer.Option(min=1, max=256)] = 2,
) -> None:
    """Train the missing runs and print the table."""
    for one in heard or ():
        if "=" not in one:
            raise typer.BadParameter(f"--heard {one!r} must read NAME=FOLDER")
    folders = {"file": data, **dict(one.split("=", 1) for one in heard or ())}
    head: list[str] = []
    rows = []
    for preset in (*_PRESETS, None):
        changes = read_settings(settings or ()) | ({"augment": preset} if preset else {})
        request = Request(recipe=recipe, data=data, settings=changes, columns="data", threads=threads)
        checkpoint = load_checkpoint(finished_run(out / (preset or "recipe"), request).best)
        head, cells = [], []
        for name, folder in folders.items():
            report = evaluate(folder, checkpoint, split="valid" if folder == data else None)
            (low, high), n = report.accuracy_interval, len(report.tracks)
            head.append(f"{name}, n = {n}")
            cells.append(f"{report.accuracy:.0%} ({low:.0%} to {high:.0%}), {report.log_loss:.2f}")
        if audio:
            kept = evaluate_conditions(audio, checkpoint, seconds=seconds).mean_retention
            head.append("mean retention")
            cells.append("" if kept is None else f"{kept:.0%}")
        rows.append(f"| {f'`{preset}`' if preset else f'that of `{recipe}`'} | {' | '.join(cells)} |")
    lines = [f"| augmentation | {' | '.join(head)} |", "|---" * (1 + len(head)) + "|", *rows]
    show_table("\n".join(lines) + "\n", "presets", write=write)


if __name__ == "__main__":
    app()
