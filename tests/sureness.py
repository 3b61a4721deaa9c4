"""How often answers are right where the page says "not sure", and where it does not: python -m tests.sureness FOLDER."""

from __future__ import annotations

import sys

import numpy as np
import torch

from genre_app.checkpoint import load_checkpoint
from genre_app.evaluation.evaluate import evaluate
from genre_app.predict import SURE_MARGIN

if __name__ == "__main__":
    torch.set_num_threads(1)  # segments are small: more threads only wait for each other
    report = evaluate(sys.argv[1], load_checkpoint(), split="valid")
    ordered = np.sort(report.probabilities, axis=1)
    sure = ordered[:, -1] - ordered[:, -2] >= SURE_MARGIN
    right = report.probabilities.argmax(axis=1) == report.labels
    for words, chosen in (("not sure", ~sure), ("sure", sure)):
        print(f"{words:8}  {right[chosen].mean():.0%} of {chosen.sum()} right")
