"""A damaged report or run.json gives one sentence, and the other runs go on."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from functools import reduce
from operator import getitem

import pytest

from genre_app.errors import RunError
from genre_app.runs.run import Run
from genre_app.runs.status import Status
from tests.pages import handler, named
from tests.ui.train.page import REPORT, arrive, words

GONE = object()
DAMAGES = [
    (("best_epoch",), GONE),
    (("best_epoch",), "3"),
    (("seconds",), None),
    (("seconds",), float("nan")),
    (("valid",), []),
    (("valid", "n_tracks"), 10**400),
    (("valid", "accuracy"), GONE),
    (("valid", "accuracy"), float("inf")),
    (("valid", "accuracy"), 1e308),
    (("valid", "accuracy_ci95"), [0.3]),
    (("valid", "log_loss"), "low"),
    (("valid", "by_vote"), [0.75]),
    (("valid", "by_vote", "mean"), None),
    (("valid", "per_genre", "low"), {"n": 2}),
    (("valid", "confusion"), GONE),
    (("valid", "confusion"), {"genres": ["high"], "matrix": [[2, 0], [1, 1]]}),
    (("valid", "confusion", "matrix"), [[2, 0], [1]]),
    (("valid", "confusion"), {"genres": [], "matrix": []}),
    (("test",), {"accuracy": 0.5}),
]


def damaged(place: tuple[str, ...], value: object) -> str:
    """The report with another value at a place, or without it."""
    report = deepcopy(REPORT)
    group = reduce(getitem, place[:-1], report)
    if value is GONE:
        del group[place[-1]]
    else:
        group[place[-1]] = value
    return json.dumps(report)


@pytest.mark.parametrize(
    ("content", "what"),
    [*((damaged(*damage), ".".join(damage[0])) for damage in DAMAGES), ("", "EOF"), ("[1]", ""), ('{"best_epoch": 3', "EOF")],
)
def test_a_damaged_report_gives_a_sentence(app, make_run, content, what):
    run = make_run("it", Status.finished)
    make_run("other", Status.finished)
    (run.path / "report.json").write_text(content)
    shown = arrive(app, "it")
    text = words(shown["run-report"])
    assert "report.json cannot be read (" in text
    assert what in text
    assert "genre-app evaluate." in text
    assert 'role="alert"' in shown["run-report"]
    assert "3 of 4 validation tracks are right" in words(shown["run-head"])
    assert "Confusion, epoch 4" in shown["confusion"], "the journal has one too"
    assert shown["run-use"].visible
    assert "accuracy 4 of 4" in words(named(handler(app, "run-other", "input").fn("it", "other"))["run-compared"])
    assert "3 of 4 right" in words(arrive(app, "other")["run-report"])


def test_a_genre_with_tracks_may_lack_its_shares(app, make_run):
    run = make_run("it", Status.finished)
    (run.path / "report.json").write_text(damaged(("valid", "per_genre", "low", "f1"), None))
    assert "low – 1.00 0.50 2" in words(arrive(app)["run-report"])


def test_python_gets_a_sentence_too(make_run):
    run = make_run("it", Status.finished)
    assert run.report() == REPORT
    (run.path / "report.json").write_text("{}")
    with pytest.raises(RunError, match=r"report.json cannot be read \(best_epoch is missing\)"):
        run.report()


@pytest.mark.parametrize("created", ["1e30", "NaN", "Infinity", "-1", '"today"', "null", "1e308", "1" * 400])
def test_a_run_with_an_absurd_time_is_named_and_the_others_are_shown(app, make_run, created):
    run = make_run("it", Status.finished)
    make_run("other", Status.finished)
    assert arrive(app)["runs-damaged"] == ""
    path = run.path / "run.json"
    path.write_text(re.sub(r'"created": *[0-9.e+]+', f'"created":{created}', path.read_text()))
    with pytest.raises(RunError, match=r"run.json is damaged or of another version \(created"):
        Run.open(run.path)
    shown = arrive(app, "it")
    assert [row[0] for row in shown["runs"].value["data"]] == ["other"]
    assert "other" in shown["run-head"]
    assert "3 of 4 right" in words(shown["run-report"])
    said = words(shown["runs-damaged"])
    assert said.startswith(f"Not shown {path} is damaged or of another version (created")
    assert said.endswith("; start a new run.")


def test_runs_that_cannot_be_read_are_counted_and_none_is_left_to_show(app, make_run):
    for name in ("one", "two"):
        (make_run(name, Status.finished).path / "run.json").write_text("{")
    shown = arrive(app)
    assert shown["runs"].visible is False
    assert words(shown["runs-damaged"]).endswith("start a new run. 1 more cannot be read.")
    assert "runs-damaged" not in arrive(app, remembered=shown["run-shown"])


def test_a_search_that_cannot_be_read_is_named(app, make_run, tmp_path):
    make_run("it", Status.finished)
    path = tmp_path / "runs" / "search-1" / "search.json"
    path.parent.mkdir()
    path.write_text("{}")
    shown = arrive(app)
    assert words(shown["runs-damaged"]).startswith(f"Not shown {path} is damaged or of another version")
    assert words(shown["runs-damaged"]).endswith("; start a new search.")
    assert "it" in shown["run-head"]
