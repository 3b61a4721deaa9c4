"""The page's handlers, found in the built app and called, and the words and numbers they put on it."""

from __future__ import annotations

import base64
import io
import json
import math
import re
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
import soundfile
from PIL import Image

from genre_app import audio, predict
from genre_app.checkpoint import Checkpoint
from genre_app.ui import cards, service
from genre_app.ui.classify.tab import _pages, _rows, _seek
from genre_app.ui.page import TABS, build_app, launch_options
from genre_app.vote import VOTES
from tests.pages import handler, named

VIEW = {"width": 700, "pixel_ratio": 1, "dark": False}


@pytest.fixture(scope="module")
def app(bundled):
    return build_app()


@pytest.fixture
def song(tmp_path, make_clip) -> str:
    clip = make_clip(12.0)
    path = tmp_path / "song.wav"
    soundfile.write(path, clip.samples, clip.sample_rate, subtype="FLOAT")
    return str(path)


def final(app, path, *, checkpoint="default", vote="mean", overlap="trained", view=None) -> dict:
    """All that the page shows once a file has been dropped."""
    shown: dict = {}
    for update in handler(app, "Music", "upload").fn(path, checkpoint, vote, overlap, view or VIEW):
        shown |= named(update)
    return shown


def prediction_of(path: str, checkpoint: Checkpoint, **options) -> predict.Prediction:
    with audio.open_audio(path) as stream:
        return predict.classify(stream, checkpoint, **options)


def test_a_first_visit_is_told_what_to_do(app):
    welcome = next(b.value for b in app.blocks.values() if getattr(b, "elem_id", None) == "final-vote")
    assert "Drop a song" in welcome
    assert "record" in welcome
    assert "100 MB" in welcome
    assert "3 hours" in welcome


def test_an_upload_is_answered_in_the_order_in_which_it_is_looked_at(app, song, checkpoint):
    first, vote, rest = (
        named(update) for update in handler(app, "Music", "upload").fn(song, "default", "mean", "trained", VIEW)
    )
    expected = prediction_of(song, checkpoint)
    assert "Listening" in first["final-vote"]
    assert f"{expected.n_agree} of {expected.n_sounding} frames agree" in vote["final-vote"]
    np.testing.assert_array_equal(vote["State"].prediction.segment_probabilities, expected.segment_probabilities)
    encoded = re.search(r'src="data:image/webp;base64,([^"]+)"', rest["figure"])[1]
    assert Image.open(io.BytesIO(base64.b64decode(encoded))).width == 700
    assert rest["frame-mark"] == ""  # that of another clip
    table = rest["frames"].value["data"]
    assert [row[2] for row in table] == expected.segment_genres


def test_downloads_are_the_predictions_own(app, song, checkpoint):
    shown = final(app, song, vote="knn")
    expected = prediction_of(song, checkpoint, vote="knn")
    found = json.loads(Path(shown["Download JSON"].value["path"]).read_text())
    assert found == {**expected.to_dict(), "checkpoint": "default"}
    assert Path(shown["Download CSV"].value["path"]).read_text() == expected.to_csv()
    assert Path(shown["Download CSV"].value["path"]).name == "song.csv"


def test_overlap_is_passed_on(app, song, checkpoint):
    shown = final(app, song, overlap="0.75")
    assert len(shown["State"].prediction.segment_starts) == len(prediction_of(song, checkpoint, overlap=0.75).segment_starts)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("text.wav", b"I am text. " * 99, "not an audio file"),
        ("empty.mp3", b"", "empty"),
    ],
)
def test_bad_files_are_explained_in_place(app, tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    shown = final(app, str(path))
    assert 'role="alert"' in shown["final-vote"]
    assert name in shown["final-vote"]
    assert words in shown["final-vote"]
    assert shown["State"] is None
    assert shown["frames"].visible is False
    assert shown["Download JSON"].visible is False


def test_silence_gets_words_and_no_genre(app, tmp_path):
    path = tmp_path / "hush.wav"
    soundfile.write(path, np.zeros(5 * 22050), 22050)
    shown = final(app, str(path))
    assert "no sound to classify" in shown["final-vote"]
    assert "Final vote</p>" not in shown["final-vote"]


def test_an_empty_take_is_explained(app):
    shown: dict = {}
    for update in handler(app, "Music", "stop_recording").fn(None, "default", "mean", "trained", VIEW):
        shown |= named(update)
    assert "No audio arrived" in shown["final-vote"]
    assert shown["Classify again"].interactive is False


def test_a_take_is_called_a_recording(app, song):
    *_, vote, _ = handler(app, "Music", "stop_recording").fn(song, "default", "mean", "trained", VIEW)
    assert "your recording" in named(vote)["final-vote"]


def test_what_visitors_and_checkpoints_say_is_escaped(make_clip, checkpoint):
    evil = "<script>alert(1)</script>"
    prediction = predict.from_segments(
        Checkpoint(checkpoint.model, checkpoint.spec, (evil, *checkpoint.genres[1:]), name=evil),
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


def certain(checkpoint, rows) -> predict.Prediction:
    """A prediction from these segments' probabilities."""
    rows = np.array(rows, np.float32)
    return predict.from_segments(
        checkpoint,
        list(range(len(rows))),
        rows,
        spec=checkpoint.spec,
        sounds=np.ones(len(rows), bool),
        name="song.wav",
        duration_seconds=60.0,
    )


def test_noise_gets_no_genre_in_large_letters(checkpoint, tmp_path):
    noise = np.random.default_rng(0).normal(0, 0.1, 10 * 22050)
    soundfile.write(tmp_path / "noise.wav", noise, 22050)
    prediction = service.answer(str(tmp_path / "noise.wav"), checkpoint="default").prediction
    assert prediction.is_noise
    headline = cards.headline(prediction)
    assert "No music heard" in headline
    assert prediction.guess not in headline


def test_what_the_page_keeps_of_a_visitor_does_not_run_out_while_it_is_open(app):
    kept = [block for block in app.blocks.values() if isinstance(block, gr.State)]
    assert len(kept) > 2
    assert {block.time_to_live for block in kept} == {math.inf}


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
    card = re.sub("<[^>]+>", "", cards.final_vote(certain(checkpoint, [clear])))
    assert "Not sure" not in card
    assert "91 % country" in card


def test_five_bars_best_first(checkpoint):
    row = np.arange(10) / 45
    card = cards.final_vote(certain(checkpoint, [row]))
    widths = [float(width) for width in re.findall(r"width:([\d.]+)%", card)]
    np.testing.assert_allclose(widths, [100 * p for p in sorted(row)[:-6:-1]], atol=0.06)


def test_a_probability_is_never_written_as_certain():
    assert [cards.percent(p) for p in (0.0, 0.001, 0.5, 0.9999, 1.0)] == ["0 %", "< 1 %", "50 %", "> 99 %", "100 %"]


def test_votes_stand_side_by_side_with_who_disagrees(checkpoint):
    a, b = np.full(10, 0.01), np.full(10, 0.01)
    a[0], a[1], b[1] = 0.5, 0.42, 0.91  # two frames for the first genre, but the third is surer
    prediction = certain(checkpoint, [a, a, b])
    labels = {vote: label for label, vote in cards.vote_choices(prediction, VOTES)}
    assert labels["majority"] == "Majority: blues\N{NO-BREAK SPACE}≠"
    assert labels["mean"] == "Mean: classical"
    assert set(labels) == set(VOTES)
    assert "Majority" in cards.vote_info(prediction, "mean")
    assert "disagree" in cards.vote_info(prediction, "mean")


def test_switching_the_vote_does_not_ask_the_network_again(app, song, monkeypatch):
    state = final(app, song)["State"]
    monkeypatch.setattr(Checkpoint, "probabilities", lambda *_: pytest.fail("the network was asked"))
    for vote in VOTES:
        shown = named(handler(app, "vote", "input").fn(state, vote))
        assert shown["State"].prediction.vote == vote
        assert shown["vote"].value == vote
        assert state.prediction.votes[vote] in shown["final-vote"]
        assert json.loads(Path(shown["Download JSON"].value["path"]).read_text())["vote"] == vote


def test_clearing_returns_the_page_to_the_first_visit(app):
    shown = named(handler(app, "Music", "clear").fn())
    assert shown["final-vote"] == cards.WELCOME
    assert shown["State"] is None
    assert shown["frame-mark"] == ""


def test_a_row_seeks_to_its_frame_whatever_the_order_and_page(app, song):
    state = final(app, song)["State"]
    starts = state.prediction.segment_starts
    player, seconds, mark = _seek(state, SimpleNamespace(index=[5, 1], row_value=[4, "…"]))
    assert player.playback_position == seconds == starts[3]
    # It is marked in the row that was chosen, and in the figure from its start to its end.
    assert '#frames [role="gridcell"][data-row="5"]' in mark
    left, width = (float(share) for share in re.findall(r"(?:left|width):([\d.]+)%", mark))
    assert left == pytest.approx(100 * starts[3] / 12, abs=0.01)
    assert left + width == pytest.approx(100 * state.prediction.segment_ends[3] / 12, abs=0.02)
    assert "playback_position" not in _seek(None, SimpleNamespace(index=[0, 1], row_value=[4, "…"]))


def test_frames_of_a_long_clip_come_in_pages(checkpoint):
    prediction = certain(checkpoint, np.full((450, 10), 0.1))
    pages = _pages(prediction)
    assert [page for _, page in pages] == ["0", "1", "2"]
    numbers = [row[0] for _, page in pages for row in _rows(prediction, page)]
    assert numbers == list(range(1, 451))


def test_large_files_are_refused_unread(bundled, tmp_path, monkeypatch):
    path = tmp_path / "large.wav"
    with path.open("wb") as file:
        file.truncate(service.MAX_BYTES + 1)
    monkeypatch.setattr("genre_app.ui.service.open_audio", lambda *_, **__: pytest.fail("it was opened"))
    with pytest.raises(service.RequestError, match=r"large\.wav: 100 MB are more than"):
        service.answer(path)


def test_long_clips_are_refused(bundled, song, monkeypatch):
    monkeypatch.setattr(service, "MAX_SECONDS", 5.0)
    with pytest.raises(audio.AudioError, match="longer than 5 s"):
        service.answer(song)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"vote": "loudest"}, "no vote 'loudest'"),
        ({"overlap": 1.0}, "between 0 and"),
        ({"overlap": float("nan")}, "between 0 and"),
        ({"checkpoint": "other"}, "no checkpoint 'other'"),
    ],
)
def test_requests_for_what_there_is_not(bundled, song, request_, words):
    with pytest.raises(service.RequestError, match=words):
        service.answer(song, **request_)


def test_visitors_cannot_name_the_servers_files_as_checkpoints(bundled, song, checkpoint_path):
    with pytest.raises(service.RequestError, match="There is no checkpoint"):
        service.answer(song, checkpoint=str(checkpoint_path))


def test_without_references_the_knn_vote_is_refused_in_words(bundled, song, make_checkpoint, monkeypatch):
    monkeypatch.setattr(service, "checkpoint_named", lambda name, own: make_checkpoint(references=False))
    with pytest.raises(service.RequestError, match="no reference tracks"):
        service.answer(song, vote="knn")


def test_the_page_opens_without_any_checkpoint_and_says_so(tmp_path, song, monkeypatch):
    monkeypatch.setattr("genre_app.checkpoint.checkpoint_folder", lambda: tmp_path / "none")
    service._load.cache_clear()
    shown = final(build_app(), song)
    assert "none is bundled" in shown["final-vote"]


def test_only_the_named_endpoints_are_public(app):
    public = {function.api_name for function in app.fns.values() if function.api_visibility != "private"}
    assert public == {"classify", "classify_batch"}


def test_tabs_come_from_the_list(app):
    assert [b.label for b in app.blocks.values() if type(b).__name__ == "Tab"] == [name for name, _ in TABS]


def test_page_limits_uploads_sends_no_statistics_and_fetches_nothing(app, monkeypatch):
    options = launch_options()
    assert options["max_file_size"] == service.MAX_DATA_BYTES
    monkeypatch.setenv("SPACE_ID", "someone/space")
    assert launch_options()["max_file_size"] == service.MAX_BYTES
    assert options["mcp_server"] is True
    assert app.analytics_enabled is False
    assert not re.search(r"https?://", options["head"] + options["css_paths"].read_text())
    assert "http" not in options["theme"]._get_theme_css().replace("http://www.w3.org", "")
