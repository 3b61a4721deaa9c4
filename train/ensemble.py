"""Train the ensemble that Groningen propose, and compare it with its networks: ``python -m train.ensemble --data FOLDER``.

Their report ends with a majority vote of a feed-forward network on 58 features, a CNN and an LSTM. Here these are the recipes
``groningen-ffnn``, ``glenn-cnn`` (mel) and ``kth-lstm-mfcc``. They learn from the same tracks, and GTZAN's fault-filtered
validation tracks are reported. Each network has one vote a track; in a tie, the mean of their probabilities decides. A finished
run in the output folder is not trained again, and an interrupted one is resumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from genre_app.checkpoint import load_checkpoint
from genre_app.combine import combine
from genre_app.data.sources.gtzan import fault_filtered, gtzan_name
from genre_app.errors import DataError
from genre_app.evaluation.evaluate import MemberTrack, evaluate_members
from genre_app.evaluation.metrics import wilson_interval
from genre_app.runs.request import Request
from genre_app.vote import vote
from train.results import APART, finished_run, show_table

_RECIPES = ("groningen-ffnn", "glenn-cnn", "kth-lstm-mfcc")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    data: Annotated[Path, typer.Option(help="Folder of genre folders with audio of GTZAN: tracks or pieces of them.")],
    out: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs/ensemble"),
    write: Annotated[bool, typer.Option(help="Put the table into train/RESULTS.md.")] = False,
    threads: Annotated[int, typer.Option(min=1, max=256)] = 2,
) -> None:
    """Train the missing runs and print the table."""
    requests = [Request(recipe=name, data=str(data), settings=APART, threads=threads) for name in _RECIPES]
    parts = [load_checkpoint(finished_run(out / request.recipe, request).best) for request in requests]
    if not all(part.provenance["data"]["fault_filtered"] for part in parts):
        raise DataError(
            f"{data} could not be split by GTZAN's fault-filtered lists; give it tracks of each genre in both lists."
        )
    splits = fault_filtered()
    found = evaluate_members(data, combine(parts)).tracks
    valid = [track for track in found if splits.get(gtzan_name(track.track_id) or "") == "valid"]
    show_table(table(valid), "ensemble", write=write)


def table(tracks: Sequence[MemberTrack]) -> str:
    """Return the accuracy of each network, of the mean of their probabilities, and of their majority, in Markdown."""
    labels = np.array([track.label for track in tracks])
    means = np.array([[rows.mean(axis=0) for rows in track.of_members] for track in tracks])  # [tracks, networks, genres]
    answers = {f"`{name}`": means[:, place].argmax(axis=1) for place, name in enumerate(_RECIPES)}
    answers |= {"mean of the three": means.mean(axis=1).argmax(axis=1), "majority of the three": majority(means)}
    lines = ["| network | n | accuracy | 95 % interval |", "|---|---|---|---|"]
    for name, answer in answers.items():
        right = int((answer == labels).sum())
        low, high = wilson_interval(right, len(labels))
        lines.append(f"| {name} | {len(labels)} | {right / len(labels):.1%} | {low:.0%} to {high:.0%} |")
    return "\n".join(lines) + "\n"


def majority(means: NDArray[np.floating]) -> NDArray[np.intp]:
    """Return the genre with most votes of each track; ``means`` [tracks, networks, genres] are probabilities."""
    return np.array([vote(of_track, "majority").argmax() for of_track in means])


if __name__ == "__main__":
    app()
