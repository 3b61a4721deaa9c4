"""The page's handlers, found in the built app and called, and the words and numbers they put on it."""

from __future__ import annotations

import base64
import io
import json
import math
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
import soundfile
from PIL import Image

from genre_app import audio, predict
from genre_app.checkpoint import Checkpoint, save_checkpoint
from genre_app.runs.request import Request
from genre_app.runs.run import Run
from genre_app.ui import cards, service
from genre_app.ui.classify import frames
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
    for update in uploaded(app, path, checkpoint, vote, overlap, view):
        shown |= update
    return shown


def uploaded(app, path, checkpoint="default", vote="mean", overlap="trained", view=None) -> list[dict]:
    """The updates of the page one by one."""
    updates = handler(app, "Music", "upload").fn(path, checkpoint, vote, overlap, view or VIEW, None, None)
    return [named(update) for update in updates]


def recorded(app, path) -> list[dict]:
    """The same for a recording that has stopped."""
    return [named(u) for u in handler(app, "Music", "stop_recording").fn(path, "default", "mean", "trained", VIEW, None, None)]


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
    first, vote, rest = uploaded(app, song)
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
    assert "Final vote</h2>" not in shown["final-vote"]


def test_an_empty_take_is_explained(app):
    *_, end = recorded(app, None)
    assert "No audio arrived" in end["final-vote"]
    assert end["State"] is None


def test_a_take_is_called_a_recording(app, song):
    *_, vote, _ = recorded(app, song)
    assert "your recording" in vote["final-vote"]
    # It stays one when an option changes; an uploaded file of gradio's name for recordings is none.
    again = handler(app, "overlap", "input").fn
    for path, take, name in ((song, song, "your recording"), (song, "/elsewhere/audio.wav", "song.wav")):
        _, vote, _ = (named(u) for u in again(path, "default", "mean", "0", VIEW, None, take))
        assert name in vote["final-vote"]


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
    assert not any(genre in headline for genre in prediction.genres)
    # Nor from the votes, which agree on nothing, nor from the description of the figure.
    assert [label for label, _ in cards.vote_choices(prediction, VOTES)] == list(service.VOTE_NAMES.values())
    assert "agree" not in cards.vote_info(prediction, "mean")
    assert "won by" not in cards.figure("", prediction)
    assert "which means nothing for noise" in cards.final_vote(prediction)


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
    seconds, mark = frames.mark(state, SimpleNamespace(index=[5, 1], row_value=[4, "…"]))
    assert seconds == starts[3]
    # It is marked in the row that was chosen, and in the figure from its start to its end.
    assert '#frames [role="gridcell"][data-row="5"]' in mark
    left, width = (float(share) for share in re.findall(r"(?:left|width):([\d.]+)%", mark))
    assert left == pytest.approx(100 * starts[3] / 12, abs=0.01)
    assert left + width == pytest.approx(100 * state.prediction.segment_ends[3] / 12, abs=0.02)
    assert frames.mark(None, SimpleNamespace(index=[0, 1], row_value=[4, "…"])) == gr.skip()


def test_frames_of_a_long_clip_come_in_pages(checkpoint):
    prediction = certain(checkpoint, np.full((450, 10), 0.1))
    pages = frames.pages(prediction)
    assert [page for _, page in pages] == ["0", "1", "2"]
    numbers = [row[0] for _, page in pages for row in frames.rows(prediction, page)]
    assert numbers == list(range(1, 451))


def medley(checkpoint, genres: list[int], length: int = 60, seed: int = 0) -> predict.Prediction:
    """Stretches of one genre each, ``length`` frames of 3 s; a tenth of the frames says something else."""
    random = np.random.default_rng(seed)
    winners = np.repeat(genres, length)
    stray = random.random(len(winners)) < 0.1
    winners[stray] = random.integers(0, 10, stray.sum())
    rows = np.full((len(winners), 10), 0.02, np.float32)
    rows[np.arange(len(winners)), winners] = 0.82
    spec = checkpoint.spec
    step = round(3.0 * spec.sample_rate / spec.hop_length)
    starts = [index * step for index in range(len(winners))]
    return predict.from_segments(
        checkpoint,
        starts,
        rows,
        spec=spec,
        sounds=np.ones(len(rows), bool),
        name="medley.wav",
        duration_seconds=spec.seconds(starts[-1]) + 3.0,
    )


def test_a_long_clip_is_summed_up_in_parts(checkpoint):
    prediction = medley(checkpoint, [5, 0, 8])
    parts = frames.parts(prediction)
    assert [part.genre for part in parts] == ["jazz", "blues", "reggae"]
    assert parts[0].start == 0
    assert parts[-1].end == prediction.duration_seconds
    assert [part.end for part in parts[:-1]] == [part.start for part in parts[1:]]
    np.testing.assert_allclose([part.end for part in parts[:-1]], [180, 360], atol=15)
    assert all(0.8 * part.n_frames < part.n_agree <= part.n_frames for part in parts)
    assert sum(part.n_frames for part in parts) == 180
    outline = frames.outline(prediction)
    assert outline.count("<li>") == 3
    assert 'data-seconds="0.00"' in outline
    # A short clip has its rows only.
    assert "<li>" not in frames.outline(medley(checkpoint, [5], 20))


def test_silent_stretches_are_parts_of_their_own(checkpoint):
    prediction = medley(checkpoint, [5, 5, 5])
    prediction.segment_sounds[60:120] = False
    assert [part.genre for part in frames.parts(prediction)] == ["jazz", None, "jazz"]
    assert "silent" in frames.outline(prediction)


def test_a_new_theme_draws_the_figure_anew(app, song):
    state = final(app, song)["State"]
    redraw = handler(app, "redraw", "click").fn
    light, dark = (redraw(state, {**VIEW, "dark": dark}) for dark in (False, True))
    assert light != dark
    assert redraw(None, VIEW) == cards.NO_FIGURE


def test_options_take_effect_at_once_and_only_on_a_clip(app, song):
    for option in ("overlap", "Checkpoint"):
        again = handler(app, option, "input").fn
        _, vote, _ = (named(u) for u in again(song, "default", "mean", "0.75", VIEW, None, None))
        assert len(vote["State"].prediction.segment_starts) == 13
        (nothing,) = again(None, "default", "mean", "0.75", VIEW, None, None)
        assert list(nothing.values()) == [gr.skip()]


def test_an_example_fills_the_player_first(app, checkpoint):
    first, *_, end = (
        named(u) for u in handler(app, "reggae", "click").fn(None, "default", "mean", "trained", VIEW, None, None)
    )
    assert Path(first["music"]).name == "reggae.flac"
    assert end["frames"].visible


def test_an_answer_lists_no_runs(bundled, song, tmp_path, monkeypatch, make_checkpoint):
    monkeypatch.setenv("GENRE_APP_RUNS", str(tmp_path / "runs"))
    first = Run.create(tmp_path / "runs" / "run-0", Request(recipe="default", data="/music"))
    for number in range(1, 400):
        shutil.copytree(first.path, tmp_path / "runs" / f"run-{number}")
    run = Run(tmp_path / "runs" / "run-7")
    run.record("stopped")
    save_checkpoint(make_checkpoint(seed=3), run.best)
    read: list[str] = []
    monkeypatch.setattr(Run, "description", lambda self, read=read, real=Run.description: read.append(self.name) or real(self))
    monkeypatch.setattr(Run, "journal", lambda self, read=read, real=Run.journal: read.append(self.name) or real(self))
    assert service.answer(song).prediction.checkpoint == "default"
    assert read == []
    assert service.answer(song, checkpoint="run: run-7").prediction.checkpoint == "run: run-7"
    assert set(read) == {"run-7"}
    with pytest.raises(service.RequestError, match="no checkpoint 'run: none'"):
        service.answer(song, checkpoint="run: none")
    assert set(read) == {"run-7", "none"}
    assert "run: run-7" in service.checkpoint_choices()
    assert len(set(read)) == 401  # so the counter counts


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
