"""Teach on the page: its handlers are called without a browser."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest

from genre_app.checkpoint import load_checkpoint
from genre_app.data.collection import Collection
from genre_app.errors import DataError
from genre_app.progress import Progress
from genre_app.teaching.data_map import DataMap, DoubtfulLabel
from genre_app.teaching.examples import CACHE
from genre_app.ui.collect.store import collection_of, taught_file
from genre_app.ui.page import build_app
from genre_app.ui.service import RequestError, checkpoint_choices, checkpoint_named
from genre_app.ui.teach.job import followed
from genre_app.ui.teach.map_card import card
from tests.conftest import bundle
from tests.pages import following, handler, named
from tests.teaching.music import fill

VIEW = {"width": 900, "pixel_ratio": 1.0, "dark": False}


@pytest.fixture(scope="module")
def music(tmp_path_factory) -> Path:
    return fill(tmp_path_factory.mktemp("music"), 3, ("low", "high"))


@pytest.fixture
def at_home(monkeypatch, tmp_path, checkpoint):
    monkeypatch.setenv("GENRE_APP_COLLECTIONS", str(tmp_path / "collections"))
    monkeypatch.setenv("GENRE_APP_RUNS", str(tmp_path / "runs"))
    with bundle(checkpoint, tmp_path / "bundled"):
        yield


def collect(collection: Collection, music: Path) -> None:
    for file in sorted(music.rglob("*.wav")):
        collection.add(file.parent.name, file, origin="file")


def visitor(session: str) -> SimpleNamespace:
    return SimpleNamespace(session_hash=session)


def taught(app: gr.Blocks, name: str | None, session: str, genres: str = "replace") -> list[dict]:
    """Press Teach; return what the page shows meanwhile, and last what it shows then."""
    updates = [named(update) for update in handler(app, "teach", "click").fn(name, genres, visitor(session))]
    if "State" in updates[-1]:  # a model was taught
        updates[-1] |= named(shower(app).fn(name, VIEW, visitor(session)))
    return updates


def shower(app: gr.Blocks):
    """What shows the taught model of a collection."""
    return next(function for function in app.fns.values() if function.name == "show")


def test_teaching_shows_progress_and_result_and_offers_the_model(app, at_home, music, monkeypatch):
    collect(collection_of(None, "my-music"), music)
    assert "taught: my-music" not in checkpoint_choices()
    updates = taught(app, "my-music", "a")
    assert "Starting" in updates[0]["teach-status"]
    assert any("<progress" in str(update.get("teach-status")) for update in updates)
    text = updates[-1]["teach-card"]
    assert "6 of 6 right" in text
    assert "The model of my-music is taught. It took" in updates[-1]["teach-status"]
    assert "before: 0 of 6" in text
    assert "taught: my-music" in checkpoint_choices()
    assert checkpoint_named("taught: my-music").genres == ("high", "low")
    # A page that is loaded again shows the same.
    assert "6 of 6 right" in named(shower(app).fn("my-music", VIEW, visitor("b")))["teach-card"]
    # What was computed of a clip goes with the clip.
    collection = collection_of(None, "my-music")
    collection.delete(collection.read().clips[0].id)
    taught(app, "my-music", "a")
    assert len(list((collection.folder / CACHE).rglob("*.safetensors"))) == 5
    with pytest.raises(RequestError, match="There is no checkpoint"):
        checkpoint_named("taught: ../my-music")
    # On a full disk, the model cannot be offered for download.
    monkeypatch.setattr("genre_app.ui.teach.panel.download_file", lambda *_: (collection.folder / "no space").stat())
    assert named(shower(app).fn("my-music", VIEW, visitor("b")))["Row"].visible is False


def test_what_shows_a_model_leaves_the_progress_of_teaching_and_the_stop_button(app):
    show = shower(app)
    assert show.trigger_mode == "always_last"
    fills = {function.name for function in app.fns.values() if {*function.outputs} & {*show.outputs}}
    assert fills == {"show", "play"}
    assert "Stop" in {getattr(block, "value", None) for block in handler(app, "teach", "click").outputs}


def test_the_map_of_a_collection_goes_when_another_one_is_chosen(app, at_home):
    collection_of(None, "my-music").add_genre("dub")
    drawing = handler(app, "draw-map", "click")
    *_, (card, button, drawn) = drawing.fn("my-music", "embedding", visitor("a"))
    assert "no clips yet" in card
    assert (button.interactive, drawn) == (True, "my-music")
    after = following(app, drawing).fn
    assert after("my-music", "other", visitor("a")) == ""
    assert after("my-music", "my-music", visitor("a")) == gr.skip() == after(None, "other", visitor("a"))


def test_a_map_whose_embeddings_cannot_be_written_says_so_and_can_be_drawn_again(app, at_home, music):
    collection = collection_of(None, "my-music")
    collect(collection, music)
    (collection.folder / CACHE).write_text("not a folder")
    *_, (card, button, _) = handler(app, "draw-map", "click").fn("my-music", "embedding", visitor("a"))
    assert "cannot be written" in card
    assert button.interactive


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("not enough memory: /home/me"), ValueError(), KeyError("bug")])
def test_after_any_error_one_can_teach_and_draw_again(app, at_home, music, monkeypatch, capsys, error):
    def failing(*_: object, **__: object):
        raise error

    collect(collection_of(None, "my-music"), music)
    monkeypatch.setattr("genre_app.ui.teach.panel.teach", failing)
    monkeypatch.setattr("genre_app.ui.teach.map_panel.teach", failing)
    words = f"This failed unexpectedly ({type(error).__name__}); try again, or look into the log of the server."
    end = taught(app, "my-music", "a")[-1]
    assert words in end["teach-status"]
    assert (end["teach"].interactive, end["Stop"].visible) == (True, False)
    *_, (card, button, _) = handler(app, "draw-map", "click").fn("my-music", "embedding", visitor("a"))
    assert words in card
    assert button.interactive
    log = capsys.readouterr().err
    assert log.count("Traceback") == 2
    assert str(error) in log


def test_a_clip_that_is_gone_is_not_played_in_silence(app, at_home):
    play = handler(app, "teach-map", "play_clip").fn
    player, words = play(None, SimpleNamespace(file="gone.flac"), visitor("a"))
    assert not player.visible
    assert "no longer in the collection" in words


def test_a_mark_of_the_map_names_its_clip_its_genre_and_a_doubt():
    doubt = DoubtfulLabel("b.flac", "dub", "ska & co", 0.83)
    found = DataMap(("a.flac", "b.flac"), ("dub", "dub"), np.eye(2), np.zeros(2, int), 0.5, 0.5, (doubt,), (), ())
    html = card(found, {"a.flac": "one <1>.wav", "b.flac": "two.wav"})
    marks = re.findall(r'<g class="clip" role="button" tabindex="(-?\d)" data-play="(.*?)".*?<title>(.*?)</title>', html)
    assert marks == [
        ("0", "a.flac", "one &lt;1&gt;.wav: dub"),
        ("-1", "b.flac", "two.wav: dub, perhaps ska &amp; co (83%)"),
    ]


def test_a_collection_that_cannot_be_taught_says_why(app, at_home, music):
    collection = collection_of(None, "my-music")
    assert "no clips yet" in taught(app, "my-music", "a")[-1]["teach-status"]
    collection.add("low", next(music.rglob("low0.wav")), origin="file")
    assert "2 genres with 2 clips each" in taught(app, "my-music", "a")[-1]["teach-status"]
    extended = taught(app, "my-music", "a", "extend")[-1]["teach-status"]
    assert "does not remember its genres" in extended


def test_on_a_public_page_a_taught_model_belongs_to_its_visitor(bundled, at_home, music, monkeypatch, tmp_path):
    monkeypatch.setenv("SPACE_ID", "someone/space")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    app = build_app()
    collect(collection_of("one", None), music)
    assert "6 of 6 right" in taught(app, None, "one")[-1]["teach-card"]
    assert load_checkpoint(taught_file(collection_of("one"))).genres == ("high", "low")
    assert not [name for name in checkpoint_choices() if name.startswith("taught")]
    use = handler(app, "Use in Classify and Live", "click").fn
    mine = named(use(None, None, visitor("one")))
    assert mine["Checkpoint"].value == ["yours: taught.safetensors"]
    assert "Teach a model first" in named(use(None, None, visitor("two")))["teach-status"]
    assert "no clips yet" in taught(app, None, "two")[-1]["teach-status"]


def test_a_followed_task_yields_the_latest_progress_and_its_result():
    def task(monitor):
        for done in range(50):
            monitor.on_progress(Progress("counting", done, 50, None))
        return "done"

    seen = []

    def follow():
        result = yield from followed(task, lambda progress: progress)
        seen.append(result)

    seen = [*(progress.done for progress in follow()), *seen]
    assert seen.pop() == "done"
    assert seen == sorted(seen)
    assert seen[-1] == 49

    def failing(monitor):
        raise DataError("no clips")

    with pytest.raises(DataError, match="no clips"):
        next(followed(failing, lambda progress: progress))


def test_a_task_that_nobody_follows_is_asked_to_stop():
    stopped = threading.Event()

    def task(monitor):
        while not monitor.should_stop():
            monitor.on_progress(Progress("waiting", 0, 1, None))
            time.sleep(0.01)
        stopped.set()

    following = followed(task, lambda progress: progress)
    next(following)
    following.close()
    assert stopped.wait(5)


def test_train_longer_fills_the_form_with_the_collection_and_fine_tuning(app, at_home, music):
    collect(collection_of(None, "my-music"), music)
    function = handler(app, "Train longer", "click")
    filled = function.fn("my-music", None, visitor("a"))
    assert set(filled) <= set(function.outputs)
    values = named(filled)
    assert values["train-source"] == str(collection_of(None, "my-music").folder)
    assert values["train-recipe"]["value"] == "transfer"
    assert values["set-init_from"].value == "default"
    assert values["Tabs"].selected == "Train"
