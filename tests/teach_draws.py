"""Measure teaching on real music: draw genres and clips several times, teach them, and test on the other tracks.

    python -m tests.teach_draws FOLDER... [--checkpoint NAME] [--genres 5] [--clips 10] [--draws 5] [--seconds 10]

Each FOLDER holds genre folders. If files have GTZAN's names, pieces of one track count as one. A clip is the middle of a file,
``--seconds`` long. For each draw it prints the accuracy on the tracks that were not taught, as files and as simulated
recordings, what leaving clips out has said about it, and the seconds that teaching took without any cache. A base checkpoint
that was trained on the same tracks makes the figures too good.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import soundfile
import torch

from genre_app.audio import Clip, load_clip
from genre_app.augment.waveform import augment_waveform
from genre_app.checkpoint import load_checkpoint
from genre_app.data.sources.folder import AudioFolder
from genre_app.evaluation.metrics import wilson_interval
from genre_app.predict import classify
from genre_app.progress import usable_cores
from genre_app.teaching.cached import RECORDING
from genre_app.teaching.examples import Example
from genre_app.teaching.teach import teach


def main() -> None:
    """Run the draws and print a line for each, then the mean as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--checkpoint", default="default")
    for name, default in (("genres", 5), ("clips", 10), ("draws", 5), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--seconds", type=float, default=10.0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    base = load_checkpoint(arguments.checkpoint)
    tracks: dict[str, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for folder in arguments.folders:
        for track in AudioFolder.find(folder).tracks:
            tracks[track.genre][".".join(track.path.stem.split(".")[:2])].append(track.path)
    draws = []
    with tempfile.TemporaryDirectory() as work:
        for draw in range(arguments.draws):
            rng = np.random.default_rng((arguments.seed, draw))
            enough = sorted(genre for genre, of_genre in tracks.items() if len(of_genre) > arguments.clips + 4)
            genres = sorted(rng.choice(enough, arguments.genres, replace=False).tolist())
            examples, others = [], []
            for genre in genres:
                names = rng.permutation(sorted(tracks[genre])).tolist()
                for place, name in enumerate(names):
                    path = _cut(max(tracks[genre][name], key=lambda path: path.stat().st_size), Path(work), arguments.seconds)
                    (examples if place < arguments.clips else others).append(Example(path, genre, name, name))
            taught = teach(examples, base, threads=usable_cores())
            right = {"file": 0, "recording": 0}
            for number, other in enumerate(others):
                clip = load_clip(other.path, sample_rate=taught.checkpoint.sample_rate)
                recorded = augment_waveform(clip.samples, clip.sample_rate, RECORDING, 1_000_000 + 1000 * draw + number)
                for kind, heard in (("file", clip), ("recording", Clip(recorded, clip.sample_rate))):
                    right[kind] += classify(heard, taught.checkpoint).guess == other.genre
            found = {"genres": genres, "n": len(others), **right, "left_out": taught.report.accuracy, "seconds": taught.seconds}
            print(json.dumps(found))
            draws.append(found)
    n = sum(found["n"] for found in draws)
    for kind in ("file", "recording"):
        total = sum(found[kind] for found in draws)
        low, high = wilson_interval(total, n)
        print(f"{kind}: {total / n:.1%} ({low:.0%} to {high:.0%}) of {n}")
    seconds = [found["seconds"] for found in draws]
    print(f"left out: {np.mean([found['left_out'] for found in draws]):.1%}; {min(seconds):.0f} to {max(seconds):.0f} s")


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
