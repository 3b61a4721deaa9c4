"""The handlers and the picture of the Live tab."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from gradio.state_holder import StateHolder

from genre_app.checkpoint import Checkpoint
from genre_app.errors import CheckpointError
from genre_app.ui.live import tab as live
from genre_app.ui.live import view
from genre_app.ui.live.listener import WINDOW_SECONDS, Listener
from tests.pages import handler
from tests.ui.live.stream import RATE, piece, play


def test_a_second_of_the_stream_becomes_an_answer_and_leaves_no_file(bundled, song, tmp_path):
    session, _ = live.begin("default", "majority", None)
    announcements = []
    for second in range(8):
        stereo = np.stack([song[second * RATE : (second + 1) * RATE]] * 2, axis=1)
        card, figure, announcement = live.listen(piece(tmp_path, stereo), session)
        announcements.append(announcement)
    assert len(list(tmp_path.iterdir())) == 5
    prediction = session.listener.result("majority").prediction
    assert "the last 8 s" in card
    assert prediction.genre in card
    assert figure.count("<img") == 2
    assert figure.count("<i style") == len(prediction.segment_starts)
    changed = [words for words in announcements if isinstance(words, str)]
    assert len(changed) < 8
    assert prediction.genre in changed[-1]
    assert "Stopped" in live.end(session)
    assert list(tmp_path.iterdir()) == []


def test_visitors_who_record_the_same_sound_share_its_files(bundled, song, tmp_path):
    sessions = [live.begin("default", "mean", None)[0] for _ in range(3)]
    for second in (0, 0, 1, 2, 3, 4, 5):  # the first one comes twice
        path = piece(tmp_path, song[second * RATE : (second + 1) * RATE])
        for session in sessions:
            live.listen(path, session)
    assert [session.listener.result().seconds for session in sessions] == [7, 7, 7]
    for _ in range(10):
        path = piece(tmp_path, np.zeros(RATE, np.float32))
        live.listen(path, sessions[0])
    assert Path(path).exists()  # the file of all silent pieces
    assert live.listen(str(tmp_path / "gone.wav"), sessions[0])[0]["__type__"] == "update"


def test_a_new_recording_starts_from_nothing(bundled, song, tmp_path):
    session, _ = live.begin("default", "mean", None)
    play(session.listener, song[: 20 * RATE])
    again, _ = live.begin("default", "mean", None)
    assert again.listener.result().seconds == 0
    assert live.begin("none such", "mean", None)[0] is None
    assert "There is no checkpoint" in live.begin("none such", "mean", None)[1]
    # A piece that arrives before Record was handled is left out.
    assert all("__type__" in update for update in live.listen(piece(tmp_path, song[:RATE]), None))


def test_a_session_lives_for_hours(app, monkeypatch):
    state = handler(app, "live", "stream").inputs[1]
    holder = StateHolder()
    holder.set_blocks(app)
    holder["a visitor"][state._id] = session = live.begin("default", "mean", None)[0]
    began = datetime.now()
    clock = SimpleNamespace(datetime=SimpleNamespace(now=lambda: began + timedelta(hours=3)))
    monkeypatch.setattr("gradio.state_holder.datetime", clock)
    holder.delete_all_expired_state()  # what gradio does all the time
    assert holder["a visitor"][state._id] is session


def test_a_recording_that_is_stopped_at_once_gets_a_reason(bundled, song, tmp_path):
    session, _ = live.begin("default", "mean", None)
    assert "Listening" in live.listen(piece(tmp_path, song[:RATE]), session)[0]
    assert "Listening" not in (card := live.end(session))
    assert "The recording is too short" in card


def test_a_checkpoint_that_fails_on_the_last_second_gets_a_reason(bundled, song, tmp_path, monkeypatch):
    session, _ = live.begin("default", "mean", None)
    live.listen(piece(tmp_path, song[: round(4.5 * RATE)]), session)

    def fail(*_):
        raise CheckpointError("its output is not finite")

    monkeypatch.setattr(Checkpoint, "probabilities", fail)
    assert "its output is not finite" in live.end(session)


def test_a_damaged_piece_is_reported(bundled, tmp_path):
    path = tmp_path / "audio.wav"
    path.write_bytes(b"RIFF")
    card, *_ = live.listen(str(path), live.begin("default", "mean", None)[0])
    assert "arrived damaged" in card


def test_the_picture_shows_each_second_at_its_place(song, checkpoint):
    listener = Listener(checkpoint)
    play(listener, song[: 10 * RATE])
    result = listener.result()
    figure = view.figure(result, checkpoint.genres)
    width = float(re.search(r"width:([\d.]+)%", figure)[1])
    assert width == pytest.approx(100 * 10 / WINDOW_SECONDS, abs=0.5)
    dots = [float(left) for left in re.findall(r"left:([\d.]+)%", figure)]
    centres = (result.prediction.segment_starts + result.prediction.segment_ends) / 2
    np.testing.assert_allclose(dots[1:-1], (20 + centres[1:-1]) / 0.3, atol=0.1)
    assert all(0 <= left <= 100 for left in dots)


def test_genres_of_a_checkpoint_are_escaped(song, checkpoint):
    evil = "<script>alert(1)</script>"
    listener = Listener(replace(checkpoint, genres=tuple(f"{evil}{i}" for i in range(10))))
    play(listener, song[: 6 * RATE])
    result = listener.result()
    other = replace(result, prediction=replace(result.prediction, none_of_these=listener._checkpoint.genres))
    shown = (view.card(result), view.card(other), view.announcement(result))
    for html in (*shown, view.figure(result, listener._checkpoint.genres)):
        assert "<script" not in html
        assert "&lt;script" in html
