"""The soak commands, for a moment."""

from __future__ import annotations

from tests.soak import files, live


def test_mutated_files_get_samples_or_a_sentence():
    found = files.soak(1.0, seed=1)
    assert found.escaped == []
    assert found.decoded + found.warned + found.refused >= 1
    assert found.left_open <= 0


def test_live_with_mutated_pieces(bundled):
    found = live.soak(0.5, seed=1)
    assert found.seconds >= 2
    assert found.left_open <= 0


def test_live_keeps_to_a_speed(bundled):
    found = live.soak(0.5, seed=1, speed=4.0, visitors=1)
    assert 1 <= found.seconds <= 3  # at most four a second
    assert found.speed <= 6.0
