"""Check explanations on music: python -m tests.explain FOLDER [--clips N] [--checkpoint NAME_OR_PATH].

The marked cells of each clip are removed from its sound, and it is classified again. The fall of the winner's probability is
compared with that after removing as many other cells: random ones, and the loudest ones. The intervals are bootstrapped over
clips.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from genre_app import load_checkpoint, load_clip
from genre_app.audio import Clip
from genre_app.checkpoint import Checkpoint
from genre_app.explain import Grid, explain, mask_audio
from genre_app.predict import NoSoundError, classify

SUFFIXES = {".wav", ".flac", ".mp3", ".ogg", ".m4a"}
MAX_SECONDS = 30.0
N_RANDOM = 3
N_BOOTSTRAP = 10_000


def chosen_files(folder: Path, n: int) -> list[Path]:
    """Return ``n`` files, in turn one of each subfolder, in an order that depends on nothing but their names."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    shuffled = np.random.default_rng(0).permutation(len(files))
    by_folder: dict[str, list[Path]] = {}
    for index in shuffled:
        by_folder.setdefault(files[index].parent.name, []).append(files[index])
    places = {path: place for group in by_folder.values() for place, path in enumerate(group)}
    return sorted(files, key=lambda path: (places[path], path.parent.name, path.name))[:n]


def loudest(clip: Clip, grid: Grid, n: int) -> NDArray[np.bool_]:
    """Return the ``n`` cells with the largest energy, bool [bands, moments]."""
    energy = np.zeros(grid.shape)
    spectrum = torch.stft(torch.from_numpy(clip.samples), 2048, 512, window=torch.hann_window(2048), return_complex=True)
    bands = grid.bands_of(np.fft.rfftfreq(2048, 1 / clip.sample_rate))
    moments = grid.moments_of(np.arange(spectrum.shape[1]) * 512 / clip.sample_rate)
    np.add.at(energy, (bands[:, None], moments), spectrum.abs().square().numpy())
    return first_cells(-energy, n)


def first_cells(values: NDArray[np.float64], n: int) -> NDArray[np.bool_]:
    """Return the ``n`` cells with the smallest values."""
    chosen = np.zeros(values.size, np.bool_)
    chosen[np.argsort(values, axis=None)[:n]] = True
    return chosen.reshape(values.shape)


def measure(clip: Clip, checkpoint: Checkpoint, seed: int) -> dict[str, float]:
    """Return the falls of the winner's probability after removing, or keeping nothing but, the same number of cells."""
    prediction = classify(clip, checkpoint)
    winner = prediction.guess

    def fall(mask: NDArray[np.bool_], *, keep: bool) -> float:
        try:
            changed = classify(mask_audio(clip, explanation.grid, mask, keep=keep), checkpoint)
        except NoSoundError:
            return float(prediction.probabilities.max())
        return float(prediction.probabilities.max() - changed.probabilities[changed.genres.index(winner)])

    began = time.perf_counter()
    explanation = explain(clip, checkpoint)
    seconds = time.perf_counter() - began
    marked = explanation.marked(winner)
    n, rng = int(marked.sum()), np.random.default_rng(seed)
    random = [first_cells(rng.random(marked.shape), n) for _ in range(N_RANDOM)]
    loud = loudest(clip, explanation.grid, n)
    return {
        "probability": float(prediction.probabilities.max()),
        "seconds": seconds,
        "removed marked": fall(marked, keep=False),
        "removed random": float(np.mean([fall(mask, keep=False) for mask in random])),
        "removed loudest": fall(loud, keep=False),
        "kept marked": fall(marked, keep=True),
        "kept random": float(np.mean([fall(mask, keep=True) for mask in random])),
    }


def interval(values: NDArray[np.float64]) -> str:
    """Return the mean in points, with its bootstrapped 95 % interval."""
    drawn = np.random.default_rng(0).integers(0, len(values), (N_BOOTSTRAP, len(values)))
    low, high = np.quantile(values[drawn].mean(axis=1), [0.025, 0.975])
    return f"{100 * values.mean():.1f} ({100 * low:.1f} to {100 * high:.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.explain", description="Check explanations on music.")
    parser.add_argument("folder", type=Path, help="music, a subfolder for each genre")
    parser.add_argument("--clips", type=int, default=60, help="number of clips")
    parser.add_argument("--checkpoint", default="default", help="bundled name or file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # as on the page
    checkpoint = load_checkpoint(arguments.checkpoint)
    rows = []
    for seed, path in enumerate(chosen_files(arguments.folder, arguments.clips)):
        clip = load_clip(path, sample_rate=checkpoint.sample_rate)
        clip = Clip(clip.samples[: round(MAX_SECONDS * clip.sample_rate)], clip.sample_rate, clip.name)
        rows.append(measure(clip, checkpoint, seed))
        words = ", ".join(f"{name} {value:.2f}" for name, value in rows[-1].items())
        print(f"{seed + 1}: {path.name}: {words}", file=sys.stderr, flush=True)
    found = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    print(f"{len(rows)} clips, the winner has {100 * found['probability'].mean():.0f} % on average.")
    print("| cells | removed: fall in points | kept alone: fall in points |\n|---|---|---|")
    print(f"| marked | {interval(found['removed marked'])} | {interval(found['kept marked'])} |")
    print(f"| as many random ones | {interval(found['removed random'])} | {interval(found['kept random'])} |")
    print(f"| as many of the loudest | {interval(found['removed loudest'])} | |")
    for other in ("random", "loudest"):
        more = found["removed marked"] - found[f"removed {other}"]
        print(f"Marked minus {other}: {interval(more)} points; larger in {100 * (more > 0).mean():.0f} % of the clips.")
    print(f"explain: median {np.median(found['seconds']):.1f} s.")


if __name__ == "__main__":
    main()
