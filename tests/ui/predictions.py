"""Predictions made by hand."""

from __future__ import annotations

import numpy as np

from genre_app import predict


def certain(checkpoint, rows) -> predict.Prediction:
    """A prediction from these segments' probabilities."""
    rows = np.array(rows, np.float32)
    return predict.from_segments(
        checkpoint,
        list(range(len(rows))),
        rows,
        spec=checkpoint.spec,
        sounds=np.ones(len(rows), bool),
        name="song.wav",
        duration_seconds=60.0,
    )
