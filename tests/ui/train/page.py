"""Calls the handlers of the Train tab, and writes journals and reports of runs."""

from __future__ import annotations

import re
from types import SimpleNamespace

import gradio as gr
import psutil
from pydantic import TypeAdapter

from genre_app.errors import RunError
from genre_app.progress import Progress
from genre_app.runs.check import Failed, look
from genre_app.runs.events import Event
from genre_app.runs.run import Run
from genre_app.runs.status import Status
from tests.pages import handler, named

OWNER = SimpleNamespace(username="Ada")


STRANGER = SimpleNamespace(username="mallory")


TINY = {
    "set-model": "cnn",
    "set-model_settings": "channels = [4, 8]\npools = [[4, 2], [4, 4]]",
    "set-spec-segment_seconds": 2,
    "set-spec-segment_hop_seconds": 1,
    "set-epochs": 3,
    "set-segments_per_track": 2,
    "set-batch_size": 8,
    "set-precision": "float32",
    "set-columns": "data",
    "set-threads": 1,
}


def check_here(request, *, measure=True):
    """Do what `genre_app.runs.check.check` does, in this process."""
    yield Progress("looking at the data", 0, 0, None)
    found = look(request, [None], measure=measure)
    if isinstance(found, Failed):
        raise RunError(found.sentence)
    yield found


def values_of(app, function, **changes) -> dict:
    """The inputs of a handler when the page is opened, with changes by id; the form is one of them."""
    values = {block: None if isinstance(block, gr.State) else block.value for block in function.inputs}
    places = {block.elem_id: block for block in values}
    if gathered := places.get("train-values"):
        form = form_of(app)
        values |= {gathered: form | {name: changes.pop(name) for name in [*changes] if name in form}}
    return values | {places[name]: value for name, value in changes.items()}


def form_of(app) -> dict:
    """The values of the form when the page is opened, as the browser gathers them."""
    fields = next(one.inputs for one in app.fns.values() if "train-values" in [block.elem_id for block in one.outputs])
    return {field.elem_id: field.value for field in fields}


def with_fields(values, **fields) -> dict:
    """The inputs of a handler, with other values of fields of the form."""
    (gathered,) = [block for block in values if block.elem_id == "train-values"]
    return values | {gathered: values[gathered] | fields}


def marked(html: str) -> tuple[str, str]:
    """The element under which a style sheet writes an error, and the error."""
    found = re.fullmatch(r'<style>#([\w-]+)::after{content:"((?:\\[0-9a-f]{6})*)"}</style>', html)
    assert found
    return found[1], "".join(chr(int(code, 16)) for code in found[2].split("\\")[1:])


def changed(app, checked=None, **changes) -> dict:
    """What the page shows after values in the form have changed since a check."""
    function = handler(app, "train-typed", "click")
    values = values_of(app, function, **changes)
    return named(function.fn({block: checked if isinstance(block, gr.State) else value for block, value in values.items()}))


def looked(app, profile=None, **changes) -> tuple[list[dict], dict]:
    """Everything that the page shows while it checks the data and after that, and the values of the form."""
    function = handler(app, "train-check", "click")
    values = values_of(app, function, **changes)
    updates = [named(update) for update in function.fn(values, profile)]
    updates[-1] |= changed(app, updates[-1]["State"], **changes)
    return updates, values


def begin(app, values, plan, profile=None) -> dict:
    """Press Start after the page has shown a plan."""
    function = handler(app, "train-start", "click")
    state = next(block for block in values if isinstance(block, gr.State))
    return named(function.fn(values | {state: plan}, profile))


def events(status: Status, epochs: int = 4) -> list[dict]:
    """A journal that ends in this state, with two genres and four validation tracks."""
    me = psutil.Process()
    gone = {"event": "process", "pid": 2**22 + 1, "pid_created": 1.0}
    lines: list[dict] = [
        {"event": "created"},
        gone if status is Status.died else {"event": "process", "pid": me.pid, "pid_created": me.create_time()},
    ]
    if status is Status.starting:
        return lines[:1]
    if status is Status.queued:
        return [*lines, {"event": "queued", "device": "cpu"}]
    lines.append({"event": "preparing", "stage": "decoding tracks", "done": 30, "total": 120, "eta_seconds": 45.0})
    if status is Status.preparing:
        return lines
    lines.append(
        {
            "event": "started", "device": "cpu", "processes": 1, "epoch": 0, "step": 0, "epochs": 8, "steps": 10,
            "tracks": {"train": 12, "valid": 4, "test": 0}, "segments": 48, "parameters": 1234,
            "genres": ["high", "low"], "notes": [],
        }
    )  # fmt: skip
    for epoch in range(1, epochs + 1):
        lines += [
            {
                "event": "step", "epoch": epoch, "step": step, "steps": 10, "loss": 1 / epoch, "learning_rate": 0.01,
                "samples_per_second": 321.0, "eta_seconds": 200.0, "memory_bytes": 1.5e9,
            }
            for step in (5, 10)
        ]  # fmt: skip
        lines.append(
            {
                "event": "epoch", "epoch": epoch, "train_loss": 1 / epoch, "learning_rate": 0.01, "seconds": 2.0,
                "valid_log_loss": 0.9 / epoch, "valid_accuracy": min(1.0, 0.25 * epoch), "valid_segment_accuracy": 0.5,
                "confusion": [[2, 0], [1, 1]], "best": True,
            }
        )  # fmt: skip
    end = {
        Status.paused: [{"event": "paused"}],
        Status.stopped: [{"event": "stopped"}],
        Status.failed: [{"event": "failed", "message": "The disk is full; make room."}],
        Status.finished: [{"event": "finished", "accuracy": 0.75, "log_loss": 0.4, "seconds": 99.0}],
    }
    return lines + end.get(status, [])


def record(run: Run, event: dict) -> None:
    run.record(TypeAdapter(Event).validate_python(event))


REPORT = {
    "vote": "mean",
    "best_epoch": 3,
    "seconds": 99.0,
    "valid": {
        "n_tracks": 4,
        "accuracy": 0.75,
        "accuracy_ci95": [0.3, 0.95],
        "log_loss": 0.4,
        "macro_f1": 0.73,
        "segment_accuracy": 0.6,
        "by_vote": {"mean": 0.75, "majority": 0.5},
        "per_genre": {
            "high": {"precision": 0.67, "recall": 1.0, "f1": 0.8, "n": 2},
            "low": {"precision": 1.0, "recall": 0.5, "f1": 0.67, "n": 2},
        },
        "confusion": {"genres": ["high", "low"], "matrix": [[2, 0], [1, 1]]},
        "failed": [],
    },
}


def panel_values(function, name=None, other="", remembered=None, *, new_name="", doomed="") -> dict:
    """The inputs of a handler of the panel."""
    values = {"run-chosen": name, "run-other": other, "run-doomed": doomed, "New name": new_name}
    return {
        block: remembered if block.elem_id == "run-shown" else values.get(block.elem_id or getattr(block, "label", ""))
        for block in function.inputs
    }


def arrive(app, name=None, other="", remembered=None, profile=None) -> dict:
    """What a page shows when it is opened or reloaded."""
    function = handler(app, "Train", "select")
    return named(function.fn(panel_values(function, name, other, remembered), profile))


def act(app, button: str, run: Run, profile=None, **inputs: str) -> dict:
    """Press a button of the panel for a run."""
    function = handler(app, button, "click")
    return named(function.fn(panel_values(function, run.name, **inputs), profile))


def words(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", html.replace("<wbr>", ""))).strip()
