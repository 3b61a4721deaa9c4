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
from genre_app.audio.demos import DEMOS
from genre_app.checkpoint import Checkpoint
from genre_app.errors import GenreAppError
from genre_app.ui import cards, page, service
from genre_app.ui.classify import frames
from genre_app.ui.classify.answers import Asked
from genre_app.ui.page import TABS, build_app, launch_options
from genre_app.vote import VOTES
from tests.pages import following, handler, named

VIEW = {"width": 700, "pixel_ratio": 1, "dark": False}


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
    stopped = handler(app, "Music", "stop_recording")
    run = following(app, stopped).fn
    return [named(u) for u in run(path, "default", "mean", "trained", VIEW, None, stopped.fn(path))]


def prediction_of(path: str, checkpoint: Checkpoint, **options) -> predict.Prediction:
    with audio.open_audio(path) as stream:
        return predict.classify(stream, checkpoint, **options)


def test_a_first_visit_is_told_what_to_do(app):
    welcome = next(b.value for b in app.blocks.values() if getattr(b, "elem_id", None) == "final-vote")
    assert "drop a song" in welcome
    assert "record" in welcome
    assert "100 MB" in welcome
    assert "3 hours" in welcome


def test_an_upload_is_answered_in_the_order_in_which_it_is_looked_at(app, song, checkpoint):
    first, vote, rest = uploaded(app, song)
    expected = prediction_of(song, checkpoint)
    assert "Classifying" in first["final-vote"]
    assert f"{expected.n_agree} of {expected.n_sounding} frames agree" in vote["final-vote"]
    np.testing.assert_array_equal(vote["State"].prediction.segment_probabilities, expected.segment_probabilities)
    encoded = re.search(r'src="data:image/webp;base64,([^"]+)"', rest["figure"])[1]
    assert Image.open(io.BytesIO(base64.b64decode(encoded))).width == 700
    assert rest["frame-mark"] == ""  # that of another clip
    table = rest["frames"].value["data"]
    assert [row[2] for row in table] == expected.segment_genres


def test_a_vote_that_is_chosen_while_the_figure_is_drawn_is_kept(app, song):
    _, vote, rest = uploaded(app, song)
    chosen = named(handler(app, "vote", "input").fn(vote["State"], "knn"))
    assert json.loads(Path(chosen["Download JSON"].value["path"]).read_text())["vote"] == "knn"
    assert rest.keys().isdisjoint({"final-vote", "vote", "State", "Download JSON", "Download CSV"})


def test_no_choice_is_lost_while_the_one_before_is_answered(app):
    lost = [
        app.blocks[block_id].label
        for function in app.fns.values()
        for block_id, event in function.targets
        if event == "input" and function.fn and function.inputs and function.trigger_mode == "once"
    ]
    assert lost == []


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
    shown = final(app, str(path), vote="majority")
    assert shown["vote"].value == "majority"  # the visitor's choice is kept
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


def test_what_the_page_keeps_of_a_visitor_does_not_run_out_while_it_is_open(app):
    kept = [block for block in app.blocks.values() if isinstance(block, gr.State)]
    assert len(kept) > 2
    assert {block.time_to_live for block in kept} == {math.inf}


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
    shown = named(handler(app, "Music", "clear").fn("geometric"))
    assert shown["vote"].value == "geometric"
    assert shown["final-vote"] == cards.WELCOME
    assert shown["State"] is None
    assert shown["frame-mark"] == ""


def test_an_answer_that_a_visitor_no_longer_waits_for_is_not_shown(app, song):
    asked = Asked()
    updates = handler(app, "Music", "upload").fn(song, ["default"], "mean", "trained", VIEW, None, None, asked)
    assert "Classifying" in named(next(updates))["final-vote"]
    assert named(handler(app, "Music", "clear").fn("mean", asked))["final-vote"] == cards.WELCOME
    assert [named(update) for update in updates] == [{"final-vote": gr.skip()}]
    handler(app, "Music", "clear").fn("mean", asked, 1000.0)
    for sent, n_updates in ((999.0, 1), (1001.0, 3)):  # the first one has waited in the queue since before
        options = ["mean", "trained", VIEW | {"sent": sent}, None, None, asked]
        assert len([*handler(app, "Music", "upload").fn(song, ["default"], *options)]) == n_updates


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
    clicked = handler(app, "reggae", "click")
    assert [block.elem_id for block in clicked.outputs] == ["music"]
    path = clicked.fn("reggae")
    assert Path(path).name == "reggae.flac"
    *_, end = (named(u) for u in following(app, clicked).fn(path, "default", "mean", "trained", VIEW, None, None))
    assert end["frames"].visible


def test_only_an_event_of_its_own_fills_the_player(app):
    """After a handler that fills it and then yields without it, gradio refuses the player's value as an input."""
    filling = [function for function in app.fns.values() if "music" in [block.elem_id for block in function.outputs]]
    assert len(filling) == 1 + len(DEMOS) + 1  # an upload, the examples, a row of Batch
    assert all(len(function.outputs) == 1 for function in filling)


def test_a_row_of_batch_that_is_opened_cancels_what_classify_is_doing(app):
    """The answer of an earlier, longer clip, or an explanation of it, would otherwise appear below the row's file."""
    opened = handler(app, "results", "open")
    cancelling = [function for function in app.fns.values() if function.targets == opened.targets and function.cancels]
    names = {app.fns[number].name for function in cancelling for number in function.cancels}
    assert names == {"classified", "classified_again", "explained", "heard", "followed"}


def test_the_page_opens_without_any_checkpoint_and_says_so(tmp_path, song, monkeypatch):
    monkeypatch.setattr("genre_app.checkpoint.checkpoint_folder", lambda: tmp_path / "none")
    service._load.cache_clear()
    shown = final(build_app(), song)
    assert "none is bundled" in shown["final-vote"]


def test_only_the_named_endpoints_are_public(app):
    public = {function.api_name for function in app.fns.values() if function.api_visibility != "private"}
    assert public == {"classify", "classify_batch", "checkpoints"}


def test_tabs_come_from_the_list(app):
    assert [b.label for b in app.blocks.values() if type(b).__name__ == "Tab"] == [name for name, _ in TABS]


def test_page_limits_uploads_sends_no_statistics_and_fetches_nothing(app, monkeypatch):
    options = launch_options()
    assert options["max_file_size"] == service.MAX_DATA_BYTES
    monkeypatch.setenv("SPACE_ID", "someone/space")
    assert launch_options()["max_file_size"] == service.MAX_BYTES
    assert options["mcp_server"] is True
    assert app.analytics_enabled is False
    assert not re.search(r"https?://", options["head"] + options["css"])
    assert "http" not in options["theme"]._get_theme_css().replace("http://www.w3.org", "")


@pytest.mark.parametrize("error", [GenreAppError("GENRE_APP_LOGIN must be NAME:PASSWORD."), OSError("Cannot find empty port")])
def test_a_page_that_cannot_be_served_ends_with_a_sentence(monkeypatch, error):
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(page, "share_heaps", lambda: None)
    monkeypatch.setattr(page.visits, "keep_uploads_apart", fail)
    with pytest.raises(SystemExit) as stop:
        page.serve()
    assert stop.value.code == str(error)
