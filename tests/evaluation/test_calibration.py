"""Calibration: the expected calibration error, temperatures and limits of sure answers."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from genre_app.checkpoint import tempered
from genre_app.evaluation.calibration import chance_calibration_error, choose_sure_limits, expected_calibration_error
from genre_app.sure import SureLimits


def two_genres(first: list[float]) -> np.ndarray:
    return np.stack([np.array(first), 1 - np.array(first)], axis=1)


def test_the_error_by_hand():
    # Bins of 0.1: (0.6, 0.7] has two answers, one right; (0.9, 1.0] has two, both right. 0.7 is the upper edge of its bin.
    probabilities = two_genres([0.65, 0.7, 0.95, 0.05])
    labels = np.array([0, 1, 0, 1])
    expected = (abs(1 - 0.65 - 0.7) + abs(2 - 0.95 - 0.95)) / 4
    assert expected_calibration_error(probabilities, labels) == pytest.approx(expected)
    assert expected_calibration_error(two_genres([1.0, 0.0]), np.array([0, 1])) == 0.0
    assert expected_calibration_error(two_genres([1.0, 0.0]), np.array([1, 0])) == 1.0


def test_the_error_of_known_distributions():
    """Labels drawn from p ** (1 / T), normalised, have a known error in closed form: the mean gap of the two confidences."""
    random = np.random.default_rng(0)
    true = random.uniform(0.5, 1.0, 200_000)
    labels = (random.uniform(size=len(true)) > true).astype(int)
    assert expected_calibration_error(two_genres(true), labels) < 0.005
    said = tempered(two_genres(true), 0.5)
    assert expected_calibration_error(said, labels) == pytest.approx((said.max(axis=1) - true).mean(), abs=0.005)


@pytest.mark.parametrize("n", [20, 369])
def test_the_error_by_chance_is_that_of_a_binomial(n):
    """Answers with one probability are in one bin, so the error is the distance of a binomial share from it."""
    right = scipy.stats.binom(n, 0.73)
    counts = np.arange(n + 1)
    distance = np.abs(counts / n - 0.73)
    order = distance.argsort()
    exact = distance[order][right.pmf(counts)[order].cumsum().searchsorted(0.95)]
    assert chance_calibration_error(two_genres([0.73] * n)) == pytest.approx(exact, abs=0.15 * exact)
    assert chance_calibration_error(two_genres([1.0] * n)) == 0.0  # a certain answer cannot be wrong by chance


def test_limits_call_the_most_answers_sure_of_which_enough_are_right():
    # Answers of 0.9 are always right, those of 0.7 in 8 of 10 cases, those of 0.52 in half of the cases.
    said = np.repeat([0.9, 0.7, 0.52], [40, 40, 40])
    right = np.concatenate([np.ones(40), np.tile([1] * 8 + [0] * 2, 4), np.tile([1, 0], 20)]).astype(bool)
    labels = np.where(right, 0, 1)
    limits = choose_sure_limits(two_genres(said), labels)
    first, second = said, 1 - said
    sure = (first >= limits.probability) & (first - second >= limits.margin)
    assert sure.sum() == 80  # 90 % of them are right; of all 120, 77 %
    assert choose_sure_limits(two_genres(said)[::3], labels[::3]) == SureLimits()  # 40 tracks are too few
    assert choose_sure_limits(two_genres(said), 1 - labels) == SureLimits(probability=0.9, margin=0.5)
