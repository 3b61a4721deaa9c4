"""Live listening: the same answer as that of a file, for an hour, in a second's time."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from gradio.state_holder import StateHolder
from playwright.sync_api import expect

from genre_app.audio import Clip
from genre_app.predict import classify
from genre_app.ui.live import tab as live
from genre_app.ui.live import view as live_view
from genre_app.ui.live.listener import HOP_SECONDS, WINDOW_SECONDS, Listener
from genre_app.ui.page import build_app
from tests.audio.files import clip_from_array
from tests.browser.test_microphone import heard_by, panel
from tests.conftest import synthesise
from tests.features.test_noise import noise
from tests.pages import handler

RATE = 22050


def play(listener: Listener, samples: np.ndarray, rate: int = RATE) -> None:
    for start in range(0, len(samples), rate):
        listener.hear(samples[start : start + rate], rate)


def as_a_file(samples: np.ndarray, checkpoint, seconds: float = 0.0):
    """Classify samples from a time on with segments as far apart as the listener's."""
    overlap = 1 - HOP_SECONDS / checkpoint.spec.segment_seconds
    return classify(Clip(samples[round(seconds * RATE) :], RATE), checkpoint, overlap=overlap)


@pytest.fixture(scope="module")
def song() -> np.ndarray:
    return np.concatenate([synthesise(20.0, seed) for seed in range(3)])


@pytest.mark.parametrize("seconds", [2, 3.05, 5, 12.5, 29])
def test_the_answer_is_that_of_a_file(song, checkpoint, seconds):
    listener = Listener(checkpoint)
    samples = song[: round(seconds * RATE)]
    play(listener, samples)
    found, expected = listener.heard().prediction, as_a_file(samples, checkpoint)
    np.testing.assert_allclose(found.segment_starts, expected.segment_starts)
    np.testing.assert_allclose(found.segment_probabilities, expected.segment_probabilities, atol=1e-4)
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-4)
    assert found.warnings == expected.warnings


def test_it_is_of_the_last_half_minute(song, checkpoint):
    listener = Listener(checkpoint)
    play(listener, song)
    heard = listener.heard()
    start = 60 - WINDOW_SECONDS + heard.offset_seconds
    assert 0 <= heard.offset_seconds < 1.1
    expected = as_a_file(song, checkpoint, start)
    # What came before the first segment is silence for the file and music for the listener.
    np.testing.assert_allclose(heard.prediction.segment_probabilities[1:], expected.segment_probabilities[1:], atol=1e-3)
    np.testing.assert_allclose(heard.prediction.probabilities, expected.probabilities, atol=0.01)
    assert heard.prediction.duration_seconds == pytest.approx(60 - start)


def test_other_rates_and_uneven_pieces_make_no_difference(checkpoint):
    samples = synthesise(10.0, 4, 48000)
    listener, start = Listener(checkpoint), 0
    for size in np.random.default_rng(0).integers(100, 90000, 60):
        listener.hear(samples[start : start + size], 48000)
        start += size
    found = listener.heard().prediction
    expected = as_a_file(clip_from_array(samples, 48000).samples, checkpoint)
    n = len(found.segment_starts) - 1  # the resampler holds the last samples back, which moves the last segment
    np.testing.assert_allclose(found.segment_probabilities[:n], expected.segment_probabilities[:n], atol=1e-3)


def held_bytes(listener: Listener) -> int:
    arrays = [value for value in vars(listener).values() if isinstance(value, np.ndarray)]
    arrays += [array if array.base is None else array.base for array in arrays]
    return sum(array.nbytes for array in arrays) + sum(segment.probabilities.nbytes for segment in listener._segments)


def test_minutes_take_no_more_memory_than_the_first(song, checkpoint):
    listener = Listener(checkpoint)
    sizes = []
    for _ in range(5):
        play(listener, song)
        sizes.append(held_bytes(listener))
    assert max(sizes) < 3e6
    assert sizes[-1] <= 1.02 * sizes[1]
    assert len(listener._segments) <= 31
    assert listener.heard().overview.db.shape[1] == 600


def test_silence_and_noise_get_words_and_no_genre(checkpoint):
    hush, hiss = Listener(checkpoint), Listener(checkpoint)
    play(hush, np.zeros(5 * RATE, np.float32))
    play(hiss, 0.01 * noise(-3, 8.0))
    assert hush.heard().prediction is None
    assert hush.heard().is_silent
    assert "Silence" in live_view.card(hush.heard())
    assert hiss.heard().prediction is None
    assert hiss.heard().is_noise
    assert "I hear no music" in live_view.card(hiss.heard())


def test_noise_before_the_music_does_not_vote(song, checkpoint):
    listener = Listener(checkpoint)
    play(listener, 0.01 * noise(-3, 12.0))
    play(listener, song[: 10 * RATE])
    heard = listener.heard()
    sounds = heard.prediction.segment_sounds
    assert not sounds[:7].any()
    assert sounds[-5:].all()
    assert not heard.is_noise


def test_sound_that_does_not_get_through_is_told(song, checkpoint, monkeypatch):
    now = 100.0
    monkeypatch.setattr("genre_app.ui.live.listener.time.monotonic", lambda: now)
    listener = Listener(checkpoint)
    play(listener, song[: 5 * RATE])
    now = 106.0
    assert listener.heard().missed_seconds == 0
    now = 112.0
    assert "8 s of sound did not get through" in live_view.card(listener.heard())


def piece(folder: Path, samples: np.ndarray, rate: int = RATE) -> str:
    """A second of a stream as it reaches the server: a file in a folder of its own."""
    path = folder / f"{abs(hash(samples.tobytes()))}" / "audio.wav"
    path.parent.mkdir(exist_ok=True)
    soundfile.write(path, samples, rate, subtype="PCM_16")
    return str(path)


def test_a_second_of_the_stream_becomes_an_answer_and_leaves_nothing_behind(bundled, song, tmp_path):
    session, _ = live.begin("default", "majority", None)
    said = []
    for second in range(8):
        stereo = np.stack([song[second * RATE : (second + 1) * RATE]] * 2, axis=1)
        card, figure, words = live.listen(piece(tmp_path, stereo), session)
        said.append(words)
    assert len(list(tmp_path.iterdir())) == 5
    genre = session.listener.heard("majority").prediction.genre
    assert "the last 8 s" in card
    assert genre in card
    assert figure.count("<img") == 2
    assert figure.count("<i style") == len(session.listener.heard().prediction.segment_starts)
    told = [words for words in said if isinstance(words, str)]
    assert len(told) < 8  # only what has changed
    assert genre in told[-1]
    assert "Stopped" in live.end(session)
    assert list(tmp_path.iterdir()) == []


def test_those_who_hear_the_same_do_not_take_it_from_each_other(bundled, song, tmp_path):
    sessions = [live.begin("default", "mean", None)[0] for _ in range(3)]
    for second in (0, 0, 1, 2, 3, 4, 5):  # the first one comes twice
        path = piece(tmp_path, song[second * RATE : (second + 1) * RATE])
        for session in sessions:
            live.listen(path, session)
    assert [session.listener.heard().seconds for session in sessions] == [7, 7, 7]
    for _ in range(10):
        path = piece(tmp_path, np.zeros(RATE, np.float32))
        live.listen(path, sessions[0])
    assert Path(path).exists()  # all silence lies there
    assert live.listen(str(tmp_path / "gone.wav"), sessions[0])[0]["__type__"] == "update"


def test_a_new_recording_starts_from_nothing(bundled, song, tmp_path):
    session, _ = live.begin("default", "mean", None)
    play(session.listener, song[: 20 * RATE])
    again, _ = live.begin("default", "mean", None)
    assert again.listener.heard().seconds == 0
    assert live.begin("none such", "mean", None)[0] is None
    assert "There is no checkpoint" in live.begin("none such", "mean", None)[1]
    # A piece that comes before its beginning is left out.
    assert all("__type__" in update for update in live.listen(piece(tmp_path, song[:RATE]), None))


def test_listening_goes_on_for_hours(bundled, monkeypatch):
    app = build_app()
    state = handler(app, "live", "stream").inputs[1]
    holder = StateHolder()
    holder.set_blocks(app)
    holder["a visitor"][state._id] = session = live.begin("default", "mean", None)[0]
    began = datetime.now()
    clock = SimpleNamespace(datetime=SimpleNamespace(now=lambda: began + timedelta(hours=3)))
    monkeypatch.setattr("gradio.state_holder.datetime", clock)
    holder.delete_all_expired_state()  # what gradio does all the time
    assert holder["a visitor"][state._id] is session


def test_what_is_stopped_at_once_does_not_go_on_listening(bundled, song, tmp_path):
    session, _ = live.begin("default", "mean", None)
    assert "Listening" in live.listen(piece(tmp_path, song[:RATE]), session)[0]
    assert "Listening" not in (said := live.end(session))
    assert "Too short for an answer" in said


def test_a_piece_that_is_damaged_is_told(bundled, tmp_path):
    path = tmp_path / "audio.wav"
    path.write_bytes(b"RIFF")
    card, *_ = live.listen(str(path), live.begin("default", "mean", None)[0])
    assert "did not arrive whole" in card


def test_visitors_do_not_hear_each_other(checkpoint):
    songs = [synthesise(12.0, seed) for seed in range(6)]

    def answer(samples: np.ndarray) -> np.ndarray:
        listener = Listener(checkpoint)
        play(listener, samples)
        return listener.heard().prediction.segment_probabilities

    with ThreadPoolExecutor(6) as pool:
        for together, alone in zip(pool.map(answer, songs), map(answer, songs), strict=True):
            np.testing.assert_allclose(together, alone, atol=1e-5)


def test_the_picture_has_its_seconds_where_they_were(song, checkpoint):
    listener = Listener(checkpoint)
    play(listener, song[: 10 * RATE])
    heard = listener.heard()
    figure = live_view.figure(heard, checkpoint.genres)
    width = float(re.search(r"width:([\d.]+)%", figure)[1])
    assert width == pytest.approx(100 * 10 / WINDOW_SECONDS, abs=0.5)
    dots = [float(left) for left in re.findall(r"left:([\d.]+)%", figure)]
    centres = (heard.prediction.segment_starts + heard.prediction.segment_ends) / 2
    np.testing.assert_allclose(dots[1:-1], (20 + centres[1:-1]) / 0.3, atol=0.1)
    assert all(0 <= left <= 100 for left in dots)


@pytest.mark.browser
def test_live_in_the_browser(playwright, address, tmp_path, song, tmp_path_factory):
    with heard_by(playwright, song, tmp_path, RATE) as browser:
        page = browser.new_context(viewport={"width": 400, "height": 900}, permissions=["microphone"]).new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        page.get_by_role("tab", name="Live").click()
        button = page.get_by_test_id("waveform-Live").get_by_role("button", name=re.compile("^(Record|Stop)$"))
        button.click()
        vote = page.locator("#live-vote")
        expect(vote).to_contain_text(re.compile("the last [5-9] s"), timeout=15_000)
        expect(vote.locator(".bars li")).to_have_count(5)
        expect(page.locator("#live-figure img")).to_have_count(2)
        expect(panel(page, "live")).to_contain_text("5 s heard: enough")
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        button.click()
        expect(vote).to_contain_text("Stopped")
        expect(panel(page, "live").get_by_role("meter")).to_be_hidden()
        assert errors == []


@pytest.mark.browser
@pytest.mark.parametrize("late", ["connect", "register"])  # steps in which gradio's recorder of streams becomes ready
def test_record_that_is_pressed_early_is_not_lost(playwright, address, tmp_path, song, late):
    delay = f"""
        const [post, held] = [Worker.prototype.postMessage, []];
        Worker.prototype.postMessage = function (...values) {{
            if (values[0].method === "{late}") held.push(() => post.apply(this, values));
            else post.apply(this, values);
        }};
        window.release = () => {{
            Worker.prototype.postMessage = post;
            held.forEach((send) => send());
        }};
    """
    with heard_by(playwright, song, tmp_path, RATE) as browser:
        page = browser.new_context(permissions=["microphone"]).new_page()
        page.add_init_script(delay)
        page.goto(f"{address}#live")
        with page.expect_event("pageerror"):
            page.get_by_test_id("waveform-Live").get_by_role("button", name="Record", exact=True).click()
        page.evaluate("release()")
        expect(page.locator("#live-vote")).to_contain_text(re.compile("the last [3-9] s"))
