"""A map of labelled clips: similar clips lie close together. Says which labels are doubtful, and which clips are alike or odd.

Conventions
-----------
A clip is the mean of its segments' embeddings, or of their 58 summary features, each standardised over the clips.

References
----------
van der Maaten and Hinton 2008, Visualizing data using t-SNE.
Miedema et al., Music genre classification (Groningen): t-SNE, K-means and silhouette of the 58 features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from genre_app.errors import DataError
from genre_app.features import FeatureSpec, extract, split
from genre_app.progress import QUIET, Meter, Monitor
from genre_app.teaching.cached import read_middle
from genre_app.teaching.embedding import Embedding
from genre_app.teaching.examples import Example
from genre_app.teaching.taught import Taught

Kind = Literal["embedding", "features"]

MIN_CLIPS = 6
_PERPLEXITY = 30.0  # the library's default; at most a third of the clips
_NEIGHBOURS = 5  # fewer than `MIN_CLIPS`
_ODD = 3.5  # robust z-score of the distance to the neighbours (Iglewicz and Hoaglin 1993)
_ALIKE = 0.35  # distance of two clips, as a share of the median distance of a clip to its nearest neighbour
_LEAST_SCALE = 1 / 3  # that median is at least this share of the one to the farthest of the neighbours
_DOUBTFUL = 0.5  # least probability of another genre when the clip was left out
_LEAST_STD = 1e-8


@dataclass(frozen=True)
class DoubtfulLabel:
    """A clip that a model taught without it puts into another genre: its label may be wrong."""

    name: str
    genre: str
    answer: str
    probability: float


@dataclass(frozen=True, eq=False)
class DataMap:
    """Labelled clips on a plane.

    Attributes
    ----------
    names, genres : tuple of str, length n
    points : numpy.ndarray, float64 [n, 2]
        Places on the plane, by t-SNE.
    clusters : numpy.ndarray, int [n]
        K-means cluster of each clip; there are as many clusters as genres.
    silhouette : float
        Mean silhouette of these clusters on the plane, -1 to 1: 1 is well separated.
    genre_silhouette : float
        The same with the genres as clusters.
    doubtful : tuple of DoubtfulLabel
        Most probable first.
    alike : tuple of (str, str)
        Pairs that are nearly the same sound.
    odd : tuple of str
        Clips far from all others, the farthest first.
    """

    names: tuple[str, ...]
    genres: tuple[str, ...]
    points: NDArray[np.float64]
    clusters: NDArray[np.intp]
    silhouette: float
    genre_silhouette: float
    doubtful: tuple[DoubtfulLabel, ...]
    alike: tuple[tuple[str, str], ...]
    odd: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: the keys of ``genre-app map --format json``."""
        places = zip(self.names, self.genres, self.points.tolist(), self.clusters.tolist(), strict=True)
        return {
            "clips": [{"name": n, "genre": g, "x": p[0], "y": p[1], "cluster": c} for n, g, p, c in places],
            "silhouette": self.silhouette,
            "genre_silhouette": self.genre_silhouette,
            "doubtful": [vars(one) for one in self.doubtful],
            "alike": [list(pair) for pair in self.alike],
            "odd": list(self.odd),
        }


def data_map(
    values: NDArray[np.float64], examples: Sequence[Example], taught: Taught | None = None, *, seed: int = 0
) -> DataMap:
    """Lay out clips on a plane and list the remarkable ones.

    Parameters
    ----------
    values : numpy.ndarray [n, d]
        A row for each clip, from `clip_values`.
    examples : sequence of Example, length n
    taught : Taught, optional
        What `genre_app.teaching.teach.teach` found on these clips; without it no label is doubted.
    seed : int
        Of t-SNE and K-means.

    Raises
    ------
    DataError
        If there are fewer than six clips or two genres, or if all clips are equal.
    """
    # Here: slow to import, and the page starts without them.
    from sklearn.cluster import KMeans
    from sklearn.manifold import TSNE
    from sklearn.metrics import silhouette_score

    genres = tuple(example.genre for example in examples)
    n_genres = len(set(genres))
    if len(examples) < MIN_CLIPS or n_genres < 2:
        raise DataError(f"A map needs at least {MIN_CLIPS} clips in 2 genres; add clips.")
    rows = values.astype(np.float32)
    if (rows == rows[0]).all():  # t-SNE would end the process
        raise DataError("A map needs clips that differ; add others.")
    perplexity = min(_PERPLEXITY, (len(examples) - 1) / 3)
    points = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(rows)
    clusters = KMeans(n_genres, n_init=10, random_state=seed).fit_predict(points)
    names = tuple(example.name for example in examples)
    alike, odd = _alike_and_odd(values, names)
    return DataMap(
        names,
        genres,
        points.astype(np.float64),
        clusters,
        float(silhouette_score(points, clusters)),
        float(silhouette_score(points, genres)),
        _doubtful(taught) if taught else (),
        alike,
        odd,
    )


def clip_values(kind: Kind, taught: Taught, monitor: Monitor = QUIET) -> NDArray[np.float64]:
    """Return a row for each clip that was taught: its embedding, or its 58 features."""
    if kind == "embedding":
        return embedding_values(taught.embeddings)
    return feature_values([example.path for example in taught.examples], monitor)


def embedding_values(embeddings: Sequence[Embedding]) -> NDArray[np.float64]:
    """Return a row for each clip: the mean over its segments of what each network's last layers get, [n, d].

    Each last layer counts the same, however many inputs it has.
    """
    of_heads = []
    for index, member in enumerate(embeddings[0].members):
        for head in range(len(member.of_heads)):
            rows = [one.members[index].of_heads[head][one.sounding(index)].mean(axis=0) for one in embeddings]
            of_heads.append(_standardised(np.stack(rows).astype(np.float64)))
    return np.concatenate(of_heads, axis=1)


def feature_values(paths: Sequence[Path], monitor: Monitor = QUIET) -> NDArray[np.float64]:
    """Return the 58 summary features of each file, the mean over its segments of 3 s, [n, 58]."""
    meter = Meter("computing features of clips", len(paths), float(len(paths)), monitor)
    spec = FeatureSpec(kind="summary", hop_length=512, segment_seconds=3.0, segment_hop_seconds=3.0)
    rows = []
    for path in paths:
        clip = read_middle(path, spec.sample_rate)
        segments = np.concatenate([part.samples for part in split(clip.blocks(), spec)])
        rows.append(extract(torch.from_numpy(segments), spec, padded=True)[:, :, 0].mean(dim=0).double().numpy())
        meter.advance(1, 1.0)
    return _standardised(np.stack(rows))


def _standardised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return columns of zero mean and equal variance, such that the squares of a row add up to about one."""
    std = values.std(axis=0)
    scaled: NDArray[np.float64] = (values - values.mean(axis=0)) / np.where(std < _LEAST_STD, np.inf, std)
    return np.asarray(scaled / np.sqrt(values.shape[1]))


def _doubtful(taught: Taught) -> tuple[DoubtfulLabel, ...]:
    genres = taught.report.genres
    found = []
    for track, probabilities in zip(taught.report.tracks, taught.report.probabilities, strict=True):
        answer = int(probabilities.argmax())
        if answer != track.label and probabilities[answer] >= _DOUBTFUL:
            found.append(DoubtfulLabel(track.track_id, genres[track.label], genres[answer], float(probabilities[answer])))
    return tuple(sorted(found, key=lambda one: -one.probability))


def _alike_and_odd(values: NDArray[np.float64], names: Sequence[str]) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    from sklearn.neighbors import NearestNeighbors  # here: slow to import, and the page starts without it

    # Without arguments, `kneighbors` leaves each clip out of its own neighbours, also where another clip is equal to it.
    distances, places = NearestNeighbors(n_neighbors=_NEIGHBOURS).fit(values).kneighbors()
    medians = np.median(distances, axis=0)
    # If most clips have a copy, that is their nearest neighbour, and its distance says nothing about the others.
    close = np.argwhere(distances < _ALIKE * max(medians[0], _LEAST_SCALE * medians[-1]))
    pairs = {tuple(sorted((names[one], names[places[one, place]]))) for one, place in close}
    mean = distances.mean(axis=1)
    spread = float(np.median(np.abs(mean - np.median(mean)))) or _LEAST_STD
    scores = 0.6745 * (mean - np.median(mean)) / spread
    odd = [int(place) for place in np.argsort(-scores) if scores[place] > _ODD]
    return tuple((a, b) for a, b in sorted(pairs)), tuple(names[place] for place in odd)
