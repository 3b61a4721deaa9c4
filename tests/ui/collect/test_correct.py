"""“Not right? It is …” below the answers of Classify and Live."""

from __future__ import annotations

import gc
from pathlib import Path

import gradio as gr
import numpy as np
import pytest

from genre_app.data.collection import Collection
from genre_app.data.collection.collection import SAMPLE_RATE
from genre_app.ui.classify.answers import RECORDING
from genre_app.ui.collect import correct
from genre_app.ui.live import tab as live
from genre_app.ui.live.recent import Recent
from genre_app.ui.service import answer
from tests.pages import handler
from tests.ui.live.stream import RATE, piece

REQUEST = gr.Request(session_hash="one")


def clips(home: Path) -> list:
    return Collection(home / "my-music").read().clips


def test_a_classified_clip_is_added_with_its_answer(app, upload, home):
    assert handler(app, "Add to my collection", "click").fn is correct.add_classified
    path = upload("my song.wav")
    found = answer(path)
    said = correct.add_classified(" bossa nova ", path, found, None, REQUEST)
    assert "Added to bossa nova in the collection my-music." in said
    (clip,) = clips(home)
    assert (clip.genre, clip.source, clip.origin) == ("bossa nova", "my song.wav", "classify")
    assert (clip.answer, clip.checkpoint) == (found.prediction.genre, found.prediction.checkpoint)
    assert clip.probability == pytest.approx(found.prediction.probabilities.max(), abs=1e-4)
    assert "in this collection already" in correct.add_classified("dub", path, found, None, REQUEST)
    offered = correct.choices(None, REQUEST, found.prediction.genres)
    assert offered == ["bossa nova", *found.prediction.genres]


def test_a_take_is_named_a_recording(bundled, upload, home):
    path = upload("audio.wav")
    correct.add_classified("dub", path, answer(path, name=RECORDING), None, REQUEST)
    assert clips(home)[0].source == "microphone"


def test_nothing_is_added_without_a_genre_or_a_clip(bundled, upload, home):
    path = upload()
    found = answer(path)
    for genre in (None, "", "  ", "../up", "<b>"):
        said = correct.add_classified(genre, path, found, None, REQUEST)
        assert 'role="alert"' in said
        assert "<b>" not in said
    assert "no sound" in correct.add_classified("dub", None, None, None, REQUEST)
    assert "no sound" in live.add_heard("dub", None, None, REQUEST)
    assert clips(home) == []


def test_on_a_space_a_correction_stays_with_the_visitor(bundled, space, upload, home):
    path = upload()
    said = correct.add_classified("dub", path, answer(path), "../other", REQUEST)
    assert "Added to dub in your collection." in said
    assert correct.choices(None, REQUEST) == ["dub"]
    assert correct.choices(None, gr.Request(session_hash="two")) == []
    assert not home.exists()


@pytest.mark.parametrize("rate", [SAMPLE_RATE, 44100])
def test_the_last_30_s_of_a_stream_are_kept(rate):
    samples = np.random.default_rng(0).uniform(-1, 1, 40 * rate).astype(np.float32)
    recent = Recent()
    for second in range(40):
        recent.add(samples[second * rate : (second + 1) * rate], rate)
        assert sum(kept.nbytes for kept in recent._pieces) < 1.4e6
    clip = recent.clip("x")
    assert (len(clip.samples), clip.sample_rate) == (30 * SAMPLE_RATE, SAMPLE_RATE)
    if rate == SAMPLE_RATE:
        np.testing.assert_allclose(clip.samples, samples[-30 * rate :], atol=1 / 32768)
    recent.clear()
    assert len(recent.clip("x").samples) == 0


def test_what_live_heard_is_added_and_dropped_when_the_visitor_leaves(bundled, make_clip, tmp_path, home):
    song = make_clip(16.0, 0, RATE).samples
    session, _ = live.begin("default", "mean", None, request=REQUEST)
    for second in range(8):
        live.listen(piece(tmp_path, song[second * RATE : (second + 1) * RATE]), session)
    live.end(session)  # what was heard can be added after Stop too
    said = live.add_heard("dub", session, None, REQUEST)
    assert "Added to dub" in said
    (clip,) = clips(home)
    assert (clip.source, clip.origin, clip.answer) == ("microphone", "live", session.listener.result("mean").prediction.genre)
    assert 7.5 < clip.seconds <= 8
    for second in range(8, 16):
        live.listen(piece(tmp_path, song[second * RATE : (second + 1) * RATE]), session)
    live.add_heard("dub", session, None, REQUEST)
    assert len({clip.source_sha256 or clip.file for clip in clips(home)}) == 1  # one session is one source
    live.leave(gr.Request(session_hash="another"))
    assert len(session.recent.clip("x").samples) > 0
    live.leave(REQUEST)
    assert len(session.recent.clip("x").samples) == 0
    assert "too short" in live.add_heard("ska", session, None, REQUEST)


def test_a_new_recording_drops_the_one_before(bundled, make_clip, tmp_path):
    first, _ = live.begin("default", "mean", None, request=REQUEST)
    live.listen(piece(tmp_path, make_clip(1.0, 0, RATE).samples), first)
    second, _ = live.begin("default", "mean", None, request=REQUEST)
    assert len(first.recent.clip("x").samples) == 0
    genres, said = live.offer(second, None, REQUEST)
    assert [name for name, _ in genres.choices] == list(second.genres)
    assert said == ""
    del first, second
    gc.collect()
    assert "one" not in live._heard
