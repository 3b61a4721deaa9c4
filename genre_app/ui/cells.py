"""The heat map's columns: frames laid out on the time axis of their clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genre_app.prediction import Prediction

MAX_CELLS = 480
"""Most columns of the heat map; more frames are averaged."""


@dataclass(frozen=True)
class Cells:
    """Columns of the heat map.

    Attributes
    ----------
    edges : numpy.ndarray, float64 [c + 1]
        Seconds. Frames overlap, so a cell ends half-way between its frame's centre and the next one's.
    probabilities : numpy.ndarray, float32 [c, g]
    sounds : numpy.ndarray, bool [c]
        False for silent cells.
    frames_per_cell : int
        More than 1 for a long clip, whose frames are averaged.
    """

    edges: NDArray[np.float64]
    probabilities: NDArray[np.float32]
    sounds: NDArray[np.bool_]
    frames_per_cell: int


def cells(prediction: Prediction, most: int = MAX_CELLS) -> Cells:
    """Lay the frames out on the time axis, averaged to at most ``most`` cells."""
    n = len(prediction.segment_starts)
    per_cell = -(-n // most)
    first = np.arange(0, n, per_cell)
    weights = prediction.segment_sounds.astype(np.float32)[:, None]
    heard = np.add.reduceat(weights, first)  # [c, 1]
    total = np.add.reduceat(prediction.segment_probabilities * weights, first)
    centres = (prediction.segment_starts + prediction.segment_ends) / 2
    last = np.append(first[1:], n) - 1
    between = (centres[last[:-1]] + centres[first[1:]]) / 2
    edges = np.concatenate([[0.0], between, [prediction.duration_seconds]])
    return Cells(edges, (total / np.maximum(heard, 1.0)).astype(np.float32), heard[:, 0] > 0, per_cell)
