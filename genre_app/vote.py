"""Votes: combine the probabilities of a clip's segments into the probabilities of the clip.

Conventions
-----------
``probabilities`` is [s, g]: a row for each segment, a column for each genre; each row sums to one. A vote returns a float64
vector [g] that sums to one; its largest entry is the clip's genre. The result does not depend on the order of the segments, not
even in its last bit.

Votes
-----
majority
    The genre that is most probable in most segments; ties go to the larger mean probability, then to the first genre. The
    probabilities are the mean over the segments that voted for this genre.
mean
    The mean over the segments.
geometric
    The normalised geometric mean over the segments. One segment that firmly rules a genre out counts heavily.
knn
    The share of each genre among the nearest training tracks (see `References`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

VOTES = ("majority", "mean", "geometric", "knn")
DEFAULT_VOTE = "mean"

_FLOOR = 1e-12  # least probability in a geometric mean, so that an exact zero in one segment does not decide alone
_MAX_NEIGHBOURS = 15  # chosen on validation
_TIE = 1e-6  # largest difference added between genres with equal shares
_SUM_TOLERANCE = 1e-3  # rows of a float32 softmax sum to one within 1e-5; a larger error means no distribution


@dataclass(frozen=True, eq=False)
class References:
    """Training tracks for the ``knn`` vote. A genre without a track is never its answer.

    Attributes
    ----------
    probabilities : numpy.ndarray, float32 [tracks, g]
        Mean segment probabilities of each track, preferably from a model that was not trained on the track.
    labels : numpy.ndarray, int64 [tracks]
        Index of each track's genre.
    k : int
        Number of neighbours, 1 <= k <= tracks.

    Raises
    ------
    ValueError
        If the shapes do not match or a value is out of range.
    """

    probabilities: NDArray[np.float32]
    labels: NDArray[np.int64]
    k: int

    @classmethod
    def of_tracks(cls, probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> References | None:
        """Return references with a suitable ``k``, None for fewer than two tracks."""
        if len(labels) < 2:
            return None
        # More neighbours than a genre has tracks would outvote it always.
        n_rarest = int(np.unique_counts(labels).counts.min())
        k = min(_MAX_NEIGHBOURS, n_rarest, len(labels) - 1)
        return cls(probabilities.astype(np.float32), labels.astype(np.int64), k)

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
    """Return the names of the available votes; ``knn`` needs references."""
    return VOTES if references is not None else tuple(name for name in VOTES if name != "knn")


def vote(probabilities: NDArray[Any], method: str, references: References | None = None) -> NDArray[np.float64]:
    """Combine the probabilities of the segments into those of the clip.

    Parameters
    ----------
    probabilities : numpy.ndarray [s, g]
        At least one row; each row sums to one.
    method : str
        One of `VOTES`.
    references : References, optional
        Training tracks for ``knn``.

    Returns
    -------
    numpy.ndarray, float64 [g]
        Sums to one.

    Raises
    ------
    ValueError
        For an unknown method, an array that is not a matrix of probabilities, or ``knn`` without matching references.
    """
    check_vote(method)
    rows = np.asarray(probabilities, dtype=np.float64)
    if rows.ndim != 2 or 0 in rows.shape:
        raise ValueError(f"probabilities must be a matrix [segments, genres] with at least one segment, got {rows.shape}")
    if not (np.isfinite(rows).all() and (rows >= 0).all() and np.allclose(rows.sum(axis=1), 1.0, atol=_SUM_TOLERANCE)):
        raise ValueError("probabilities must be finite, not negative and sum to one in each row")
    rows = rows[np.lexsort(rows.T)]  # sums of floats depend on their order, so sort the segments
    weights = _knn(rows, references) if method == "knn" else _JOINS[method](rows)
    return np.asarray(weights / weights.sum())


def check_vote(method: str) -> None:
    """Refuse a name that is none of `VOTES`.

    Raises
    ------
    ValueError
    """
    if method not in VOTES:
        raise ValueError(f"there is no vote {method!r}; choose one of: {', '.join(VOTES)}")


def _majority(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    winners = rows.argmax(axis=1)
    counts = np.bincount(winners, minlength=rows.shape[1])
    tied = counts == counts.max()
    winner = int(np.where(tied, _mean(rows), -1.0).argmax())
    return _mean(rows[winners == winner])


def _mean(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(rows.mean(axis=0))


def _geometric(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    logs = _mean(np.log(np.maximum(rows, _FLOOR)))
    return np.asarray(np.exp(logs - logs.max()))


_JOINS = {"majority": _majority, "mean": _mean, "geometric": _geometric}


def _knn(rows: NDArray[np.float64], references: References | None) -> NDArray[np.float64]:
    """Return the shares of the genres among the ``k`` reference tracks nearest to the clip's mean probabilities (Euclidean).

    Among equally near tracks, the one stored first counts. Among genres with equal shares, the one with the nearest neighbour
    leads by less than `_TIE`.
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
    return np.asarray(shares)
