"""Runs that wait for a device, and requests to stop that come early."""

from __future__ import annotations

import os
import time

import psutil
import pytest
import torch

from genre_app.progress import QUIET
from genre_app.runs import events, launch, queue
from genre_app.runs.launch import start
from genre_app.runs.queue import device_of
from genre_app.runs.status import Status
from tests.forked import starting
from tests.runs.beats import wait_for


@pytest.fixture
def _forks(monkeypatch):
    """Fork the processes of runs: that Python starts as it should is shown in test_processes.py."""
    monkeypatch.setattr(launch, "child", starting())


@pytest.mark.usefixtures("_forks")
def test_one_run_at_a_time_has_a_device_and_the_others_queue(make_run):
    first, second, third = (make_run(name, "epochs=2") for name in ("first", "second", "third"))
    device = torch.device("cpu")
    with device_of(first, device, QUIET, print):
        start(second)
        wait_for(second, lambda: second.status() is Status.queued)
        start(third)
        wait_for(third, lambda: third.status() is Status.queued)
        time.sleep(1.2)
        assert "waiting for another run, which trains on this machine's CPU" in (second.path / "log.txt").read_text()
        assert second.status() is Status.queued
        third.request_stop()
        wait_for(third, lambda: third.status() is Status.stopped)
    wait_for(second, lambda: second.status() is Status.finished)


@pytest.mark.usefixtures("_forks")
def test_a_stop_while_the_process_is_starting_is_not_forgotten(make_run):
    run = make_run("hasty", "epochs=150")
    start(run)
    assert run.status() in (Status.starting, Status.preparing)
    run.request_stop()
    wait_for(run, lambda: run.status() is Status.stopped)
    assert len(run.journal().epochs) < 150
    assert not run.should_stop


def test_a_stop_that_was_left_over_by_a_dead_process_does_not_end_the_next(make_run, command):
    run = make_run("left", "epochs=2")
    run.record(events.Stopped())
    run.request_stop()
    command("--resume", run.path)
    assert run.status() is Status.finished


def test_a_queue_survives_a_run_that_is_deleted_and_other_devices(make_run, tmp_path, monkeypatch):
    gone, other, first, run = (make_run(name) for name in ("gone", "other", "first", "run"))
    me = psutil.Process()
    for queued, device in ((other, "cuda-0"), (first, "cpu")):
        queued.record(events.Process(pid=me.pid, pid_created=me.create_time()))
        queued.record(events.Queued(device=device))
    listed = [gone, other, run]
    gone.record(events.Stopped())
    gone.delete()
    monkeypatch.setattr(queue, "list_runs", lambda folder: listed)
    assert queue._is_queued_before(run, "cuda-0", None)
    assert not queue._is_queued_before(run, "cpu", None)
    listed.append(first)
    assert queue._is_queued_before(run, "cpu", None)


def test_runs_queue_in_the_order_in_which_they_were_queued(make_run):
    old, new = make_run("old"), make_run("new")
    me = psutil.Process()
    for run, at in ((new, 100.0), (old, 200.0)):  # the older run was resumed after the newer one was queued
        run.record(events.Process(pid=me.pid, pid_created=me.create_time()))
        run.record(events.Queued(device="cpu", time=at))
    assert queue._is_queued_before(old, "cpu", old.journal().last(events.Queued))
    assert not queue._is_queued_before(new, "cpu", new.journal().last(events.Queued))


def test_a_user_without_a_name_has_locks(tmp_path, monkeypatch):
    monkeypatch.delenv("GENRE_APP_LOCKS")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def no_name():
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr("getpass.getuser", no_name)
    assert queue._locks_folder() == tmp_path / f"genre-app-locks-{os.getuid()}"
    assert queue._locks_folder().is_dir()
