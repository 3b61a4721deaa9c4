"""From the probabilities of a clip's segments to those of the clip.

Conventions
-----------
``probabilities`` is [s, g]: a row per segment, a column per genre, each row summing to one. A vote is a float64 vector [g] that
sums to one and whose largest entry is the clip's genre. The order of the segments does not matter, to the last bit.

Votes
-----
majority
    The genre that wins most segments; ties go to the larger mean probability, then to the genre that comes first. The
    probabilities are the mean over the segments that voted for it, so that they name the same winner.
mean
    The mean over the segments.
geometric
    The normalised geometric mean over the segments, which a single confident "no" can sink.
knn
    The share of each genre among the nearest training tracks (see `References`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

VOTES = ("majority", "mean", "geometric", "knn")
DEFAULT_VOTE = "mean"

_FLOOR = 1e-12  # keeps one segment's exact zero from deciding a geometric mean alone
_TIE = 1e-6  # how far genres with equal shares are set apart


@dataclass(frozen=True, eq=False)
class References:
    """Training tracks for the ``knn`` vote.

    Attributes
    ----------
    probabilities : numpy.ndarray, float32 [tracks, g]
        Mean segment probabilities of each track, best taken from a model that has not seen the track.
    labels : numpy.ndarray, int64 [tracks]
        Index of each track's genre.
    k : int
        Neighbours to ask, 1 <= k <= tracks.

    Raises
    ------
    ValueError
        If the shapes do not fit together or a value is out of range.
    """

    probabilities: NDArray[np.float32]
    labels: NDArray[np.int64]
    k: int

    def __post_init__(self) -> None:
        if self.probabilities.ndim != 2 or self.labels.shape != self.probabilities.shape[:1]:
            raise ValueError(
                "references must be probabilities [tracks, genres] with labels [tracks], "
                f"got {self.probabilities.shape} and {self.labels.shape}"
            )
        n_tracks, n_genres = self.probabilities.shape
        if not 1 <= self.k <= n_tracks:
            raise ValueError(f"k must lie between 1 and the number of reference tracks ({n_tracks}), got {self.k}")
        if not np.isfinite(self.probabilities).all():
            raise ValueError("reference probabilities must be finite")
        if self.labels.min() < 0 or self.labels.max() >= n_genres:
            raise ValueError(f"reference labels must lie between 0 and {n_genres - 1}")


def available_votes(references: References | None) -> tuple[str, ...]:
    """Names of the votes that can be taken: ``knn`` needs references."""
    return VOTES if references is not None else tuple(name for name in VOTES if name != "knn")


def vote(probabilities: NDArray[Any], method: str, references: References | None = None) -> NDArray[np.float64]:
    """Join the segments' probabilities into the clip's.

    Parameters
    ----------
    probabilities : numpy.ndarray [s, g]
        At least one row; each sums to one.
    method : str
        One of `VOTES`.
    references : References, optional
        What ``knn`` compares with.

    Returns
    -------
    numpy.ndarray, float64 [g]
        Sums to one.

    Raises
    ------
    ValueError
        For an unknown method, an array that is not a matrix of probabilities, or ``knn`` without fitting references.
    """
    if method not in VOTES:
        raise ValueError(f"there is no vote {method!r}; choose one of: {', '.join(VOTES)}")
    rows = np.asarray(probabilities, dtype=np.float64)
    if rows.ndim != 2 or 0 in rows.shape:
        raise ValueError(f"probabilities must be a matrix [segments, genres] with at least one segment, got {rows.shape}")
    # Rows of float32 softmax sum to one within 1e-5; anything further off is no distribution.
    if not (np.isfinite(rows).all() and (rows >= 0).all() and np.allclose(rows.sum(axis=1), 1.0, atol=1e-3)):
        raise ValueError("probabilities must be finite, not negative and sum to one in each row")
    rows = rows[np.lexsort(rows.T)]  # sums of floats depend on the order; a fixed one makes the vote independent of it
    if method == "knn":
        return _knn(rows, references)
    return _normalised(_JOINS[method](rows))


def _normalised(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    probabilities: NDArray[np.float64] = weights / weights.sum()
    return probabilities


def _majority(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    winners = rows.argmax(axis=1)
    counts = np.bincount(winners, minlength=rows.shape[1])
    tied = counts == counts.max()
    winner = int(np.where(tied, _mean(rows), -1.0).argmax())
    return _mean(rows[winners == winner])


def _mean(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    means: NDArray[np.float64] = rows.mean(axis=0)
    return means


def _geometric(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    logs = _mean(np.log(np.maximum(rows, _FLOOR)))
    weights: NDArray[np.float64] = np.exp(logs - logs.max())
    return weights


_JOINS: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "majority": _majority,
    "mean": _mean,
    "geometric": _geometric,
}


def _knn(rows: NDArray[np.float64], references: References | None) -> NDArray[np.float64]:
    """Shares of the genres among the ``k`` reference tracks nearest (Euclidean) to the clip's mean probabilities.

    Of equally near tracks the one stored first counts. Of genres with equal shares the one with the nearest neighbour leads by
    less than one part in a million.
    """
    if references is None:
        raise ValueError("the knn vote needs reference tracks, and this checkpoint carries none; choose another vote")
    n_genres = rows.shape[1]
    if references.probabilities.shape[1] != n_genres:
        raise ValueError(f"references know {references.probabilities.shape[1]} genres, the probabilities {n_genres}")
    distances = np.linalg.norm(references.probabilities - _mean(rows), axis=1)
    nearest = references.labels[np.argsort(distances, kind="stable")[: references.k]]
    shares = np.bincount(nearest, minlength=n_genres) / references.k
    genres, first = np.unique(nearest, return_index=True)  # first: rank of each genre's nearest neighbour
    shares[genres] += _TIE * (1.0 - first / references.k)
    return _normalised(shares)
