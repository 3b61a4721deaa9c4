"""Votes: properties of all of them, and each computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from genre_app.vote import VOTES, References, available_votes, vote

N_GENRES = 4
REFERENCES = References(
    np.random.default_rng(0).dirichlet(np.ones(N_GENRES), 30).astype(np.float32), np.arange(30) % N_GENRES, k=5
)


def normalised(rows: np.ndarray) -> np.ndarray:
    rows = rows + 1e-6
    return (rows / rows.sum(axis=1, keepdims=True)).astype(np.float32)


# Small integers make ties common.
WEIGHTS = st.one_of(
    hnp.arrays(np.float64, st.tuples(st.integers(1, 9), st.just(N_GENRES)), elements=st.integers(0, 3).map(float)),
    hnp.arrays(np.float64, st.tuples(st.integers(1, 9), st.just(N_GENRES)), elements=st.floats(0, 1)),
)
SEGMENTS = WEIGHTS.map(normalised)


@given(SEGMENTS, st.sampled_from(VOTES))
def test_a_vote_is_a_distribution(segments, method):
    joined = vote(segments, method, REFERENCES)
    assert joined.shape == (N_GENRES,)
    assert joined.dtype == np.float64
    assert (joined >= 0).all()
    assert joined.sum() == pytest.approx(1.0, abs=1e-12)


@given(SEGMENTS, st.sampled_from(VOTES), st.randoms(use_true_random=False))
def test_the_order_of_segments_does_not_matter(segments, method, random):
    order = list(range(len(segments)))
    random.shuffle(order)
    np.testing.assert_array_equal(vote(segments, method, REFERENCES), vote(segments[order], method, REFERENCES))


@given(SEGMENTS, st.sampled_from(["majority", "mean", "geometric"]))
def test_the_vote_of_one_segment_is_itself(segments, method):
    np.testing.assert_allclose(vote(segments[:1], method), segments[0], rtol=1e-6)


@given(SEGMENTS, st.sampled_from(VOTES), st.integers(2, 4))
def test_repeating_the_segments_changes_nothing(segments, method, times):
    repeated = vote(np.tile(segments, (times, 1)), method, REFERENCES)
    np.testing.assert_allclose(repeated, vote(segments, method, REFERENCES), atol=1e-6)


@given(SEGMENTS)
def test_the_majority_is_the_mode_of_the_winners(segments):
    counts = np.bincount(segments.argmax(axis=1), minlength=N_GENRES)
    winner = vote(segments, "majority").argmax()
    assert counts[winner] == counts.max()
    means = segments.astype(np.float64).mean(axis=0)
    tied = np.flatnonzero(counts == counts.max())
    assert means[winner] >= means[tied].max() - 1e-9


@given(SEGMENTS, st.sampled_from(["majority", "mean", "geometric"]), st.integers(0, N_GENRES - 1))
def test_a_genre_that_wins_every_segment_by_far_wins(segments, method, genre):
    segments = segments * 0.1
    segments[:, genre] += 0.9
    assert vote(segments, method).argmax() == genre


def test_majority_by_hand():
    rows = [[0.4, 0.3, 0.3], [0.0, 0.9, 0.1], [0.5, 0.2, 0.3]]
    np.testing.assert_allclose(vote(np.array(rows), "majority"), [0.45, 0.25, 0.3])  # the mean of the first and the third
    assert vote(np.array(rows), "mean").argmax() == 1


def test_a_tied_majority_goes_to_the_larger_mean_then_to_the_first():
    assert vote(np.array([[0.6, 0.4, 0.0], [0.1, 0.9, 0.0]]), "majority").argmax() == 1
    assert vote(np.array([[0.2, 0.3, 0.5], [0.2, 0.5, 0.3]]), "majority").argmax() == 1
    # The means of 1 and 2 are the same, and larger than that of 0, but only among the winners does it count.
    assert vote(np.array([[0.4, 0.35, 0.25], [0.35, 0.4, 0.25]]), "majority").argmax() == 0


def test_mean_and_geometric_by_hand():
    rows = np.array([[0.8, 0.2], [0.1, 0.9]])
    np.testing.assert_allclose(vote(rows, "mean"), [0.45, 0.55])
    roots = np.sqrt([0.8 * 0.1, 0.2 * 0.9])
    np.testing.assert_allclose(vote(rows, "geometric"), roots / roots.sum())


def test_a_zero_does_not_make_the_geometric_mean_undefined():
    joined = vote(np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]), "geometric")
    assert joined.argmax() == 1
    np.testing.assert_allclose(joined, [1e-8 / (1e-8 + 1e-4), 1e-4 / (1e-8 + 1e-4)])


def test_the_geometric_mean_of_many_segments_does_not_underflow():
    rows = np.tile([[0.7, 0.3]], (5000, 1))
    np.testing.assert_allclose(vote(rows, "geometric"), [0.7, 0.3])


def references(points: list[list[float]], labels: list[int], k: int) -> References:
    return References(np.array(points, np.float32), np.array(labels, np.int64), k)


def test_knn_counts_the_nearest_training_tracks():
    known = references([[1, 0, 0], [0.9, 0.1, 0], [0, 1, 0], [0, 0.9, 0.1], [0, 0, 1]], [2, 2, 1, 1, 0], k=3)
    joined = vote(np.array([[0.9, 0.1, 0.0], [0.7, 0.3, 0.0]]), "knn", known)  # the mean lies at [0.8, 0.2, 0]
    np.testing.assert_allclose(joined, [0, 1 / 3, 2 / 3], atol=2e-6)
    np.testing.assert_allclose(
        vote(np.array([[0.0, 0.1, 0.9]]), "knn", references([[1, 0, 0], [0, 0, 1]], [0, 1], 1)), [0, 1, 0]
    )


@pytest.mark.parametrize(("labels", "winner"), [([2, 1, 1, 2], 2), ([1, 2, 2, 1], 1), ([0, 1, 2, 0], 0)])
def test_equal_shares_go_to_the_nearest_neighbour(labels, winner):
    known = references([[1, 0, 0], [0.9, 0.1, 0], [0.8, 0.2, 0], [0.7, 0.3, 0]], labels, k=4)
    joined = vote(np.array([[1.0, 0.0, 0.0]]), "knn", known)
    assert joined.argmax() == winner
    np.testing.assert_allclose(joined, np.bincount(labels, minlength=3) / 4, atol=2e-6)


def test_equally_near_tracks_count_in_the_order_they_are_stored():
    points = [[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]]
    assert vote(np.array([[0.5, 0.5]]), "knn", references(points, [1, 0, 0], k=1)).argmax() == 1
    assert vote(np.array([[0.5, 0.5]]), "knn", references(points, [0, 1, 1], k=1)).argmax() == 0


@pytest.mark.parametrize(
    ("labels", "k"),
    [([0] * 20 + [1] * 3, 3), ([0] * 20 + [2] * 3, 3), ([0] * 30, 15), ([0, 1, 2], 1), ([0, 0], 1)],
    ids=["rarest genre", "genre without tracks", "most", "one of each", "two tracks"],
)
def test_as_many_neighbours_count_as_the_rarest_genre_has_tracks(labels, k):
    assert References.of_tracks(np.full((len(labels), 3), 1 / 3), np.array(labels)).k == k


def test_knn_is_available_with_references_only():
    assert available_votes(REFERENCES) == VOTES == ("majority", "mean", "geometric", "knn")
    assert available_votes(None) == ("majority", "mean", "geometric")
    with pytest.raises(ValueError, match="needs reference tracks"):
        vote(np.array([[0.5, 0.5]]), "knn")
    with pytest.raises(ValueError, match="references know 4 genres, the probabilities 2"):
        vote(np.array([[0.5, 0.5]]), "knn", REFERENCES)


def test_an_unknown_vote_is_refused_with_the_choices():
    with pytest.raises(ValueError, match="no vote 'median'; choose one of: majority, mean, geometric, knn"):
        vote(np.array([[1.0]]), "median")


@pytest.mark.parametrize(
    "rows",
    [
        np.zeros((0, 3)),
        np.array([0.5, 0.5]),
        np.zeros((2, 0)),
        np.array([[0.5, np.nan]]),
        np.array([[1.5, -0.5]]),
        np.array([[0.5, 0.1]]),
        np.array([[np.inf, 0.0]]),
    ],
)
def test_rows_that_are_not_distributions_are_refused(rows):
    with pytest.raises(ValueError, match="probabilities must be"):
        vote(rows, "mean")


@pytest.mark.parametrize(
    ("points", "labels", "k", "message"),
    [
        ([[1, 0]], [0], 0, "k must lie between"),
        ([[1, 0]], [0], 2, "k must lie between"),
        ([[1, 0]], [2], 1, "labels"),
        ([[1, 0]], [-1], 1, "labels"),
        ([[1, 0]], [0, 1], 1, "references must be"),
        ([[np.nan, 0]], [0], 1, "finite"),
    ],
)
def test_references_that_do_not_match_are_refused(points, labels, k, message):
    with pytest.raises(ValueError, match=message):
        references(points, labels, k)
