"""The majority vote of the networks of an ensemble."""

from __future__ import annotations

import numpy as np

from genre_app.evaluation.evaluate import MemberTrack
from train.ensemble import majority, table

A, B, C = ([0.8, 0.1, 0.1], [0.1, 0.5, 0.4], [0.0, 0.1, 0.9])


def test_each_network_has_one_vote_and_the_mean_probability_decides_a_tie():
    means = np.array([[A, B, B], [A, B, C], [C, C, A]])
    assert majority(means).tolist() == [1, 2, 2]
    assert means[0].mean(axis=0).argmax() == 1
    # Two weak votes win against a sure one.
    weak = [0.45, 0.5, 0.05]
    assert majority(np.array([[[1.0, 0.0, 0.0], weak, weak]])).tolist() == [1]


def test_the_table_counts_tracks():
    rows = [np.array([of, of], dtype=np.float32) for of in (A, B, B)]
    text = table([MemberTrack("a", 1, rows), MemberTrack("b", 0, rows)])
    assert "| `groningen-ffnn` | 2 | 50.0% | 9% to 91% |" in text
    assert "| majority of the three | 2 | 50.0% |" in text
