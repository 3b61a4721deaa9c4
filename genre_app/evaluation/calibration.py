"""Calibration: how well probabilities agree with the shares of right answers.

Conventions
-----------
``probabilities`` is [n, g], of whole tracks by the mean vote; ``labels`` [n] are the true genres. The confidence of an answer
is its largest probability.

References
----------
Guo et al. 2017, On calibration of modern neural networks (expected calibration error, temperature scaling).
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np
from numpy.typing import NDArray

from genre_app.sure import SureLimits

TEMPERATURES = (0.5, 3.0)
"""Bounds of a fitted temperature; tracks that ask for less or more are too few, or too easy, to say how sure to be."""

LEAST_PROBABILITY = 1e-12
"""Keeps the log-loss of a certain mistake finite."""

SURE_ACCURACY = 0.85
"""Accuracy that sure answers should have at least."""

_TRIALS = 1000  # of 369 tracks, the 95 % quantile of this many trials varies by 0.001

_MIN_TRACKS = 50  # with fewer tracks the default limits are more reliable than chosen ones
_PROBABILITIES = tuple(step / 20 for step in range(6, 19))  # 0.3 to 0.9
_MARGINS = tuple(step / 20 for step in range(11))  # 0 to 0.5


def expected_calibration_error(probabilities: NDArray[np.floating], labels: NDArray[np.integer], bins: int = 10) -> float:
    """Return the mean distance of accuracy and confidence over bins of equal width, weighted by their tracks.

    A bin holds the confidences above its lower edge, up to and with its upper edge.
    """
    return _error(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels, bins)


def chance_calibration_error(probabilities: NDArray[np.floating], bins: int = 10) -> float:
    """Return the calibration error that answers exceed in 5 % of cases if their probabilities are exactly right.

    Few tracks have an error by chance: in each of 1000 trials, an answer is right with its own probability. The trials are the
    same at each call.
    """
    confidence = probabilities.max(axis=1)
    generator = np.random.default_rng(0)
    errors = [_error(confidence, generator.random(len(confidence)) < confidence, bins) for _ in range(_TRIALS)]
    return float(np.quantile(errors, 0.95))


def _error(confidence: NDArray[np.floating], right: NDArray[np.bool_], bins: int) -> float:
    places = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    total = np.bincount(places, weights=right - confidence, minlength=bins)
    return float(np.abs(total).sum() / len(confidence))


def log_loss(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Return the mean of -ln p(true genre)."""
    of_truth = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(of_truth.clip(min=LEAST_PROBABILITY)).mean())


def choose_sure_limits(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> SureLimits:
    """Return the limits that call the most answers sure of which `SURE_ACCURACY` should be right, also on other tracks.

    On other tracks, fewer of the sure answers are right. So the share of right ones minus its standard error must reach
    `SURE_ACCURACY`.

    The grid has probabilities from 0.3 to 0.9 and margins from 0 to 0.5 in steps of 0.05. Among limits with equally many sure
    answers, the lowest are chosen. If none is accurate enough, the strictest are; for fewer than 50 tracks, the default ones.
    """
    if len(labels) < _MIN_TRACKS:
        return SureLimits()
    ordered = np.sort(probabilities, axis=1)
    first, margins = ordered[:, -1], ordered[:, -1] - ordered[:, -2]
    right = probabilities.argmax(axis=1) == labels
    best, most = SureLimits(probability=_PROBABILITIES[-1], margin=_MARGINS[-1]), 0
    for probability, margin in product(_PROBABILITIES, _MARGINS):
        sure = (first >= probability) & (margins >= margin)
        n_sure = int(sure.sum())
        if n_sure <= most:
            continue
        share = float(right[sure].mean())
        if share - math.sqrt(share * (1.0 - share) / n_sure) >= SURE_ACCURACY:
            best, most = SureLimits(probability=probability, margin=margin), n_sure
    return best
