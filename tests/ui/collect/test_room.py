"""“Check your room”: the handlers, called as the page's script calls them."""

from __future__ import annotations

import re
import tomllib
from html import unescape
from pathlib import Path

import numpy as np
import pytest
import soundfile

from genre_app.augment.room_check import SAMPLE_RATE, RoomCheck, room_signal
from genre_app.runs.recipes import read_recipe, read_search_table
from genre_app.ui.collect import room, room_card
from tests.pages import following, handler, named
from tests.rooms import recorded, response

CHECK = RoomCheck(None, -4.0, {500.0: -31.6, 1000.0: 0.0, 2000.0: 2.4}, 150.0, 9000.0, 3.0, None, None, True)


def words(html: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub("<[^>]+>", " ", html))).strip()


@pytest.fixture
def recording(uploads):
    def make(samples: np.ndarray) -> str:
        path = uploads / "audio.wav"
        soundfile.write(path, samples, SAMPLE_RATE)
        return str(path)

    return make


def test_the_buttons_are_connected(app):
    assert handler(app, "room-start", "click").fn is room.play
    assert handler(app, "room-take", "stop_recording").fn is room.check


def test_the_page_plays_the_signal(uploads):
    samples, rate = soundfile.read(room.play())
    assert rate == SAMPLE_RATE
    assert np.allclose(samples, room_signal(), atol=1e-4)


def test_a_kitchen_is_measured_and_trained_for(app, uploads, recording):
    path = recording(recorded(response(0.42), 35.0))
    taken, card, training, recipe, settings = room.check(path, {"noiseSuppression": False})
    said = words(card)
    assert "About 96 % of a file's accuracy 78 % of songs right instead of 81 %" in said
    assert "measured with a simulated kitchen, n = 36" in said
    assert re.search(r"Reverberation time 0\.4\d s: a furnished room", said)
    assert "Noise 35 dB under the signal: quiet" in said
    assert "Noise suppression off" in said
    assert taken is None
    assert training.visible
    # The recipe is complete: `default` with the room.
    held = read_recipe(recipe)
    assert held.augment.recorded.room_t60_seconds == tuple(settings["augment.recorded.room_t60_seconds"])
    assert held.augment.recorded.equaliser_db == read_recipe("default").augment.recorded.equaliser_db
    assert read_search_table(recipe) == read_search_table("default")
    assert tomllib.loads(Path(recipe).read_text())["model"] == "committee"
    # The button fills the form with the same values.
    use = handler(app, "room-use", "click")
    filled = named(use.fn(settings))
    low, high = settings["augment.recorded.room_t60_seconds"]
    assert filled["set-augment-recorded-room_t60_seconds"] == f"{low:g}, {high:g}"
    assert filled["set-augment-recorded-suppress_probability"] == 0.0


def test_the_command_follows_the_filled_form(app):
    use = handler(app, "room-use", "click")
    number = next(number for number, other in app.fns.items() if other is use)
    (after,) = [other for other in app.fns.values() if other.trigger_after == number and other.fn]
    # It changes a number; the browser then gathers the form, and the form's only event follows that.
    (turn,) = after.outputs
    (gather,) = [other for other in app.fns.values() if (turn._id, "change") in other.targets]
    change = following(app, gather)
    assert change.fn.__name__ == "change"


@pytest.mark.parametrize(
    "browser", [{"noiseSuppression": True}, {"noiseSuppression": None}, None, "nonsense", {"noiseSuppression": "x"}]
)
def test_the_browser_may_say_anything(recording, browser):
    _, card, *_ = room.check(recording(recorded(response(0.42), 35.0)), browser)
    on = isinstance(browser, dict) and browser["noiseSuppression"] is True
    assert ("on: the browser says so" in words(card)) is on
    assert ("Accuracy unknown" in words(card)) is on


def test_on_a_public_page_nothing_is_offered_to_train(recording, space):
    _, card, training, recipe, settings = room.check(recording(recorded(response(0.42), 35.0)), None)
    assert "Your room" in words(card)
    assert (training.visible, recipe, settings) == (False, None, None)


def test_one_sentence_for_what_cannot_be_measured(uploads, recording):
    for path, expected in (
        (None, "No recording arrived"),
        ("/etc/passwd", "no longer here"),
        (recording(np.zeros(8 * SAMPLE_RATE)), "Almost nothing was recorded"),
    ):
        _, card, training, *_ = room.check(path, None)
        assert re.search(expected, card)
        assert 'role="alert"' in card
        assert training.visible is False
    text = uploads / "audio.wav"
    text.write_bytes(b"no sound")
    assert 'role="alert"' in room.check(str(text), None)[1]


def test_a_card_says_what_is_unknown_and_what_to_do():
    said = words(room_card.card(CHECK, None))
    assert "Accuracy unknown" in said
    assert "unknown: noise hides it" in said
    assert "unknown: there is too much noise" in said
    assert "the recording is clipped" in said
    chart = room_card.chart(CHECK.response_db)
    assert "500 Hz: −32 dB, 1 kHz: 0 dB, 2 kHz: +2 dB" in chart
    assert all(22 <= float(y) <= 158 for y in re.findall(r'cy="([\d.]+)"', chart))
