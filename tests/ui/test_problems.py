"""An error that nobody expected: each tab says so in one sentence and goes on, and the log gets the traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest

from genre_app.ui import service
from genre_app.ui.collect import correct, room
from genre_app.ui.collect import tab as collect
from genre_app.ui.live import tab as live
from genre_app.ui.train import tab as train
from tests.pages import handler, named
from tests.ui.batch.rows import batch
from tests.ui.train.page import TINY, looked

VIEW = {"width": 800, "pixel_ratio": 1.0, "dark": False}
WORDS = "This failed unexpectedly (MemoryError); try again, or look into the log of the server."
VISITOR = SimpleNamespace(session_hash="one")


@pytest.fixture(autouse=True)
def log(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GENRE_APP_COLLECTIONS", str(tmp_path / "collections"))
    yield
    assert "Traceback" in capsys.readouterr().err


@pytest.fixture
def break_down(monkeypatch) -> Callable[[str], None]:
    def failing(*_: object, **__: object) -> None:
        raise MemoryError

    return lambda place: monkeypatch.setattr(f"genre_app.{place}", failing)


@pytest.mark.parametrize("place", ["ui.service.classify", "ui.classify.answers.download", "ui.classify.answers.draw"])
def test_classify(app, song, break_down, place):
    break_down(place)
    *_, end = handler(app, "Music", "upload").fn(song, ["default"], "mean", "trained", VIEW, None, None)
    assert WORDS in named(end)["final-vote"]


@pytest.mark.parametrize(("accordion", "said"), [("why", "why-said"), ("what-if", "what-if-said")])
def test_more_about_an_answer(app, song, break_down, accordion, said):
    state = service.answer(song)
    break_down("ui.classify.excerpt.asked")
    chosen = [state, None] if accordion == "why" else [state, "pitch", None]
    *_, end = handler(app, accordion, "expand").fn(song, ["default"], None, *chosen, VIEW)
    assert WORDS in named(end)[said]


def test_batch(app, song, break_down):
    break_down("ui.batch.tab.answer")
    *_, end = map(named, batch(app, [song, song]))
    assert end["results"].count(WORDS) == 2
    assert end["Classify again"].interactive


def test_live(bundled, break_down):
    session, _ = live.begin("default", "mean", None)
    break_down("ui.live.sessions.Session.add")
    assert WORDS in live.listen("a.wav", session)[0]


def test_collect(bundled, song, break_down):
    break_down("data.collection.Collection.add_genre")
    event = gr.EventData(None, {"do": "genre", "genre": "dub"})
    *_, (board, said) = collect.act(None, event, VISITOR)
    assert WORDS in said
    assert "my-music" in board
    break_down("data.collection.Collection.add")
    assert WORDS in correct.add_corrected("dub", song, None, None, VISITOR, origin="file")


def test_check_your_room(break_down):
    break_down("ui.collect.room.actions.uploaded")
    assert WORDS in room.check("a.wav", None)[1]


def test_hear_an_augmentation(app, break_down):
    break_down("ui.train.hear.download")
    before, _, said, number = handler(app, "Before and after", "click").fn("noise", "blues", None, 0)
    assert WORDS in said
    assert (before.visible, number) == (False, 0)


def test_train(app, break_down, tmp_path):
    break_down("ui.train.data.look")
    shown, _ = looked(app, **TINY, **{"train-source": str(tmp_path)})
    assert "failed unexpectedly (MemoryError: MemoryError); the log has the details." in shown[-1]["plan"]
    assert shown[-1]["train-check"].interactive


def test_upload_of_a_run(break_down, monkeypatch):
    monkeypatch.setattr("genre_app.ui.train.tab._found", lambda name: name)
    break_down("ui.train.tab.upload")
    *_, said = train.push("run", "owner/name", None, None)
    assert WORDS in said


def test_an_error_of_a_file_gives_the_reason_of_the_system(app, song, monkeypatch):
    def failing(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "/srv/secret")

    monkeypatch.setattr("genre_app.ui.service.classify", failing)
    *_, end = handler(app, "Music", "upload").fn(song, ["default"], "mean", "trained", VIEW, None, None)
    card = named(end)["final-vote"]
    assert "(No space left on device)" in card
    assert str(Path("/srv/secret")) not in card
