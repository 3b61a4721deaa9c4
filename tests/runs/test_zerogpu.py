"""Training by turns, with the decorator that does nothing where no GPU is lent."""

from __future__ import annotations

import sys
import threading
import time
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_file

from genre_app.errors import RunError
from genre_app.runs import events, zerogpu
from genre_app.runs import executor as job
from genre_app.runs.request import Request
from genre_app.runs.run import Run
from genre_app.runs.status import Status
from tests.bands import write_bands

SETTINGS = (
    "epochs=6",
    "segments_per_track=4",
    "batch_size=8",
    "validate_every=2",
    "precision=float32",
    "spec.segment_seconds=2",
    "spec.segment_hop_seconds=1",
    "model_settings={channels = [4, 8], pools = [[4, 2], [4, 4]]}",
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return write_bands(tmp_path_factory.mktemp("data") / "bands")


@pytest.fixture(autouse=True)
def _zero(tmp_path, monkeypatch):
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    monkeypatch.setenv("GENRE_APP_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("GENRE_APP_LOCKS", str(tmp_path / "locks"))
    clear = zerogpu.turn.cache_clear
    clear()
    yield
    clear()


@pytest.fixture
def make_run(cache, tmp_path):
    def make(name: str, *settings: str) -> Run:
        request = Request(recipe="cnn", data=str(cache), settings=(*SETTINGS, *settings), columns="data", threads=1)
        return Run.create(tmp_path / "runs" / name, request)

    return make


def spaces(calls: list[int]) -> ModuleType:
    """The package that lends the GPU, as it is where there is none to lend."""
    module = ModuleType("spaces")

    def gpu(duration):
        calls.append(duration)
        return lambda function: function

    module.GPU = gpu
    return module


def wait(run: Run, *statuses: Status) -> None:
    for _ in range(2400):
        if run.status() in statuses and not zerogpu.is_going(run):
            return
        time.sleep(0.05)
    raise AssertionError(run.status())


def test_turns_give_the_weights_of_a_run_without_them(make_run, monkeypatch):
    calls: list[int] = []
    monkeypatch.setitem(sys.modules, "spaces", spaces(calls))
    whole, turns = make_run("whole"), make_run("turns")
    job.work(whole, say=lambda _: None)
    # A turn lasts three steps, whatever the machine: the deadline is looked at once a step.
    clock = iter(range(10**9))
    monkeypatch.setattr(job.time, "monotonic", lambda: float(next(clock)))
    paused = []
    while not zerogpu.turn()(str(turns.path), 40.0):
        assert turns.status() is Status.paused
        paused.append(turns.journal().events[-1].event)
    monkeypatch.undo()
    assert len(paused) >= 2
    assert calls == [115]
    assert turns.status() is Status.finished
    one, other = load_file(whole.best), load_file(turns.best)
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert turns.report()["valid"] == whole.report()["valid"]
    assert "paused" in turns.log_tail(1000)


def test_a_thread_goes_from_turn_to_turn_and_runs_wait_for_each_other(make_run, monkeypatch):
    monkeypatch.setitem(sys.modules, "spaces", None)  # not installed
    monkeypatch.setattr(zerogpu, "TURN_SECONDS", 0.3)
    turns = []
    monkeypatch.setattr(zerogpu, "turn", lambda: lambda path, seconds: turns.append(path) or zerogpu._turn(path, 0.3))
    first, second = make_run("first"), make_run("second", "epochs=2")
    zerogpu.begin(first)
    zerogpu.begin(second)
    with pytest.raises(RunError, match="running already"):
        zerogpu.begin(first)
    wait(first, Status.finished)
    wait(second, Status.finished)
    assert turns == sorted(turns)  # all of the first, then all of the second
    assert "queued" in [event.event for event in second.journal().events]
    with pytest.raises(RunError, match="has finished"):
        zerogpu.begin(first)


def test_a_run_is_stopped_between_turns_and_taken_up_again(make_run, monkeypatch):
    run = make_run("run")
    between = threading.Event()

    def turn(path, seconds):
        run.record(events.Paused())
        run.request_stop()
        between.set()
        return False

    monkeypatch.setattr(zerogpu, "turn", lambda: turn)
    zerogpu.begin(run)
    assert between.wait(5)
    wait(run, Status.stopped)
    assert not run.should_stop
    monkeypatch.setattr(zerogpu, "turn", lambda: zerogpu._turn)
    zerogpu.begin(run)
    wait(run, Status.finished)


def test_a_turn_that_fails_leaves_its_sentence(make_run, monkeypatch):
    def turn(path, seconds):
        raise RuntimeError("GPU quota exceeded")

    monkeypatch.setattr(zerogpu, "turn", lambda: turn)
    run = make_run("run")
    zerogpu.begin(run)
    wait(run, Status.failed)
    assert "GPU quota exceeded" in run.journal().events[-1].message
    assert "in turn\n" in run.log_tail()  # the traceback
