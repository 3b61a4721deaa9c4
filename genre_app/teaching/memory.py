"""Remember what a checkpoint's networks see of each genre, so that new genres can be added without the old genres' music.

The inputs of each last layer are described by a normal distribution for each genre. Samples of it stand for the music of these
genres when new last layers are fitted.

References
----------
Zhang et al. 2023, SLCA: slow learner with classifier alignment for continual learning on a pre-trained model.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from genre_app.checkpoint import Checkpoint
from genre_app.checkpoint_file import HeadMemory, Memory
from genre_app.teaching.embedding import Embedding
from genre_app.teaching.head import Rows, head_rows

# With 32 factors, new layers were as accurate as with the music itself, with 8 nearly so (measured).
_FACTORS = 24
_SAMPLES = 60  # of each genre


def remember(
    embeddings: Sequence[Sequence[Embedding]], labels: NDArray[np.intp], checkpoint: Checkpoint, n_genres: int
) -> Memory:
    """Describe the embeddings of labelled clips, ``embeddings[clip][version]``, for each member and last layer."""
    return tuple(
        tuple(_described(head_rows(embeddings, index, head), labels, n_genres) for head in range(len(member.model.heads())))
        for index, member in enumerate(checkpoint.members)
    )


def _described(rows: Rows, labels: NDArray[np.intp], n_genres: int) -> HeadMemory:
    of_rows = labels[rows.clips]
    of_genres = [of_rows == genre for genre in range(n_genres)]
    means = np.stack([np.average(rows.values[mine], axis=0, weights=rows.shares[mine]) for mine in of_genres])
    # Each genre counts the same, however many clips it has.
    totals = np.bincount(of_rows, weights=rows.shares, minlength=n_genres)
    weights = rows.shares / (n_genres * totals[of_rows])
    deviations = (rows.values - means[of_rows]) * np.sqrt(weights)[:, None]
    _, sizes, directions = np.linalg.svd(deviations, full_matrices=False)
    factors = sizes[:_FACTORS, None] * directions[:_FACTORS]
    residual = np.sqrt(np.maximum((deviations**2).sum(axis=0) - (factors**2).sum(axis=0), 0.0))
    # Not float16: some inputs vary by less than the rounding of their mean, which alone would tell old genres from new ones.
    return HeadMemory(*(torch.from_numpy(values).float() for values in (means, factors, residual)))


def recalled(memory: HeadMemory, seed: int) -> NDArray[np.float64]:
    """Return samples of the inputs of a last layer, float64 [g, 60, d], for each remembered genre."""
    means, factors, residual = (part.double().numpy() for part in (memory.means, memory.factors, memory.residual))
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((len(means), _SAMPLES, len(factors))) @ factors
    return np.asarray(means[:, None] + common + rng.standard_normal((len(means), _SAMPLES, len(residual))) * residual)
