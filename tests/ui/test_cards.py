"""The words and bars of an answer."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import soundfile

from genre_app import predict
from genre_app.checkpoint import Checkpoint
from genre_app.sure import SureLimits
from genre_app.ui import cards, service
from genre_app.vote import VOTES
from tests.ui.predictions import certain


def test_what_visitors_and_checkpoints_say_is_escaped(make_clip, checkpoint):
    evil = "<script>alert(1)</script>"
    prediction = predict.from_segments(
        Checkpoint.single(checkpoint.model, checkpoint.spec, (evil, *checkpoint.genres[1:]), name=evil),
        [0],
        np.eye(1, 10, dtype=np.float32),
        spec=checkpoint.spec,
        sounds=np.ones(1, bool),
        name=evil,
        duration_seconds=3.0,
    )
    for html in (
        cards.final_vote(prediction),
        cards.figure("", prediction),
        cards.problem(evil),
        cards.progress(1, 2, 0, evil),
    ):
        assert "<script" not in html
        assert "&lt;script&gt;" in html


def test_noise_gets_no_genre_in_large_letters(checkpoint, tmp_path):
    noise = np.random.default_rng(0).normal(0, 0.1, 10 * 22050)
    soundfile.write(tmp_path / "noise.wav", noise, 22050)
    prediction = service.answer(str(tmp_path / "noise.wav"), checkpoint="default").prediction
    assert prediction.is_noise
    headline = cards.headline(prediction)
    assert "No music heard" in headline
    assert not any(genre in headline for genre in prediction.genres)
    # Nor from the votes, which agree on nothing, nor from the description of the figure.
    assert [label for label, _ in cards.vote_choices(prediction)] == list(service.VOTE_NAMES.values())
    assert "agree" not in cards.vote_info(prediction, "mean")
    assert "won by" not in cards.figure("", prediction)
    assert "which means nothing for noise" in cards.final_vote(prediction)


def test_a_small_margin_is_called_unsure(checkpoint):
    close, clear = np.full(10, 0.01), np.full(10, 0.01)
    close[[2, 5]] = 0.48, 0.44
    clear[2] = 0.91
    card = re.sub("<[^>]+>", "", cards.final_vote(certain(checkpoint, [close])))
    assert "Not sure: country or jazz" in card
    assert "ahead by only 4 points" in card
    close = np.full(10, 0.02)
    close[[2, 5]] = 0.493, 0.347  # 14.6 points apart, which is not 15
    assert "ahead by only 14 points" in re.sub("<[^>]+>", "", cards.final_vote(certain(checkpoint, [close])))
    close[[2, 5]] = 0.4215, 0.4185
    assert "ahead by less than one point" in cards.final_vote(certain(checkpoint, [close]))
    card = re.sub("<[^>]+>", "", cards.final_vote(certain(checkpoint, [clear])))
    assert "Not sure" not in card
    assert "ahead" not in card


def test_a_low_probability_is_called_unsure(checkpoint):
    low = np.full(10, 0.63 / 9)
    low[2] = 0.37
    card = re.sub("<[^>]+>", "", cards.final_vote(certain(checkpoint, [low])))
    assert "Not sure: country or" in card
    assert "a low probability" in card


def test_a_majority_without_half_of_the_frames_is_called_unsure(checkpoint):
    rows = np.full((9, 10), 0.01)
    rows[range(9), [2, 2, 2, 2, 5, 5, 6, 6, 7]] = 0.91
    card = re.sub("<[^>]+>", "", cards.final_vote(certain(checkpoint, rows).revote("majority")))
    assert "Not sure: country or jazz" in card
    assert "4 of 9 frames agree · fewer than 50 % of the frames" in card


def test_speech_gets_no_genre_but_shows_the_guess(checkpoint):
    clear = np.full(10, 0.01)
    clear[2] = 0.91
    prediction = replace(certain(checkpoint, [clear]), is_speech=True, warnings=(predict.SPEECH_WARNING,))
    headline = cards.headline(prediction)
    assert "This sounds like speech, not music" in headline
    assert not any(genre in headline for genre in prediction.genres)
    assert [label for label, _ in cards.vote_choices(prediction)] == list(service.VOTE_NAMES.values())
    card = re.sub("<[^>]+>", " ", cards.final_vote(prediction))
    assert "All of it sounds like speech." in card
    assert "which means nothing for speech" in card
    assert re.search(r"country\s+91 %", card)


def test_five_bars_best_first(checkpoint):
    row = np.arange(10) / 45
    card = cards.final_vote(certain(checkpoint, [row]))
    widths = [float(width) for width in re.findall(r"width:([\d.]+)%", card)]
    np.testing.assert_allclose(widths, [100 * p for p in sorted(row)[:-6:-1]], atol=0.06)


def test_the_card_names_the_measure_of_each_vote(checkpoint):
    a, b = np.full(10, 0.01), np.full(10, 0.01)
    a[2], b[5] = 0.91, 0.91
    prediction = certain(checkpoint, [a, a, b])
    measures = {"majority": "Share of frames", "mean": "Mean prob", "geometric": "Geometric mean", "knn": "training tracks"}
    for vote, words in measures.items():
        card = cards.final_vote(prediction.revote(vote))
        assert words in re.search('<h3 class="measure">(.*)</h3>', card)[1]
    # The majority's bars are counts of frames, not the probabilities of those that won.
    card = cards.final_vote(prediction.revote("majority"))
    assert re.findall('class="value">([^<]+)', card) == ["2 of 3 frames", "1 of 3 frames"]
    assert re.findall(r"width:([\d.]+)%", card) == ["66.7", "33.3"]


def test_a_probability_is_never_written_as_certain():
    assert [cards.percent(p) for p in (0.0, 0.001, 0.5, 0.9999, 1.0)] == ["0 %", "< 1 %", "50 %", "> 99 %", "100 %"]


def test_votes_stand_side_by_side_with_who_disagrees(checkpoint):
    a, b = np.full(10, 0.01), np.full(10, 0.01)
    a[0], a[1], b[1] = 0.5, 0.42, 0.91  # two frames for the first genre, but the third is surer
    prediction = certain(checkpoint, [a, a, b])
    labels = {vote: label for label, vote in cards.vote_choices(prediction)}
    assert labels["majority"] == "Majority: blues\N{NO-BREAK SPACE}≠"
    assert labels["mean"] == "Mean: classical"
    assert set(labels) == set(VOTES)
    assert "Majority" in cards.vote_info(prediction, "mean")
    assert "disagree" in cards.vote_info(prediction, "mean")


def test_the_card_says_when_an_answer_is_sure(checkpoint):
    strict = replace(checkpoint, sure=SureLimits(probability=0.8, margin=0.3))
    for found, sure in ((checkpoint, True), (strict, False)):
        answer = certain(found, [[0.7, *[0.3 / 9] * 9]])
        assert answer.is_sure is sure
        assert (" · a low probability" in cards.final_vote(answer)) is not sure
    assert "A sure answer has at least 80 % and leads by at least 30 points." in cards.final_vote(answer)
    assert cards.sure_words(SureLimits(probability=0.5, margin=0.0)) == "A sure answer has at least 50 %."
