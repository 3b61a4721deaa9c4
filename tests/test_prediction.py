"""The answer for a clip: votes, agreement, sureness, noise, and the JSON and CSV that it is written as."""

from __future__ import annotations

import csv
import dataclasses
import io
import json

import numpy as np
import pytest

from genre_app.audio import Clip
from genre_app.predict import classify
from genre_app.sure import SureLimits
from genre_app.vote import VOTES, vote

RATE = 22050
LIMITS = SureLimits()


@pytest.fixture
def prediction(make_clip, checkpoint):
    return classify(make_clip(20.0), checkpoint)


def strict_json(text: str):
    """Parse JSON without Python's extensions (NaN, Infinity)."""
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


# Votes


def test_votes_are_those_of_the_segments(prediction, checkpoint):
    assert list(prediction.votes) == list(VOTES)
    for method in VOTES:
        joined = vote(prediction.segment_probabilities, method, checkpoint.references)
        revoted = prediction.revote(method)
        np.testing.assert_array_equal(revoted.probabilities, joined)
        assert revoted.vote == method
        assert revoted.genre == prediction.votes[method] == checkpoint.genres[joined.argmax()]
        assert revoted.votes == prediction.votes


def test_each_vote_can_be_asked_for_at_once(make_clip, checkpoint, prediction):
    for method in VOTES:
        asked = classify(make_clip(20.0), checkpoint, vote=method)
        assert asked.to_dict() == prediction.revote(method).to_dict()


def test_a_checkpoint_without_references_has_no_knn(make_clip, make_checkpoint):
    plain = make_checkpoint(references=False)
    prediction = classify(make_clip(5.0), plain)
    assert list(prediction.votes) == ["majority", "mean", "geometric"]
    with pytest.raises(ValueError, match="tiny has no reference tracks for the knn vote"):
        classify(make_clip(5.0), plain, vote="knn")
    with pytest.raises(ValueError, match="needs reference tracks"):
        prediction.revote("knn")


def test_agreement_margin_and_ranking(prediction):
    winners = prediction.segment_probabilities.argmax(axis=1)
    genre = int(prediction.probabilities.argmax())
    assert prediction.n_agree == int((winners == genre).sum())
    assert prediction.agreement == prediction.n_agree / len(winners)
    ranked = prediction.top(10)
    assert [p for _, p in ranked] == sorted(prediction.probabilities.tolist(), reverse=True)
    assert ranked[0][0] == prediction.genre
    assert [name for name, _ in prediction.top()] == [name for name, _ in ranked[:5]]
    assert prediction.margin == pytest.approx(ranked[0][1] - ranked[1][1])


@pytest.mark.parametrize(
    ("first", "second", "sure"),
    [
        (0.6, 0.6 - LIMITS.margin - 0.01, True),
        (0.53, 0.53 - LIMITS.margin + 0.01, False),  # too small a lead
        (LIMITS.probability + 0.01, 0.1, True),
        (LIMITS.probability - 0.01, 0.1, False),  # a large lead of a genre that is not probable
    ],
)
def test_a_sure_answer_needs_a_lead_and_a_probability(prediction, first, second, sure):
    rest = (1.0 - first - second) / 8
    asked = dataclasses.replace(prediction, probabilities=np.array([first, second] + [rest] * 8))
    assert asked.is_sure is sure
    assert asked.to_dict()["sure"] is sure
    assert not dataclasses.replace(asked, is_noise=True).is_sure


@pytest.mark.parametrize(
    ("winners", "weight", "sure"),
    [
        ("aaaabbbccc", 0.9, False),  # a split in three, though each frame is certain
        ("aaaaabbbbc", 0.9, False),  # half of the frames, but too small a lead
        ("aaaaaabbbc", 0.9, True),
        ("aaaaaaaaaa", 0.3, False),  # all of the frames, none of which is certain
    ],
)
def test_a_majority_is_judged_by_shares_of_frames(prediction, winners, weight, sure):
    rows = np.full((10, 10), (1 - weight) / 9, np.float32)
    rows[range(10), ["abc".index(letter) for letter in winners]] = weight
    split = dataclasses.replace(
        prediction,
        segment_starts=np.arange(10.0),
        segment_ends=np.arange(10.0) + 3,
        segment_probabilities=rows,
        segment_sounds=np.ones(10, bool),
    ).revote("majority")
    names = [split.genres["abc".index(letter)] for letter in dict.fromkeys(winners)]
    shares = [winners.count(letter) / 10 for letter in dict.fromkeys(winners)]
    assert split.ranked(len(names)) == list(zip(names, shares, strict=True))
    assert split.genre == names[0]
    assert split.is_sure is sure


def test_silent_segments_neither_agree_nor_disagree(make_clip, checkpoint):
    prediction = classify(Clip(np.concatenate([make_clip(4.0).samples, np.zeros(8 * RATE, np.float32)]), RATE), checkpoint)
    sounding = prediction.segment_probabilities[prediction.segment_sounds].argmax(axis=1)
    assert prediction.n_agree == int((sounding == prediction.probabilities.argmax()).sum())
    assert prediction.agreement == prediction.n_agree / prediction.n_sounding


# JSON and CSV


def test_json_has_the_keys_of_the_command_line(prediction, checkpoint):
    found = strict_json(prediction.to_json())
    keys = ["file", "genre", "rejected", "sure", "probabilities", "vote", "votes", "segments", "warnings", "checkpoint"]
    assert list(found) == keys
    assert found["file"] == "synthesised 0"
    assert found["genre"] == prediction.genre
    assert found["vote"] == "mean"
    assert found["checkpoint"] == "tiny"
    assert list(found["probabilities"]) == list(checkpoint.genres)
    assert list(found["probabilities"].values()) == prediction.probabilities.tolist()
    assert found["votes"] == prediction.votes
    assert len(found["segments"]) == len(prediction.segment_starts)
    for index, segment in enumerate(found["segments"]):
        assert list(segment) == ["start_seconds", "end_seconds", "probabilities"]
        assert segment["start_seconds"] == pytest.approx(prediction.segment_starts[index], abs=1e-3)
        assert segment["end_seconds"] == pytest.approx(prediction.segment_ends[index], abs=1e-3)
        row = np.array(list(segment["probabilities"].values()))
        np.testing.assert_array_equal(row.astype(np.float32), prediction.segment_probabilities[index])


def test_csv_has_a_row_per_segment(make_clip, checkpoint):
    prediction = classify(Clip(np.concatenate([make_clip(4.0).samples, np.zeros(4 * RATE, np.float32)]), RATE), checkpoint)
    rows = list(csv.DictReader(io.StringIO(prediction.to_csv())))
    assert len(rows) == len(prediction.segment_starts)
    assert list(rows[0]) == ["start_seconds", "end_seconds", "sounds", "genre", *checkpoint.genres]
    for index, row in enumerate(rows):
        assert float(row["start_seconds"]) == pytest.approx(prediction.segment_starts[index], abs=1e-3)
        assert row["genre"] == prediction.segment_genres[index]
        assert row["sounds"] == ("true" if prediction.segment_sounds[index] else "false")
        values = np.array([float(row[genre]) for genre in checkpoint.genres], np.float32)
        np.testing.assert_array_equal(values, prediction.segment_probabilities[index])


# Noise


@pytest.fixture
def noise(checkpoint):
    samples = np.random.default_rng(0).normal(0, 0.1, 10 * RATE).astype(np.float32)
    return classify(Clip(samples, RATE, "hiss.wav"), checkpoint)


def test_noise_has_no_genre(noise):
    assert noise.is_noise
    assert noise.genre is None
    assert not noise.is_sure
    assert set(noise.votes.values()) == {None}
    assert noise.rejected == noise.to_dict()["rejected"] == "noise"
    assert "no music heard" in noise.warnings[-1]
    assert noise.revote("majority").genre is None


def test_the_guess_for_noise_stays_available(noise, checkpoint):
    assert noise.guess == noise.top(1)[0][0] == checkpoint.genres[noise.probabilities.argmax()]
    assert noise.probabilities.sum() == pytest.approx(1.0)


def test_json_and_csv_of_noise_have_no_genre(noise, checkpoint):
    found = strict_json(noise.to_json())
    assert found["genre"] is None
    assert found["sure"] is False
    assert found["votes"] == dict.fromkeys(VOTES)
    assert list(found["probabilities"]) == list(checkpoint.genres)
    rows = list(csv.DictReader(io.StringIO(noise.to_csv())))
    assert {row["genre"] for row in rows} == {""}
