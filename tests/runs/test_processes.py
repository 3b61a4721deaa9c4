"""Processes that are stopped, killed, queued, paused, or several."""

from __future__ import annotations

import multiprocessing
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

from genre_app.checkpoint import load_checkpoint
from genre_app.errors import RunError
from genre_app.progress import QUIET
from genre_app.runs import executor as job
from genre_app.runs import launch
from genre_app.runs.launch import device_of, start
from genre_app.runs.run import Run, Status, list_runs
from tests.runs.beats import quiet, same, wait_for, weights, work_alone


def test_ten_sigkills_at_random_moments_change_no_bit(make_run):
    settings = ("epochs=60", "validate_every=1")
    whole, killed = make_run("whole", *settings), make_run("killed", *settings)
    job.work(whole, say=quiet)
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["genre_app.runs.executor"])
    moments = random.Random(0)
    reached, deaths = set(), 0
    while deaths < 10:
        process = server.Process(target=work_alone, args=(killed.path,))
        process.start()
        lines = len(killed.journal()) + moments.randint(1, 9)  # from before the data are open to a few epochs later
        wait_for(killed, lambda lines=lines: len(killed.journal()) >= lines)
        time.sleep(moments.uniform(0.0, 0.05))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, "it ended before it was killed: make it longer"
        deaths += 1
        assert killed.status() is Status.died
        reached.add(len(killed.epochs()))
    assert len(reached) > 2, "the moments were no different"
    assert job.work(killed, say=quiet)
    assert same(weights(killed), weights(whole))
    assert killed.report()["valid"] == whole.report()["valid"]
    numbers = ("epoch", "train_loss", "valid_log_loss", "confusion", "best")
    assert [[e[n] for n in numbers] for e in killed.epochs()] == [[e[n] for n in numbers] for e in whole.epochs()]


def test_a_process_of_its_own_stops_in_three_seconds_and_is_resumed(make_run):
    run, whole = make_run("own", "epochs=150", "keep='last'"), make_run("whole", "epochs=150", "keep='last'")
    start(run)
    with pytest.raises(RunError, match="at work, so it cannot be renamed"):
        run.rename("other")
    with pytest.raises(RunError, match="at work, so it cannot be deleted"):
        run.delete()
    wait_for(run, lambda: len(run.epochs()) >= 3)
    with pytest.raises(RunError, match="own is at work already"):
        start(run)
    with pytest.raises(RunError, match="at work already, in another process"):
        job.work(run, say=quiet)
    run.request_stop()
    asked = time.monotonic()
    wait_for(run, lambda: run.status() is Status.stopped)
    assert time.monotonic() - asked < 3.0
    assert len(run.epochs()) < 150
    assert load_checkpoint(run.best).provenance["recipe"] == "beat"
    assert not run.should_stop
    assert "go on with: genre-app train --resume" in run.log_tail()
    assert job.work(run, say=quiet)
    job.work(whole, say=quiet)
    assert same(weights(run), weights(whole))
    with pytest.raises(RunError, match="has finished"):
        start(run)


def test_a_run_tells_of_itself_at_once_and_outlives_whoever_listens(recipe, cache, tmp_path, monkeypatch):
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    out = tmp_path / "run"
    command = [sys.executable, "-m", "train", str(recipe), "--data", str(cache), "--out", str(out), "--threads", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert b"plit" in process.stdout.readline()
        assert Run(out).status().is_active
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
    assert Run(out).status() is Status.finished


def test_a_stop_while_the_process_is_starting_is_not_forgotten(make_run):
    run = make_run("hasty", "epochs=150")
    start(run)
    assert run.status() is Status.starting
    run.request_stop()
    wait_for(run, lambda: run.status() is Status.stopped)
    assert len(run.epochs()) < 150
    assert not run.should_stop


def test_a_stop_that_was_left_over_by_a_dead_process_does_not_end_the_next(make_run):
    run = make_run("left", "epochs=2")
    run.record("stopped")
    run.request_stop()
    command = [sys.executable, "-m", "train", "--resume", str(run.path)]
    subprocess.run(command, cwd=Path(__file__).parents[2], check=True, capture_output=True)
    assert run.status() is Status.finished


def test_a_queue_survives_a_run_that_is_deleted_and_other_devices(make_run, tmp_path, monkeypatch):
    gone, other, first, run = (make_run(name) for name in ("gone", "other", "first", "run"))
    me = psutil.Process()
    for queued, device in ((other, "cuda-0"), (first, "cpu")):
        queued.record("process", pid=me.pid, pid_created=me.create_time())
        queued.record("queued", device=device)
    listed = list_runs(tmp_path / "runs")
    gone.record("stopped")
    gone.delete()
    monkeypatch.setattr(launch, "list_runs", lambda folder: listed)
    assert [before.name for before in launch._queued_before(run, "cpu")] == ["first"]
    assert [before.name for before in launch._queued_before(run, "cuda-0")] == ["other"]


def test_one_run_at_a_time_has_a_device_and_the_others_queue(make_run):
    first, second, third = (make_run(name, "epochs=2") for name in ("first", "second", "third"))
    device = torch.device("cpu")
    with device_of(first, device, QUIET):
        start(second)
        wait_for(second, lambda: second.status() is Status.queued)
        start(third)
        wait_for(third, lambda: third.status() is Status.queued)
        time.sleep(1.2)
        assert second.status() is Status.queued
        third.request_stop()
        wait_for(third, lambda: third.status() is Status.stopped)
    wait_for(second, lambda: second.status() is Status.finished)


def test_a_run_is_paused_at_a_deadline_and_goes_on_to_the_same_weights(make_run):
    sliced, whole = make_run("sliced", "epochs=60"), make_run("whole", "epochs=60")
    slices = 1
    while not job.work(sliced, say=quiet, deadline=time.monotonic() + 0.4):
        assert sliced.status() is Status.paused
        slices += 1
    assert slices > 1
    job.work(whole, say=quiet)
    assert same(weights(sliced), weights(whole))


def test_two_processes_train_one_network(make_run, tmp_path, cache, recipe):
    out = tmp_path / "together"
    # What `accelerate launch` starts where there are several GPUs; for processors it wants MPI.
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = ["-m", "train", str(recipe), "--data", str(cache), "--out", str(out), "--threads", "1", "--set", "epochs=6"]
    done = subprocess.run([*launch, *command], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr[-2000:]
    run = Run(out)
    assert run.status() is Status.finished
    assert next(event for event in run.journal() if event["event"] == "started")["processes"] == 2
    assert [event["epoch"] for event in run.epochs()] == list(range(1, 7))
    assert run.epochs()[-1]["train_loss"] < run.epochs()[0]["train_loss"]
