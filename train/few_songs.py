"""Measure how many songs a genre needs: ``python -m train.few_songs --audio FOLDER --init-from MSD``.

The recipe ``transfer`` learns from 5, 10 and 20 songs of each genre, and from all, once from a pre-trained network and once
from random weights. Songs with every third ten of GTZAN's numbers are held out, as in `train.out_of_fold`; all networks
classify them, and one simulated recording of each. Genres with fewer than 20 songs for training are left out. A finished run in
the output folder is not trained again, and an interrupted one is resumed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from genre_app.data.sources.folder import AudioFolder
from genre_app.data.sources.gtzan import gtzan_name
from genre_app.data.tracks import AudioTrack
from genre_app.errors import DataError
from genre_app.evaluation.metrics import wilson_interval
from genre_app.runs.request import Request
from genre_app.runs.run import Run
from train.out_of_fold import KEEP_LAST, blocks, write_split
from train.results import finished_run, show_table

_COUNTS = (5, 10, 20, 0)  # 0 is all
_LEAST = 20  # songs for training that a genre needs to be part of this
_FOLDS = 3

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    audio: Annotated[Path, typer.Option(help="Folder of genre folders with audio of GTZAN: tracks or pieces of them.")],
    init_from: Annotated[Path, typer.Option(help="Checkpoint with the pre-trained musicnn.")],
    out: Annotated[Path, typer.Option(help="Folder of the songs and runs.")] = Path("runs/few-songs"),
    counts: Annotated[list[int] | None, typer.Option("--count", min=0, help="Songs of each genre; 0 is all.")] = None,
    write: Annotated[bool, typer.Option(help="Put the table into train/RESULTS.md.")] = False,
    seed: Annotated[int, typer.Option(help="Chooses the songs.")] = 0,
    threads: Annotated[int, typer.Option(min=1, max=256)] = 1,
) -> None:
    """Train the missing runs and print the table."""
    training, held_out = songs(AudioFolder.open(audio, None).tracks)
    kept = [track for genre in training for track in (*training[genre], *held_out[genre])]
    for track in kept:
        place = out / "songs" / track.genre / track.path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)  # a link to audio that was moved, or to that of another folder
        place.symlink_to(track.path.resolve())
    runs: dict[int, tuple[Run, Run]] = {}
    for count in counts or _COUNTS:
        file = out / f"songs-{count or 'all'}.csv"
        splits = {track.track_id: "test" for track in kept}  # nothing reads the test tracks
        splits |= {track.track_id: "train" for track in chosen(training, count, seed)}
        splits |= {track.track_id: "valid" for tracks in held_out.values() for track in tracks}
        write_split(file, splits)
        settings = KEEP_LAST | {"split.file": str(file)}
        data = str(out / "songs")
        tuned = Request(recipe="transfer", data=data, settings=settings, init_from=str(init_from), threads=threads)
        scratch = Request(recipe="transfer", data=data, settings=settings | {"unfreeze": []}, threads=threads)
        name = count or "all"
        runs[count] = finished_run(out / f"tuned-{name}", tuned), finished_run(out / f"scratch-{name}", scratch)
    print(f"{len(training)} genres: {', '.join(training)}\n")
    show_table(table(runs), "few songs", write=write)


def songs(tracks: Sequence[AudioTrack]) -> tuple[dict[str, list[AudioTrack]], dict[str, list[AudioTrack]]]:
    """Return the songs for training and those held out, by genre; genres with too few for training are missing."""
    away = blocks({_song(track) for track in tracks}, _FOLDS)[0]
    training: dict[str, list[AudioTrack]] = defaultdict(list)
    held_out: dict[str, list[AudioTrack]] = defaultdict(list)
    for track in sorted(tracks, key=lambda track: track.track_id):
        (held_out if _song(track) in away else training)[track.genre].append(track)
    kept = [genre for genre, of_genre in training.items() if len({_song(track) for track in of_genre}) >= _LEAST]
    return {genre: training[genre] for genre in kept}, {genre: held_out[genre] for genre in kept}


def _song(track: AudioTrack) -> str:
    """Return GTZAN's name of the song, of which the audio may be a piece."""
    name = gtzan_name(track.track_id)
    if name is None:
        raise DataError(f"{track.path.name} has no name of GTZAN, such as blues.00023; the folds come from these names.")
    return name


def chosen(training: dict[str, list[AudioTrack]], count: int, seed: int) -> list[AudioTrack]:
    """Return the audio of ``count`` songs of each genre, 0 for all; a smaller choice is part of a larger one."""
    found = []
    for genre, tracks in training.items():
        names = sorted({_song(track) for track in tracks})
        order = np.random.default_rng((seed, len(genre), *genre.encode())).permutation(len(names))
        mine = {names[place] for place in order[: count or None]}
        found += [track for track in tracks if _song(track) in mine]
    return found


def table(runs: dict[int, tuple[Run, Run]]) -> str:
    """Return the results as a table in Markdown."""
    lines = ["| songs of a genre | n | pre-trained | its recordings | random weights | its recordings |", "|---" * 6 + "|"]
    for count, pair in runs.items():
        cells = [cell for run in pair for cell in _cells(run)]
        report = pair[0].report() or {}
        lines.append(f"| {count or 'all'} | {report['valid']['n_tracks']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cells(run: Run) -> tuple[str, str]:
    """Return accuracy and log-loss for the held-out songs, and for their simulated recordings."""
    valid = (run.report() or {})["valid"]
    last = run.journal().epochs[-1]
    heard = last.recorded_accuracy or 0.0
    low, high = wilson_interval(round(heard * valid["n_tracks"]), valid["n_tracks"])
    files = (
        f"{valid['accuracy']:.0%} ({valid['accuracy_ci95'][0]:.0%} to {valid['accuracy_ci95'][1]:.0%}), {valid['log_loss']:.2f}"
    )
    return files, f"{heard:.0%} ({low:.0%} to {high:.0%}), {last.recorded_log_loss:.2f}"


if __name__ == "__main__":
    app()
