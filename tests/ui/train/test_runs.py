"""Runs in every state, and what the page receives of them."""

from __future__ import annotations

import json
import math
import time
from types import SimpleNamespace

import pytest

from genre_app.runs.status import Status
from genre_app.ui.figures import View
from genre_app.ui.train import confusion
from genre_app.ui.train.charts import curves
from genre_app.ui.train.panel import ACTIVE_SECONDS, IDLE_SECONDS
from genre_app.ui.train.run_card import state_card
from genre_app.ui.train.snapshot import snapshot, snapshots
from tests.pages import handler, named
from tests.ui.train.page import arrive, events, panel_values, record, words


@pytest.mark.parametrize(
    ("status", "said", "stop", "resume", "use"),
    [
        (Status.starting, "Starting the training process", True, False, False),
        (Status.queued, "Waiting until the device is free", True, False, False),
        (Status.preparing, "Decoding tracks: 30 of 120 · 45 s left", True, False, False),
        (Status.running, "Epoch 5 of 8 · about 3 min left", True, False, False),
        (Status.paused, "4 of 8 epochs done", True, True, False),
        (Status.stopped, "Stopped after 4 of 8 epochs. Resume continues exactly from there", False, True, True),
        (Status.finished, "3 of 4 validation tracks are right", False, False, True),
        (Status.failed, "The disk is full; make room.", False, True, True),
        (Status.died, "ended without a message after 4 of 8 epochs", False, True, False),
    ],
)
def test_a_run_in_every_state(app, make_run, status, said, stop, resume, use):
    run = make_run("it", status)
    assert run.status() is status
    shown = arrive(app)
    assert said in words(shown["run-head"])
    buttons = shown["run-stop"].visible, shown["run-resume"].visible, shown["run-use"].visible
    assert buttons == (stop, resume, use)
    assert shown["runs"].value["data"][0][0] == "it"
    assert shown["Timer"].value == (ACTIVE_SECONDS if status.is_active else IDLE_SECONDS)
    began = status not in (Status.starting, Status.queued, Status.preparing)
    assert shown["plot-loss"].visible is began
    assert ("img" in shown["confusion"]) is began


def test_numbers_of_a_running_run(app, make_run):
    make_run("it", Status.running)
    shown = arrive(app)
    text = words(shown["run-head"])
    for piece in (
        "Run: 4 of 8 epochs",
        "Epoch 5: step 0 of 10",
        "321 segments/s",
        "1.5 GB",
        "4 of 4 validation tracks, epoch 4",
        "committee, 1,234",
    ):
        assert piece in text
    loss = shown["plot-loss"].value
    assert loss is not None
    assert "3 of 4 validation tracks on the diagonal" in shown["confusion"]


def test_charts_share_an_axis_of_whole_epochs(app, make_run):
    run = make_run("it", Status.running)
    charts = ("plot-loss", "plot-accuracy", "plot-rate")
    assert {epochs_of(arrive(app)[chart]) for chart in charts} == {(0, 10)}  # with 4 there would be ticks at 0.5
    step = next(event for event in events(Status.running) if event["event"] == "step")
    record(run, {**step, "epoch": 13})
    shown = arrive(app)
    assert {epochs_of(shown[chart]) for chart in charts} == {(0, 13)}
    # The ends of the axis are points without a value, not limits: gradio would build the chart anew for limits.
    values = [row[1] for row in shown["plot-accuracy"].value["data"] if row[0] in (0, 13)]
    assert values
    assert all(value is None or math.isnan(value) for value in values)
    assert shown["plot-accuracy"].x_lim is None
    make_run("short", Status.stopped)
    compared = named(handler(app, "run-other", "input").fn("short", "it"))
    assert [epochs_of(compared[chart]) for chart in ("compared-loss", "compared-accuracy")] == [(0, 10), (0, 10)]


def test_a_chart_appears_with_its_first_line_and_then_follows_each_second(app, make_run):
    run = make_run("it", Status.preparing)
    started, step, *_ = (event for event in events(Status.running) if event["event"] in ("started", "step"))
    now = time.time() + 600.0  # ten minutes of preparing
    seen = []
    for event in (started, step, {**step, "step": 6}, {**step, "step": 7}):
        record(run, {**event, "time": now + len(seen)})
        shown = arrive(app, remembered=seen[-1]["run-shown"] if seen else None)
        seen.append(shown)
    assert [shown["plot-loss"].visible for shown in seen] == [False, False, True, True]  # one point makes no line


def test_only_a_run_that_goes_on_can_be_left(app, make_run):
    for name, status in (("on", Status.running), ("over", Status.finished)):
        make_run(name, status)
        assert ("You can close this page" in arrive(app, name)["run-head"]) is status.is_active


def epochs_of(chart) -> tuple[float, float]:
    """The first and the last epoch on the axis of a chart."""
    epochs = [row[0] for row in chart.value["data"]]
    return min(epochs), max(epochs)


def test_a_slow_tick_does_not_undo_a_choice(app, make_run):
    make_run("it", Status.running)
    tick = next(function for function in app.fns.values() if ("tick" in [event for _, event in function.targets]))
    assert "run-chosen" not in named(tick.fn(panel_values(tick, "it"), None))
    assert named(tick.fn(panel_values(tick, "deleted"), None))["run-chosen"] == "it"


def test_an_epoch_that_a_resumed_run_repeated_is_drawn_once(make_run):
    run = make_run("it", Status.stopped)
    again = [
        {"event": "process", "pid": 1, "pid_created": 1.0},
        {**next(e for e in events(Status.running) if e["event"] == "started"), "epoch": 3, "step": 2},
    ]
    epoch = {**[e for e in events(Status.running) if e["event"] == "epoch"][-1], "train_loss": 0.111}
    epoch |= {"recorded_log_loss": 1.5, "recorded_accuracy": 0.5}
    for event in [*again, epoch]:
        record(run, event)
    loss, accuracy, rate = curves(snapshot(run))
    loss, accuracy, rate = (frame.dropna() for frame in (loss, accuracy, rate))
    of_training = loss[loss.series == "training"]
    assert list(of_training.epoch) == sorted(of_training.epoch)
    assert list(of_training[of_training.epoch == 4].value) == [0.111]
    assert list(of_training[of_training.epoch.between(3.01, 3.99)].value) == []  # those steps were taken again
    assert list(accuracy[accuracy.series == "whole tracks"].value) == [0.25, 0.5, 0.75, 1.0]
    for frame, value in ((loss, 1.5), (accuracy, 0.5)):  # there is one where training has recordings
        assert frame[frame.series == "recordings"][["epoch", "value"]].values.tolist() == [[4.0, value]]
    assert set(rate.series) == {"learning rate"}
    assert "Under simulated recording 2 of 4 validation tracks" in words(state_card(snapshot(run)))


def test_a_report_has_its_interval_its_votes_and_each_genre(app, make_run):
    make_run("it", Status.finished)
    text = words(arrive(app)["run-report"])
    for piece in (
        "3 of 4 right",
        "75.0 %, 95 % interval 30.0 % to 95.0 %",
        "3 of 8",
        "0.400",
        "0.730",
        "mean 75.0 %, majority 50.0 %",
        "low 0.67 1.00 0.50 2",
    ):
        assert piece in text


def test_a_genre_without_tracks_has_no_f1(app, make_run):
    run = make_run("it", Status.finished)
    report = json.loads((run.path / "report.json").read_text())
    report["valid"]["per_genre"]["none"] = {"precision": None, "recall": None, "f1": None, "n": 0}
    (run.path / "report.json").write_text(json.dumps(report))
    text = words(arrive(app)["run-report"])
    assert "none – – – 0" in text
    assert "0.00" not in text


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_chart_has_all_its_series_from_the_start(make_run, share):
    """gradio never draws a series that is not in the first data of a chart."""
    run = make_run("it", Status.running, f"augment.recorded_share={share}", "augment.mild_share=0")
    journal = run.path / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    before_validation = next(index for index, line in enumerate(lines) if '"event": "epoch"' in line)
    journal.write_text("".join(lines[:before_validation]))
    loss, accuracy, rate = curves(snapshot(run))
    recordings = {"recordings"} if share else set()
    assert set(loss.series) == {"training", "validation"} | recordings
    assert set(accuracy.series) == {"whole tracks", "segments"} | recordings
    assert set(loss.dropna().series) == {"training"}
    assert accuracy.dropna().empty
    assert not rate.dropna().empty


def test_a_page_gets_only_what_has_changed_since(app, make_run):
    run = make_run("it", Status.running)
    first = arrive(app)
    tick = handler(app, "run-stop", "click")  # any handler of the panel has the same outputs
    assert set(named(dict.fromkeys(tick.outputs))) >= set(first) - {"train-note", "train-form", "set-init_from"}
    known = json.loads(json.dumps(first["run-shown"]))  # the browser keeps it
    second = arrive(app, "it", "", known)
    assert not {"run-head", "plot-loss", "confusion", "runs", "run-log", "Timer"} & set(second)
    record(run, {**[event for event in events(Status.running) if event["event"] == "epoch"][-1], "epoch": 5})
    third = arrive(app, "it", "", second["run-shown"])
    assert {"run-head", "plot-loss", "confusion", "runs"} <= set(third)
    assert "run-report" not in third
    assert "Epoch 6 of 8" in third["run-head"]


def test_an_answer_that_a_page_never_got_is_sent_again(app, make_run):
    run = make_run("it", Status.running)
    known = arrive(app)["run-shown"]
    record(run, {"event": "stopped"})
    for _ in range(2):
        later = arrive(app, "it", "", known)
        assert "Stopped after 4 of 8 epochs" in later["run-head"]
        assert later["run-resume"].visible
        assert later["Timer"].value == IDLE_SECONDS


def test_the_curves_of_a_long_run_are_not_drawn_every_second(app, make_run):
    run = make_run("it", Status.running)
    journal = run.path / "journal.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]

    def draw(lasted: float, shown: dict | None) -> dict:
        for line in lines:
            line["time"] = 80_000.0 - 600.0
        lines[-1]["time"] = 80_000.0 + lasted
        journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return arrive(app, "it", "", shown)

    first = draw(0.5, None)["run-shown"]
    soon = draw(7.5, first)
    assert not {"plot-loss", "confusion"} & set(soon)
    assert {"plot-loss", "confusion"} <= set(draw(8.5, soon["run-shown"]))


def test_a_page_shows_the_active_run_unless_another_is_chosen(app, make_run):
    make_run("old", Status.running)
    time.sleep(0.01)
    make_run("new", Status.finished)
    assert "old" in arrive(app)["run-head"]
    assert "new" in arrive(app, "new")["run-head"]
    assert "old" in arrive(app, "deleted")["run-head"]
    assert [row[0] for row in arrive(app)["runs"].value["data"]] == ["new", "old"]
    event = SimpleNamespace(row_value=["new", "finished", "", ""])
    function = handler(app, "runs", "select")
    chosen = named(function.fn(panel_values(function, "old"), event, None))
    assert "new" in chosen["run-head"]
    assert 'data-row="0"' in chosen["run-mark"]
    assert 'data-row="1"' in arrive(app)["run-mark"]


def test_without_runs_the_tab_says_what_to_do(app):
    shown = arrive(app)
    assert shown["Timer"].value == IDLE_SECONDS
    assert shown["runs"].visible is False
    assert snapshots() == []


def test_a_run_on_all_tracks_shows_what_was_measured(app, make_run):
    run = make_run("it", Status.finished, "split.method=none")
    journal = [event for event in events(Status.finished) if event["event"] != "finished"]
    unknown = {"valid_log_loss": None, "valid_accuracy": None, "valid_segment_accuracy": None, "confusion": None}
    lines = [event | unknown if event["event"] == "epoch" else event for event in journal]
    lines.append({"event": "finished", "seconds": 60.0})
    (run.path / "journal.jsonl").write_text("".join(json.dumps({"time": time.time(), **line}) + "\n" for line in lines))
    report = json.loads((run.path / "report.json").read_text())
    valid = report.pop("valid")
    (run.path / "report.json").write_text(json.dumps(report))
    shown = arrive(app)
    assert "Finished after 60 s of training" in words(shown["run-head"])
    assert "validation tracks" not in words(shown["run-head"])
    assert "so nothing was measured" in words(shown["run-report"])
    assert "img" not in shown["confusion"]
    assert shown["runs"].value["data"][0][2] == "–"
    assert not shown["plot-accuracy"].visible
    assert shown["plot-loss"].visible
    make_run("other", Status.finished)
    compared = words(named(handler(app, "run-other", "input").fn("it", "other"))["run-compared"])
    assert "accuracy – 3 of 4" in compared
    (run.path / "report.json").write_text(json.dumps(report | {"folds": valid | {"folds": 5}}))
    shown = named(handler(app, "run-other", "input").fn("it", "other"))
    assert "accuracy 3 of 4, 75.0 %" in words(shown["run-compared"])


def test_a_confusion_matrix_is_drawn_once_for_each_view(monkeypatch):
    drawn, draw = [], confusion.draw_confusion
    monkeypatch.setattr(confusion, "draw_confusion", lambda *given: drawn.append(given) or draw(*given))
    wide, narrow = View(400), View(300)
    for matrix, view in (
        ([[7, 0], [1, 1]], wide),
        ([[7, 0], [1, 1]], wide),
        ([[7, 0], [0, 2]], wide),
        ([[7, 0], [1, 1]], narrow),
    ):
        confusion.confusion_image(matrix, ["high", "low"], "", view)
    assert len(drawn) == 3
    assert "8 of 9 clips on the diagonal" in confusion.confusion_card(
        [[7, 0], [1, 1]], ["high", "low"], "Left out", wide, "clips"
    )
