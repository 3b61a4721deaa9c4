"""Why this answer, and what if: their handlers, figures and words."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import soundfile
from PIL import Image

from genre_app.audio import load_clip
from genre_app.explain import CHANGES, Explanation, Grid, mask_audio
from genre_app.predict import classify
from genre_app.ui import service
from genre_app.ui.classify import excerpt, what_if, why
from genre_app.ui.classify.drawings import band_rows, outlines
from genre_app.ui.overview import OverviewTap
from tests.pages import handler, named
from tests.ui.predictions import certain

VIEW = {"width": 700, "pixel_ratio": 1, "dark": False}


@pytest.fixture
def state(bundled, song) -> service.Answer:
    return service.answer(song)


def merged(updates) -> dict:
    """What the page shows after these updates; a state by the type of what it keeps."""
    shown: dict = {}
    for update in updates:
        kept = {type(value).__name__: value for block, value in update.items() if isinstance(block, gr.State)}
        shown |= named({block: value for block, value in update.items() if not isinstance(block, gr.State)}) | kept
    return shown


def opened(app, path, state, *, found=None) -> dict:
    return merged(handler(app, "why", "expand").fn(path, ["default"], None, state, found, VIEW))


def followed(app, path, state, change, *, along=None) -> dict:
    return merged(handler(app, "what-if", "expand").fn(path, ["default"], None, state, change, along, VIEW))


def picture(html: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(re.search(r'src="data:image/webp;base64,([^"]+)"', html)[1])))


def test_the_winner_and_the_runner_up_are_explained_and_heard(app, song, state):
    shown = opened(app, song, state)
    genres = [genre for genre, _ in state.prediction.ranked(2)]
    assert picture(shown["why-figure"]).width == 673  # that of the accordion, without its padding
    for genre in genres:
        assert f"<li>{genre}: " in shown["why-said"]
        assert f"{genre}: mostly" in shown["why-figure"]  # for those who cannot see it
    assert [choice[0] for choice in shown["why-genre"].choices] == genres
    assert shown["why-genre"].value == genres[0]
    clip = load_clip(song)
    explanation = shown["Found"].explanation
    model = service.checkpoint_named("default")
    for name, keep in (("why-only", True), ("why-without", False)):
        sound = mask_audio(clip, explanation.grid, explanation.marked(genres[0]), keep=keep)
        heard, rate = soundfile.read(shown[name].value["path"], dtype="float32")
        assert (len(heard), rate) == (len(clip.samples), clip.sample_rate)
        np.testing.assert_allclose(heard, sound.samples / max(1.0, np.abs(sound.samples).max()), atol=1e-4)
        assert excerpt.words(classify(sound, model)) in shown[f"{name}-words"]


def test_an_explanation_is_computed_once(app, song, state, monkeypatch):
    found = opened(app, song, state)["Found"]
    monkeypatch.setattr(why, "explain", lambda *_: pytest.fail("it was computed again"))
    assert list(opened(app, song, state, found=found).values()) == [gr.skip()]


def test_the_runner_up_is_heard_on_request(app, song, state):
    shown = opened(app, song, state)
    genre = state.prediction.ranked(2)[1][0]
    other = merged(handler(app, "why-genre", "input").fn(song, ["default"], None, shown["Found"], genre))
    assert Path(other["why-only"].value["path"]).read_bytes() != Path(shown["why-only"].value["path"]).read_bytes()
    assert genre in Path(other["why-only"].value["path"]).name


@pytest.mark.parametrize(("rejection", "words"), [("is_noise", "only noise"), ("is_speech", "sounds like speech")])
def test_a_rejected_clip_has_nothing_to_explain(app, song, state, rejection, words):
    rejected = service.Answer(replace(state.prediction, **{rejection: True}), state.overview)
    for shown in (opened(app, song, rejected)["why-said"], followed(app, song, rejected, "pitch")["what-if-said"]):
        assert "Nothing to explain" in shown
        assert words in shown


def test_problems_are_one_sentence(app, song, state):
    assert "no answer yet" in opened(app, None, None)["why-said"]
    assert "no answer yet" in followed(app, None, None, "pitch")["what-if-said"]
    # A server that was started again has forgotten the answer, but not always the clip.
    assert "choose the clip again" in opened(app, song, None)["why-said"]
    vote = handler(app, "vote", "input").fn
    assert "choose the clip again" in named(vote(None, "majority", True))["final-vote"]
    assert "final-vote" not in named(vote(None, "majority", False))  # there was no answer yet
    shown = merged(handler(app, "why", "expand").fn(song, ["run: gone"], None, state, None, VIEW))
    assert 'role="alert"' in shown["why-said"]
    assert "There is no checkpoint" in shown["why-said"]
    (told,) = (merged(handler(app, "Hear it", "click").fn(song, ["default"], None, state, None, 0, VIEW)),)
    assert "Choose a change first" in told["what-if-words"]


def test_both_close_when_the_answer_changes(app, song, state):
    first, *_, last = handler(app, "Music", "upload").fn(song, ["default"], "mean", "trained", VIEW, None, None)
    assert [named(first)[name].visible for name in ("why", "what-if")] == [False, False]
    assert [named(first)[name].open for name in ("why", "what-if")] == [False, False]
    assert [named(last)[name].visible for name in ("why", "what-if")] == [True, True]
    voted = named(handler(app, "vote", "input").fn(state, "majority"))
    assert [voted["why"].open, voted["why-figure"], voted["why-only"]] == [False, "", None]
    assert named(handler(app, "Music", "clear").fn("mean"))["what-if"].visible is False


def test_the_answers_along_a_change_begin_with_the_clips_own(app, song, state):
    shown = followed(app, song, state, "noise")
    along = shown["Along"]
    assert len(along.answers) == len(CHANGES["noise"].values)
    np.testing.assert_array_equal(along.answers[0].probabilities, state.prediction.probabilities)
    assert f"{state.prediction.genre} " in shown["what-if-said"]
    assert picture(shown["what-if-figure"]).width == 673  # that of the accordion, without its padding
    assert (shown["what-if-value"].minimum, shown["what-if-value"].maximum) == (-60, 0)
    assert shown["what-if-value"].value == -60
    assert list(followed(app, song, state, "noise", along=along).values()) == [gr.skip()]
    assert followed(app, song, state, "room", along=along)["Along"].change == "room"


def test_the_sound_at_the_sliders_value_is_played_and_classified(app, song, state):
    along = followed(app, song, state, "tempo")["Along"]
    hear = handler(app, "Hear it", "click").fn
    shown = merged(hear(song, ["default"], None, state, along, 1.25, VIEW))
    heard, rate = soundfile.read(shown["what-if-sound"].value["path"])
    assert len(heard) / rate == pytest.approx(12.0 / 1.25, rel=0.02)
    assert "At 1.25: <b>" in shown["what-if-words"]
    assert shown["Along"].at == 1.25
    assert "At 1.4: " in merged(hear(song, ["default"], None, state, along, 99, VIEW))["what-if-words"]  # as far as it goes


def test_words_for_runs_of_answers(checkpoint):
    rows = np.full((3, 10), 0.05)
    rows[0, 0] = rows[1, 0] = rows[2, 3] = 0.55
    blues, _, disco = (certain(checkpoint, [row]) for row in rows)
    noise = replace(disco, is_noise=True)
    along = what_if.Along("low_cut", (blues, blues, disco, noise, noise, None, None, None), "")
    words = "blues from 20 to 60, disco at 120, no music heard from 250 to 500, nothing to hear from 1000 to 4000"
    assert what_if.leaders(along) == f"Low cut, Hz: {words}."
    curves = what_if.curves(along)
    assert list(curves)[:2] == ["blues", "disco"]
    assert curves["blues"][:3] == pytest.approx([0.55, 0.55, 0.05], abs=1e-6)
    assert np.isnan(curves["blues"][3:]).all()


def test_an_answer_that_is_none_of_the_genres_is_not_called_speech(checkpoint):
    rows = np.full((1, 10), 0.05)
    rows[0, 0] = 0.55
    blues = certain(checkpoint, rows)
    other = replace(blues, none_of_these=("blues",))
    along = what_if.Along("room", (blues,) * 4 + (other,) * 4, "")
    assert "blues from 0 to 0.6, none of these from 0.9 to 2" in what_if.leaders(along)
    assert what_if.curves(along)["blues"] == pytest.approx([0.55] * 8)  # it has probabilities, so its curve has no gap
    assert 'alt="' in what_if.figure(along, VIEW)
    assert excerpt.words(other).endswith(" 5 % (none of these)")


def test_without_any_answer_there_are_words_and_no_figure(checkpoint):
    """The part of a long clip that is used may sound like speech although the clip does not."""
    speech = replace(certain(checkpoint, np.full((1, 10), 0.1)), is_speech=True)
    along = what_if.Along("room", (speech,) * 8, "")
    assert what_if.leaders(along).endswith(": sounds like speech from 0 to 2.")
    assert what_if.figure(along, VIEW) == ""


def test_words_for_an_answer(checkpoint):
    rows = np.full((1, 10), 0.05)
    rows[0, 0] = 0.55
    blues = certain(checkpoint, rows)
    assert excerpt.words(blues) == "<b>blues</b> 55 %, then classical 5 %"
    assert excerpt.words(replace(blues, is_speech=True)).endswith(" 5 % (sounds like speech)")
    assert excerpt.words(None) == "<b>Nothing to hear</b>"


def test_words_for_decisive_parts():
    importance = np.zeros((2, 10, 10))
    importance[0, 2:4, 5], importance[0, 7, 5] = 1.0, 0.9
    found = Explanation(Grid.over(30.0, 11025.0), ("rock", "pop"), importance)
    assert why.decisive(found, "rock") == "rock: mostly 670 Hz to 1.4 kHz, most at 15 to 18 s."
    assert why.decisive(found, "pop") == "pop: no part of the sound speaks for it."
    assert why.decisive(found, "rock", 90.0).endswith("most at 1:45 to 1:48.")


def test_outlines_surround_the_marked_cells():
    mask = np.zeros((3, 4), bool)
    mask[1, 1:3] = True
    sides = outlines(mask, np.arange(5.0), np.array([0.0, 10.0, 20.0, 30.0]))
    assert sorted(sides) == sorted([
        [(1.0, 10.0), (2.0, 10.0)], [(2.0, 10.0), (3.0, 10.0)],
        [(1.0, 20.0), (2.0, 20.0)], [(2.0, 20.0), (3.0, 20.0)],
        [(1.0, 10.0), (1.0, 20.0)], [(3.0, 10.0), (3.0, 20.0)],
    ])  # fmt: skip


def test_bands_lie_on_the_rows_of_their_frequencies(song):
    tap = OverviewTap(load_clip(song))
    assert sum(len(block) for block in tap.blocks()) > 0
    rows = band_rows(tap.overview(), Grid.over(12.0, 11025.0))
    assert (rows[0], rows[-1]) == (-0.5, 127.5)
    np.testing.assert_allclose(np.diff(rows)[1:-1], 12.9)  # equally high


def test_of_a_long_clip_the_most_typical_part_is_used(checkpoint, tmp_path, make_clip):
    clip = make_clip(6.0)
    assert excerpt.stretch(classify(clip, checkpoint)) == (0.0, clip.duration_seconds)
    rows = np.full((40, 10), 0.02)
    rows[:20, 1], rows[20:, 2] = 0.82, 0.82
    prediction = replace(
        certain(checkpoint, rows),
        segment_starts=np.arange(40) * 5.0,
        segment_ends=np.arange(40) * 5.0 + 5.0,
        duration_seconds=200.0,
    )
    start, end = excerpt.stretch(prediction)
    assert (start, end) == (85.0, 115.0)  # half of either genre, as in the whole clip
    assert excerpt.of_which(prediction) == " This is about 1:25 to 1:55."
    path = tmp_path / "long.wav"
    samples = np.zeros(200 * 8000, np.float32)
    samples[90 * 8000 : 91 * 8000] = 0.5
    soundfile.write(path, samples, 8000)
    found = excerpt.read(str(path), prediction, checkpoint)
    assert found.duration_seconds == pytest.approx(30.0, abs=0.001)
    assert np.abs(found.samples).argmax() / found.sample_rate == pytest.approx(5.5, abs=0.6)
