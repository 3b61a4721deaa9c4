"""Print how many answers are called sure, and how many of them are right, for a grid of rules.

    python -m tests.sureness MEL_CACHE CHECKPOINT

The checkpoint must not have been trained on the validation tracks of the cache; the bundled ones were.

The defaults of `genre_app.sure.SureLimits` are chosen from this table.
"""

from __future__ import annotations

import sys

import numpy as np
import torch

from genre_app.checkpoint import load_checkpoint
from genre_app.evaluation.evaluate import evaluate
from genre_app.evaluation.metrics import wilson_interval
from genre_app.sure import SureLimits

MARGINS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
PROBABILITIES = (0.0, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6)


def share(right: np.ndarray) -> str:
    """Return the number of answers, and the share that is right with its 95 % interval."""
    if not len(right):
        return f"{0:4}" + " " * 20
    low, high = wilson_interval(int(right.sum()), len(right))
    return f"{len(right):4} {right.mean():6.1%} ({low:4.0%} to {high:4.0%})"


if __name__ == "__main__":
    torch.set_num_threads(1)  # segments are small, so more threads only wait for each other
    report = evaluate(sys.argv[1], load_checkpoint(sys.argv[2]), split="valid")
    ordered = np.sort(report.probabilities, axis=1)
    first, second = ordered[:, -1], ordered[:, -2]
    right = report.probabilities.argmax(axis=1) == report.labels
    print("lead  probability   sure: tracks, right          not sure: tracks, right")
    for margin in MARGINS:
        for probability in PROBABILITIES:
            sure = (first - second >= margin) & (first >= probability)
            chosen = " <- chosen" if SureLimits(probability=probability, margin=margin) == SureLimits() else ""
            print(f"{margin:.2f}  {probability:11.2f}   {share(right[sure])}     {share(right[~sure])}{chosen}")
