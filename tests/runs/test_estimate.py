"""Times that are estimated before the data are open."""

from __future__ import annotations

import pytest

from genre_app.runs import estimate


@pytest.fixture(autouse=True)
def _nothing_learned(monkeypatch):
    monkeypatch.setattr(estimate, "_measured", {})


def seconds(recipe: str, n_tracks: int, speed: float = 1.0) -> float:
    return estimate.estimated_seconds(recipe, n_tracks, speed=speed)


def test_time_grows_with_tracks_epochs_and_the_network():
    assert seconds("mlp", 100) < 30 < seconds("lstm", 100) < seconds("default", 100) < seconds("transfer", 100)
    # 402 training tracks and 90 epochs of 31 steps with 64 segments of 8.8 ms; 574 tracks have 402 for training.
    assert seconds("default", 574) == pytest.approx(90 * 31 * 64 * 0.0088, rel=0.1)
    slow = [seconds("lstm", n, speed=3.0) - seconds("lstm", n) for n in (100, 200)]
    assert slow[1] == pytest.approx(2 * slow[0], rel=0.15)
    assert not estimate.has_estimate("kth-lstm")


def test_a_measured_time_corrects_the_estimates_of_its_recipe(monkeypatch):
    monkeypatch.setattr(estimate, "measured_speed", lambda: 2.0)
    before = {recipe: estimate.estimated_seconds(recipe, 100) for recipe in ("lstm", "mlp")}
    assert before["lstm"] > seconds("lstm", 100)
    for _ in range(2):
        estimate.learn("lstm", 100, 500.0)
        assert estimate.estimated_seconds("lstm", 100) == pytest.approx(500, abs=15)
    assert estimate.estimated_seconds("lstm", 200) == pytest.approx(1000, rel=0.1)
    assert estimate.estimated_seconds("mlp", 100) == before["mlp"]
    estimate.learn("kth-lstm", 100, 500.0)  # has none


def test_the_speed_of_this_machine_is_measured_once():
    estimate.measured_speed.cache_clear()
    assert estimate.measured_speed() == estimate.measured_speed() > 0
