"""Measure teaching on real music: draw genres and clips several times, teach them, and test on the other tracks.

    python -m tests.teach_draws FOLDER... [--checkpoint NAME] [--genres 5] [--clips 10] [--draws 5] [--seconds 10]
    python -m tests.teach_draws FOLDER... --extend

Each FOLDER holds genre folders. If files have GTZAN's names, pieces of one track count as one. A clip is the middle of a file,
``--seconds`` long. For each draw it prints how many tracks that were not taught are right, as files and as simulated
recordings, what leaving clips out has said about it, and the seconds that teaching took. ``--penalty`` tries another penalty of
the weights. With ``--extend``, seven tenths of the tracks of the other genres are taught first; then the drawn genres are added
to what the model remembers ("extended"), or all are taught together ("together"). A base checkpoint that was trained on the
same tracks makes all figures too good.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from genre_app.audio import Clip, load_clip
from genre_app.augment.waveform import augment_waveform
from genre_app.checkpoint import Checkpoint, load_checkpoint
from genre_app.data.sources.folder import AudioFolder
from genre_app.evaluation.metrics import wilson_interval
from genre_app.predict import classify
from genre_app.progress import usable_cores
from genre_app.teaching import head
from genre_app.teaching.cached import RECORDING
from genre_app.teaching.examples import Example
from genre_app.teaching.taught import Taught
from genre_app.teaching.teach import teach

_OLD_SHARE = 0.7  # of the tracks of an old genre


def main() -> None:
    """Run the draws and print a line for each, then the totals."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--checkpoint", default="default")
    for name, default in (("genres", 5), ("clips", 10), ("draws", 5), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--penalty", type=float)
    parser.add_argument("--extend", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.penalty is not None:
        head._PENALTY = arguments.penalty
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as work:
        for result in (extend_draws if arguments.extend else draws)(arguments, Path(work)):
            print(json.dumps(result), flush=True)
            found[result.get("how", "taught")].append(result)
    for how, results in found.items():
        n = sum(result["n"] for result in results)
        for kind in ("file", "recording"):
            right = sum(result[kind] for result in results)
            low, high = wilson_interval(right, n)
            print(f"{how}, {kind}: {right / n:.1%} ({low:.0%} to {high:.0%}) of {n}")
        if "seconds" in results[0]:
            seconds = [result["seconds"] for result in results]
            left_out = np.mean([result["left_out"] for result in results])
            print(f"left out: {left_out:.1%}; {min(seconds):.0f} to {max(seconds):.0f} s")


def draws(arguments: argparse.Namespace, work: Path) -> Iterator[dict[str, Any]]:
    """Teach the drawn genres instead of the checkpoint's own."""
    base = load_checkpoint(arguments.checkpoint)
    for draw, genres, clips in _drawn(arguments, work):
        new = [example for genre in genres for example in clips[genre][: arguments.clips]]
        others = [example for genre in genres for example in clips[genre][arguments.clips :]]
        taught = teach(new, base, threads=usable_cores())
        yield {
            "genres": genres,
            "n": len(others),
            **_right(taught.checkpoint, others, draw),
            "left_out": taught.report.accuracy,
            "seconds": round(taught.seconds, 1),
        }


def extend_draws(arguments: argparse.Namespace, work: Path) -> Iterator[dict[str, Any]]:
    """Add the drawn genres to the others, from memory or from their music."""
    base = load_checkpoint(arguments.checkpoint)

    def taught_from(examples: list[Example], checkpoint: Checkpoint, *, extend: bool = False) -> Taught:
        return teach(examples, checkpoint, extend=extend, cache=work / "embeddings", threads=usable_cores())

    for draw, genres, clips in _drawn(arguments, work):
        kept = {genre: round(_OLD_SHARE * len(of)) if genre not in genres else arguments.clips for genre, of in clips.items()}
        new = [example for genre in genres for example in clips[genre][: kept[genre]]]
        old = [example for genre in clips if genre not in genres for example in clips[genre][: kept[genre]]]
        others = [example for genre in clips for example in clips[genre][kept[genre] :]]
        extended = taught_from(new, taught_from(old, base).checkpoint, extend=True)
        for how, found in (("extended", extended), ("together", taught_from(old + new, base))):
            yield {"how": how, "genres": genres, "n": len(others), **_right(found.checkpoint, others, draw)}


def _drawn(arguments: argparse.Namespace, work: Path) -> Iterator[tuple[int, list[str], dict[str, list[Example]]]]:
    """Yield the number of a draw, its genres, and the clips of all genres in random order, one of each track."""
    tracks: dict[str, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for folder in arguments.folders:
        for track in AudioFolder.find(folder).tracks:
            tracks[track.genre][".".join(track.path.stem.split(".")[:2])].append(track.path)
    for draw in range(arguments.draws):
        rng = np.random.default_rng((arguments.seed, draw))
        enough = sorted(genre for genre, of_genre in tracks.items() if len(of_genre) > arguments.clips + 4)
        genres = sorted(rng.choice(enough, arguments.genres, replace=False).tolist())
        clips: dict[str, list[Example]] = {}
        for genre in sorted(tracks):
            paths = {name: max(files, key=lambda path: path.stat().st_size) for name, files in tracks[genre].items()}
            names = rng.permutation(sorted(paths)).tolist()
            clips[genre] = [Example(_cut(paths[name], work, arguments.seconds), genre, name, name) for name in names]
        yield draw, genres, clips


def _right(checkpoint: Checkpoint, examples: list[Example], draw: int) -> dict[str, int]:
    right = {"file": 0, "recording": 0}
    for number, example in enumerate(examples):
        clip = load_clip(example.path, sample_rate=checkpoint.sample_rate)
        recorded = augment_waveform(clip.samples, clip.sample_rate, RECORDING, 1_000_000 + 1000 * draw + number)
        for kind, heard in (("file", clip), ("recording", Clip(recorded, clip.sample_rate))):
            right[kind] += classify(heard, checkpoint).guess == example.genre
    return right


def _cut(path: Path, work: Path, seconds: float) -> Path:
    """Write the middle of a file as WAV, once."""
    target = work / f"{path.stem}.wav"
    if not target.exists():
        clip = load_clip(path, sample_rate=22050)
        n = min(len(clip.samples), round(seconds * 22050))
        start = (len(clip.samples) - n) // 2
        soundfile.write(target, clip.samples[start : start + n], 22050)
    return target


if __name__ == "__main__":
    main()
