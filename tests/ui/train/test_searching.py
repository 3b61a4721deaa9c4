"""Search settings on the page: started, shown, stopped, resumed and refused."""

from __future__ import annotations

import json
from types import SimpleNamespace

import psutil
import pytest

from genre_app.runs.request import Request
from genre_app.runs.run import runs_folder
from genre_app.runs.search.results import Results, Row, write
from genre_app.runs.search.search import Search, SearchFolder, list_searches
from genre_app.runs.status import Status
from tests.pages import handler, named
from tests.ui.train.page import TINY, values_of, with_fields, words


@pytest.fixture
def started(monkeypatch):
    folders = []
    monkeypatch.setattr("genre_app.ui.train.searching.launch.resume", folders.append)
    return folders


def press(app, button: str, cache=None, profile=None, search=None, **changes):
    function = handler(app, button, "click")
    if button != "search-start":
        changes = {"search-chosen": search} | changes
    else:
        changes = TINY | {"train-source": str(cache), "train-recipe": "cnn"} | changes
    return named(function.fn(values_of(app, function, **changes), profile))


def look(app, search=None, listed=None, profile=None):
    function = handler(app, "search-chosen", "input")
    values = values_of(app, function, **{"search-chosen": search})
    (names,) = [block for block in values if block.elem_id == "searches-listed"]
    return named(function.fn(values | {names: listed}, profile))


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
    assert shown["search-chosen"].value == "cnn-search-1"
    assert shown["searches"].open
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
    shown = look(app)
    card = words(shown["search-card"])
    assert "cnn-search-1 running 2 of 3 trials" in card
    assert "Train with the best settings genre-app train cnn" in card
    assert "--set learning_rate=0.001" in card
    assert "learning_rate 80 %" in card
    assert shown["search-stop"].visible
    assert not shown["search-resume"].visible
    assert shown["Timer"].active
    assert "already" in press(app, "search-start", cache)["search-problem"]
    press(app, "search-stop", search="cnn-search-1")
    assert folder.should_stop
    assert "stopping" in look(app)["search-card"]
    (folder.path / "process.json").write_text(json.dumps([me.pid, 1.0]))
    shown = look(app)
    assert "stopped" in shown["search-card"]
    assert shown["search-resume"].visible
    assert not shown["Timer"].active
    press(app, "search-resume", search="cnn-search-1")
    assert started == [folder.path, folder.path]
    shown = look(app)  # before the new process has recorded itself, as on a slow machine
    assert "cnn-search-1 running" in words(shown["search-card"])
    assert shown["search-stop"].visible
    assert shown["Timer"].active
    press(app, "search-resume", search="cnn-search-1")
    assert len(started) == 2, "one process at a time"
    (folder.path / "process.json").write_text(json.dumps([me.pid, 1.0]))
    write(Results(trials=3, folds=0, rows=rows(), importance={}), folder.path, ["a"])
    shown = look(app)
    assert "finished" in words(shown["search-card"])
    assert "3 – failed 0.5" in words(shown["search-card"])
    assert "too few trials to say" in words(shown["search-card"])
    assert not shown["search-resume"].visible


def make_search(name: str, created: float, *lines: Row, **changes) -> SearchFolder:
    """Write the folder of a search of cnn by hand."""
    request = Request(recipe="cnn", data="/music", **({"settings": {"epochs": 3}} | changes))
    search = Search.of(request, 5).model_copy(update={"created": created})
    folder = SearchFolder.create(runs_folder() / name, search)
    if lines:
        write(Results(trials=5, folds=0, rows=lines, importance={}), folder.path, ["learning_rate"])
    return folder


def test_any_search_can_be_chosen(app):
    assert not look(app)["searches"].visible
    make_search("older", 1.0, *rows())
    make_search("newer", 2.0)
    shown = look(app)
    assert shown["searches"].visible
    assert shown["search-chosen"].value == "newer"
    assert [name for name, _ in shown["search-chosen"].choices] == ["newer", "older"]
    assert not shown["search-fill"].visible, "no trial is done"
    names = shown["searches-listed"]
    shown = look(app, "older", names)
    assert "older stopped 3 of 5 trials" in words(shown["search-card"])
    assert shown["search-fill"].visible
    assert "search-chosen" not in shown, "the browser has the same names already"
    # A list that has changed changes no choice: the visitor may have chosen again meanwhile.
    assert "value" not in look(app, "older", names[:1])["search-chosen"].constructor_args
    fills = {
        function.name
        for function in app.fns.values()
        if {*function.outputs} & {handler(app, "search-chosen", "input").outputs[3]}
    }
    assert fills == {"look"}, "one event shows a search, so that the latest answer comes last"
    # A search that is gone gives way to the newest one.
    assert look(app, "deleted", names)["search-chosen"].value == "newer"
    for button in ("search-stop", "search-resume", "search-fill"):
        assert "no search &#x27;deleted&#x27;" in press(app, button, search="deleted")["search-said"]
    press(app, "search-stop", search="older")
    assert [found.should_stop for found in list_searches()] == [False, True]


def test_the_form_is_filled_with_the_best_trial(app, make_run):
    best = {"learning_rate": 0.25, "batch_size": 7, "model_settings.channels": [4, 8, 16], "augment.mild_share": 0.125}
    best_row = Row(number=2, state="done", log_loss=0.5, accuracy=0.75, seconds=2.0, settings=best)
    run = make_run("mine", Status.finished)
    make_search("tuned", 1.0, best_row, columns="data", threads=3, init_from=str(run.best), seed=9)
    function = handler(app, "search-fill", "click")
    values = {block: "tuned" if block.elem_id == "search-chosen" else None for block in function.inputs}
    updates = function.fn(values, None)
    shown = named(updates)
    assert "The form holds the settings of trial 2 of tuned now" in shown["search-said"]
    assert shown["set-learning_rate"] == 0.25
    assert shown["set-batch_size"] == 7
    assert shown["set-augment-mild_share"] == 0.125
    assert "train-source" not in shown, "the music stays"
    # The request of the filled form is that of the best trial.
    change = handler(app, "train-typed", "click")
    held = {
        block: value["value"] if isinstance(value, dict) else getattr(value, "value", value) for block, value in updates.items()
    }
    filled = {block.elem_id: value for block, value in held.items() if (block.elem_id or "").startswith(("set-", "train-"))}
    command = named(change.fn(with_fields(values_of(app, change), **filled)))["train-command"]
    for part in ("train cnn", "learning_rate=0.25", "batch_size=7", "channels=[4, 8, 16]", "mild_share=0.125", "epochs=3"):
        assert part in command
    for part in ("seed=9", "--columns data", "--threads 3", "best.safetensors"):
        assert part in command


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"init_from": "/elsewhere/best.safetensors"}, "does not offer the starting weights"),
        ({"recipe": "own.toml"}, "does not offer the recipe"),
        ({"best": {"epochs": -1}}, "epochs"),
        ({"best": None}, "No trial of this search is done yet"),
    ],
)
def test_a_form_that_cannot_be_filled_says_why(app, changes, sentence):
    best = changes.pop("best", {"learning_rate": 0.25})
    recipe = changes.pop("recipe", None)
    lines = [Row(number=1, state="done", log_loss=0.5, accuracy=None, seconds=None, settings=best)] if best else []
    folder = make_search("odd", 1.0, *lines, **changes)
    if recipe:
        file = folder.path / "search.json"
        file.write_text(file.read_text().replace('"recipe": "cnn"', f'"recipe": "{recipe}"'))
    shown = press(app, "search-fill", search="odd")
    assert sentence in shown["search-said"]
    assert 'role="alert"' in shown["search-said"]
    assert "set-learning_rate" not in shown


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
def test_a_stranger_sees_searches_and_changes_nothing(app, started):
    stranger = SimpleNamespace(username="mallory")
    folder = make_search("mine", 1.0, *rows())
    me = psutil.Process()
    (folder.path / "process.json").write_text(json.dumps([me.pid, me.create_time()]))
    for button, place in (
        ("search-start", "search-problem"),
        ("search-stop", "search-said"),
        ("search-resume", "search-said"),
        ("search-fill", "search-said"),
    ):
        shown = press(app, button, "/music", stranger, "mine")
        assert "signed in as mallory" in shown[place]
        assert shown.get("set-learning_rate") is None
    assert started == []
    assert list_searches() == [folder]
    assert not folder.should_stop
    shown = look(app, profile=stranger)
    assert "--data /music" not in shown["search-card"]
    assert "mine" in shown["search-card"]
    assert not any(shown[button].visible for button in ("search-stop", "search-resume", "search-fill"))


def test_names_of_a_stranger_stay_text(app, cache, started):
    press(app, "search-start", cache)
    (folder,) = list_searches()
    row = Row(number=1, state="done", log_loss=0.5, accuracy=None, seconds=None, settings={"learning_rate": "<script>"})
    write(Results(trials=20, folds=0, rows=(row,), importance={}), folder.path, [])
    assert "<script>" not in look(app)["search-card"]
    (folder.path / "results.json").write_text("{")
    shown = look(app)
    assert "cannot be read" in shown["search-card"]
    assert not shown["search-fill"].visible
