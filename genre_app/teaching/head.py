"""Fit last layers to embeddings, and compute what a checkpoint with these layers predicts."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy  # its submodules are imported at first use; scipy.special is slow to import
from numpy.typing import NDArray

from genre_app.teaching.embedding import Embedding

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

# Chosen among 0.003, 0.03 and 0.3 on clips of 5 genres and on simulated recordings of them (see train/RESULTS.md).
_PENALTY = 0.03
_DIRECTIONS = 256  # of the largest variance; the last layer of 1 706 inputs is fitted within these
_LEAST_STD = 1e-5
_REMEMBERED_CLIPS = 10.0  # weight of a remembered genre
_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Layer:
    """Weights [genres, d] and biases [genres] of a last layer."""

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Rows:
    """Embeddings of all clips by one head: values [n, d], the clip [n] and the share of its clip [n] of each row."""

    values: NDArray[np.float64]
    clips: NDArray[np.intp]
    shares: NDArray[np.float64]


class HeadFit:
    """Logistic regression of the genres on the embeddings of one head.

    Each input is standardised and rotated to its directions of largest variance once, since neither depends on the genres. Each
    genre has the same weight, and each of its clips too.

    Parameters
    ----------
    rows : Rows
    labels : numpy.ndarray, int [clips]
    n_genres : int
    recalled : numpy.ndarray [g, n, d], optional
        Samples of genres that the checkpoint remembers; those of one genre count as ten clips.
    recalled_labels : sequence of int, length g
    """

    def __init__(
        self,
        rows: Rows,
        labels: NDArray[np.intp],
        n_genres: int,
        recalled: NDArray[np.float64] | None = None,
        recalled_labels: Sequence[int] = (),
    ) -> None:
        if recalled is not None:  # as if each remembered genre had one more clip, of a larger weight
            samples = recalled.reshape(-1, recalled.shape[2])
            clips = len(labels) + np.repeat(np.arange(len(recalled)), recalled.shape[1])
            rows = Rows(
                np.concatenate([rows.values, samples]),
                np.concatenate([rows.clips, clips]),
                np.concatenate([rows.shares, np.full(len(samples), 1.0 / recalled.shape[1])]),
            )
        self._rows, self._n_genres = rows, n_genres
        self._labels = np.concatenate([labels, np.array(recalled_labels, dtype=int)])
        self._sizes = np.repeat([1.0, _REMEMBERED_CLIPS], [len(labels), len(recalled_labels)])
        self._mean = rows.values.mean(axis=0)
        std = rows.values.std(axis=0)
        self._scale = np.where(std < _LEAST_STD, 0.0, 1.0 / np.maximum(std, _LEAST_STD)) / np.sqrt(rows.values.shape[1])
        standardised = (rows.values - self._mean) * self._scale
        if standardised.shape[0] > standardised.shape[1]:
            directions = np.linalg.eigh(standardised.T @ standardised).eigenvectors[:, ::-1]
        else:
            directions = np.linalg.svd(standardised, full_matrices=False).Vh.T
        self._directions = directions[:, :_DIRECTIONS]
        self._projected = standardised @ self._directions
        self._warm: LogisticRegression | None = None

    def without(self, left_out: NDArray[np.bool_]) -> Layer:
        """Return the layer fitted to the clips that are not left out, bool [clips]; each genre must keep one."""
        from sklearn.linear_model import LogisticRegression  # here: slow to import, and the page starts without it

        sizes = self._sizes.copy()
        sizes[: len(left_out)][left_out] = 0.0
        kept = sizes[self._rows.clips] > 0.0
        per_genre = np.bincount(self._labels, weights=sizes, minlength=self._n_genres)
        of_clip = sizes * sizes.sum() / (self._n_genres * per_genre)[self._labels]
        weights = (self._rows.shares * of_clip[self._rows.clips])[kept]
        model = copy.deepcopy(self._warm) or LogisticRegression(C=1 / _PENALTY, tol=_TOLERANCE, max_iter=200, warm_start=True)
        model.fit(self._projected[kept], self._labels[self._rows.clips][kept], sample_weight=weights)
        self._warm = self._warm or model  # a later fit begins with the weights of the first one
        coefficients, intercepts = model.coef_, model.intercept_
        if len(coefficients) == 1:  # of two genres, the library fits the second against the first
            coefficients = np.concatenate([np.zeros_like(coefficients), coefficients])
            intercepts = np.concatenate([np.zeros(1), intercepts])
        weight = coefficients @ self._directions.T * self._scale
        return Layer(weight, intercepts - weight @ self._mean)


def head_rows(embeddings: Sequence[Sequence[Embedding]], member: int, head: int) -> Rows:
    """Collect what one head gets for the versions of each clip, ``embeddings[clip][version]``."""
    values, clips, shares = [], [], []
    for clip, versions in enumerate(embeddings):
        for version in versions:
            of_clip = version.members[member].of_heads[head][version.sounding(member)]
            values.append(of_clip.astype(np.float64))
            clips += [clip] * len(of_clip)
            shares += [1.0 / (len(versions) * len(of_clip))] * len(of_clip)
    return Rows(np.concatenate(values), np.array(clips), np.array(shares))


def member_rows(embedding: Embedding, layers: Sequence[Sequence[Layer]]) -> list[NDArray[np.float32]]:
    """Return each member's probabilities [s, genres] of the segments that sound, from the layers of its heads."""
    rows = []
    for member, of_heads in zip(embedding.members, layers, strict=True):
        of_layers = [
            scipy.special.softmax(values @ layer.weight.T + layer.bias, axis=1)
            for values, layer in zip(member.of_heads, of_heads, strict=True)
        ]
        of_segments = np.mean(of_layers, axis=0)[member.places].mean(axis=1)
        rows.append(of_segments[embedding.sounds].astype(np.float32))
    return rows
