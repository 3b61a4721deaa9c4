"""Combined checkpoints: joining, weights chosen on tracks, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import soundfile

from genre_app.checkpoint import load_checkpoint, save_checkpoint, tempered
from genre_app.combine import combine
from genre_app.errors import CheckpointError, DataError
from genre_app.evaluation.calibration import choose_sure_limits, expected_calibration_error, log_loss
from genre_app.evaluation.combination import calibrated, choose_mix, combine_on
from genre_app.evaluation.evaluate import MemberTrack, evaluate
from genre_app.features import FeatureSpec
from genre_app.predict import classify
from tests.bands import write_bands

RATE = 22050
SHORT = FeatureSpec(kind="mfcc", sample_rate=16000, fmax=8000.0, segment_seconds=1.0, segment_hop_seconds=1.0)


@pytest.fixture(scope="module")
def folder(make_clip, tmp_path_factory):
    root = tmp_path_factory.mktemp("tracks")
    for seed, genre in enumerate(["blues", "blues", "rock", "rock", "jazz", "jazz"]):
        (root / genre).mkdir(exist_ok=True)
        soundfile.write(root / genre / f"{seed}.wav", make_clip(5.0, seed).samples, RATE, subtype="FLOAT")
    return root


def test_checkpoints_are_joined_by_weight(make_clip, checkpoint, make_checkpoint):
    other, clip = make_checkpoint(seed=1), make_clip(6.0)
    joined = combine([checkpoint, other], [3.0, 1.0])
    rows = [classify(clip, part).segment_probabilities for part in (checkpoint, other)]
    np.testing.assert_allclose(classify(clip, joined).segment_probabilities, 0.75 * rows[0] + 0.25 * rows[1], atol=1e-6)
    assert joined.name == "tiny + tiny"
    assert joined.references is None
    assert [part["weight"] for part in joined.provenance["parts"]] == [0.75, 0.25]
    assert joined.provenance["parts"][1]["provenance"] == other.provenance
    assert combine([checkpoint]) is checkpoint
    # A combined checkpoint keeps the shares of its members.
    three = combine([joined, make_checkpoint(seed=2)])
    assert [member.weight for member in three.members] == [0.375, 0.125, 0.5]
    assert combine([replace(checkpoint, temperature=0.6), other]).temperature == pytest.approx(0.8)


def test_what_cannot_be_combined(checkpoint, make_checkpoint):
    turned = replace(checkpoint, genres=checkpoint.genres[::-1], name="turned")
    with pytest.raises(CheckpointError, match="tiny and turned cannot be combined: their genres are blues"):
        combine([checkpoint, turned])
    for weights in ([1.0], [1.0, 0.0], [1.0, -1.0], [1.0, float("nan")]):
        with pytest.raises(CheckpointError, match="give one positive weight for each of the 2 checkpoints"):
            combine([checkpoint, checkpoint], weights)
    with pytest.raises(CheckpointError, match="17 networks are more than the 16"):
        combine([checkpoint] * 17)


def test_the_chosen_mix_has_the_least_log_loss():
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 200)
    noise = [random.dirichlet(np.ones(3), 200) for _ in range(3)]
    truth = np.eye(3)[labels]
    good, fair, bad = (share * truth + (1 - share) * rows for share, rows in zip((0.4, 0.4, 0.0), noise, strict=True))
    even = good**0.4 / (good**0.4).sum(axis=1, keepdims=True)  # good at a temperature of 2.5

    def mixed(members, weights, temperatures):
        rows = (weight * tempered(rows, t) for rows, weight, t in zip(members, weights, temperatures, strict=True))
        return log_loss(sum(rows), labels)

    members = [even, fair]
    weights, temperatures = choose_mix([[rows[[n]] for rows in members] for n in range(200)], labels)
    assert sum(weights) == pytest.approx(1.0)
    grid = product(np.linspace(0.1, 0.9, 9), np.geomspace(0.5, 3.0, 8), np.geomspace(0.5, 3.0, 8))
    least = min(mixed(members, (share, 1 - share), (one, other)) for share, one, other in grid)
    assert mixed(members, weights, temperatures) <= least + 1e-6
    # A checkpoint that only guesses keeps the least share, and given weights are kept.
    three = [[rows[[n]] for rows in (good, fair, bad)] for n in range(200)]
    assert choose_mix(three, labels)[0][2] == pytest.approx(0.01, rel=0.03)
    assert choose_mix(three, labels, [0.5, 0.3, 0.2])[0] == pytest.approx([0.5, 0.3, 0.2])


def test_the_mean_of_two_networks_gets_the_temperature_that_makes_it_as_sure_as_it_is_right(checkpoint, make_checkpoint):
    # Labels are drawn from the first network's probabilities; both networks add noise of their own to its logits. The mean of
    # two noisy networks is nearer to the truth than each, but flatter.
    random = np.random.default_rng(0)
    logits = random.normal(0, 2.5, (3000, 10))
    truth = tempered(np.exp(logits), 1.0)
    labels = (truth.cumsum(axis=1) < random.uniform(size=(3000, 1))).sum(axis=1)
    noisy = [tempered(np.exp(logits + random.normal(0, 1.5, logits.shape)), 2.0).astype(np.float32) for _ in range(2)]
    tracks = [MemberTrack(str(n), int(label), [rows[[n]] for rows in noisy]) for n, label in enumerate(labels)]
    both = combine([checkpoint, make_checkpoint(seed=1)])
    found, report = calibrated(both, tracks)
    mean = np.mean(noisy, axis=0, dtype=np.float64)
    losses = {t: log_loss(tempered(mean, t), labels) for t in np.arange(0.5, 1.5, 0.01)}
    assert found.temperature == pytest.approx(min(losses, key=losses.get), abs=0.011)
    assert found.temperature < 0.8
    assert report.log_loss == pytest.approx(min(losses.values()), abs=1e-4)
    assert report.ece < 0.03 < 0.1 < expected_calibration_error(mean, labels)
    assert found.sure == choose_sure_limits(report.probabilities, labels)
    assert calibrated(checkpoint, [replace(track, of_members=track.of_members[:1]) for track in tracks])[0].temperature == 1.0


def test_weights_are_chosen_on_tracks(folder, checkpoint, make_checkpoint, tmp_path):
    parts = [replace(checkpoint, name="a"), replace(make_checkpoint(SHORT, 1), name="b")]
    calls = []
    found = combine_on(folder, parts, workers=2, on_track=lambda *call: calls.append(call))
    assert calls == [(done, 6) for done in range(1, 7)]  # each track is decoded once
    assert list(found.reports) == ["a", "b", "equal weights", "combined"]
    alone = evaluate(folder, parts[0])
    assert found.reports["a"].log_loss == pytest.approx(alone.log_loss)
    assert found.reports["equal weights"].log_loss == pytest.approx(evaluate(folder, combine(parts)).log_loss)
    losses = {name: report.log_loss for name, report in found.reports.items()}
    assert losses["combined"] <= min(losses.values()) + 1e-6
    save_checkpoint(found.checkpoint, tmp_path / "both.safetensors")
    loaded = load_checkpoint(tmp_path / "both.safetensors")
    assert evaluate(folder, loaded).log_loss == pytest.approx(losses["combined"])
    assert loaded.metrics["valid"]["log_loss"] == pytest.approx(losses["combined"])
    assert loaded.references.labels.tolist() == [0, 0, 5, 5, 9, 9]
    assert found.weights == tuple(part["weight"] for part in loaded.provenance["parts"])
    assert found.to_dict()["weights"] == list(found.weights)
    assert "combined " in found.to_table()


def test_given_weights_are_kept(folder, checkpoint, make_checkpoint):
    found = combine_on(folder, [checkpoint, make_checkpoint(seed=1)], weights=[1.0, 4.0])
    assert found.weights == (0.2, 0.8)
    assert list(found.reports) == ["tiny (1)", "tiny (2)", "equal weights", "combined"]


def test_a_cache_that_lacks_the_features_of_a_member_is_refused(make_checkpoint, tmp_path):
    cache = write_bands(tmp_path / "cache")
    fits = replace(make_checkpoint(FeatureSpec(n_mels=32)), genres=("high", "low"))
    with pytest.raises(DataError, match=r"left out, since the cache lacks their features: cnn on mfcc at 16000 Hz; give audio"):
        combine_on(cache, [fits, replace(make_checkpoint(SHORT), genres=("high", "low"))])
