"""Search settings on the page: started, shown, stopped, resumed and refused."""

from __future__ import annotations

import json
from types import SimpleNamespace

import psutil
import pytest

from genre_app.runs.search.results import Results, Row, write
from genre_app.runs.search.search import SearchFolder, list_searches
from tests.pages import handler, named
from tests.ui.train.page import TINY, values_of, words


@pytest.fixture
def started(monkeypatch):
    folders = []
    monkeypatch.setattr("genre_app.ui.train.searching.launch.resume", folders.append)
    return folders


def press(app, button: str, cache=None, profile=None, **changes):
    function = handler(app, button, "click")
    if button != "search-start":
        return named(function.fn(profile))
    changes = TINY | {"train-source": str(cache), "train-recipe": "cnn"} | changes
    return named(function.fn(values_of(function, **changes), profile))


def rows() -> tuple[Row, ...]:
    done = [
        Row(number=n, state="done", log_loss=0.5 + n / 100, accuracy=0.75, seconds=2.0, settings={"learning_rate": n / 1000})
        for n in (2, 1)
    ]
    failed = Row(
        number=3, state="failed", log_loss=None, accuracy=None, seconds=None, settings={"learning_rate": 0.5}, message=""
    )
    return *sorted(done, key=Row.order), failed


def test_a_search_is_started_shown_stopped_and_resumed(app, cache, started):
    shown = press(app, "search-start", cache, **{"search-trials": 3, "search-sampler": "random"})
    assert shown["search-problem"] == ""
    (folder,) = list_searches()
    assert started == [folder.path]
    search = folder.search()
    assert (folder.path.name, search.trials, search.folds, search.sampler) == ("cnn-search-1", 3, 0, "random")
    assert "learning_rate" in search.space
    assert search.config.epochs == 3, "the settings of the form count"
    # A process works on it.
    me = psutil.Process()
    (folder.path / "process.json").write_text(json.dumps([me.pid, me.create_time()]))
    write(Results(trials=3, folds=0, rows=rows()[:2], importance={"learning_rate": 0.8, "batch_size": 0.2}), folder.path, ["a"])
    (look,) = [one.fn for one in app.fns.values() if one.name == "look" and len(one.inputs) == 0]
    shown = named(look())
    card = words(shown["search-card"])
    assert "cnn-search-1 running 2 of 3 trials" in card
    assert "Train with the best settings: genre-app train cnn" in card
    assert "--set learning_rate=0.001" in card
    assert "learning_rate 80 %" in card
    assert shown["search-stop"].visible
    assert not shown["search-resume"].visible
    assert shown["Timer"].active
    assert "already" in press(app, "search-start", cache)["search-problem"]
    press(app, "search-stop")
    assert folder.should_stop
    assert "stopping" in named(look())["search-card"]
    (folder.path / "process.json").write_text(json.dumps([me.pid, 1.0]))
    shown = named(look())
    assert "stopped" in shown["search-card"]
    assert shown["search-resume"].visible
    assert not shown["Timer"].active
    press(app, "search-resume")
    assert started == [folder.path, folder.path]
    write(Results(trials=3, folds=0, rows=rows(), importance={}), folder.path, ["a"])
    shown = named(look())
    assert "finished" in words(shown["search-card"])
    assert "– (failed)" in words(shown["search-card"])
    assert not shown["search-resume"].visible


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"train-source": ""}, "Say where the music is"),
        ({"search-folds": 1}, "at least 2 folds"),
        ({"search-trials": 0}, "trials: must be at least 1, got 0"),
        ({"set-epochs": 0}, "epochs: must be at least 1"),
    ],
)
def test_a_search_that_cannot_start_says_why(app, cache, started, changes, sentence):
    problem = press(app, "search-start", cache, **changes)["search-problem"]
    assert sentence in problem
    assert 'role="alert"' in problem
    assert started == list_searches() == []


@pytest.mark.usefixtures("_on_a_space")
def test_a_stranger_cannot_search(app, cache, started):
    stranger = SimpleNamespace(username="mallory")
    for button in ("search-start", "search-stop", "search-resume"):
        assert "signed in as mallory" in press(app, button, cache, stranger)["search-problem"]
    assert started == list_searches() == []


def test_names_of_a_stranger_stay_text(app, cache, started, tmp_path):
    press(app, "search-start", cache)
    (folder,) = list_searches()
    row = Row(number=1, state="done", log_loss=0.5, accuracy=None, seconds=None, settings={"learning_rate": "<script>"})
    write(Results(trials=20, folds=0, rows=(row,), importance={}), folder.path, [])
    (look,) = [one.fn for one in app.fns.values() if one.name == "look" and len(one.inputs) == 0]
    assert "<script>" not in named(look())["search-card"]
    (folder.path / "results.json").write_text("{")
    assert "cannot be read" in named(look())["search-card"]
    assert isinstance(folder, SearchFolder)
