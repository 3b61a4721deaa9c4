"""Processes that are stopped, killed, queued, paused, or several."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch

from genre_app.checkpoint import load_checkpoint
from genre_app.errors import RunError
from genre_app.progress import QUIET
from genre_app.runs import events, queue
from genre_app.runs import executor as job
from genre_app.runs.launch import start
from genre_app.runs.queue import device_of
from genre_app.runs.run import Run, Status
from genre_app.training.processes import Processes, join
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
        lines = len(killed.journal().events) + moments.randint(1, 9)  # from before the data are open to a few epochs later
        wait_for(killed, lambda lines=lines: len(killed.journal().events) >= lines)
        time.sleep(moments.uniform(0.0, 0.05))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, "it ended before it was killed: make it longer"
        deaths += 1
        assert killed.status() is Status.died
        reached.add(len(killed.journal().epochs))
    assert len(reached) > 2, "the moments were no different"
    assert job.work(killed, say=quiet)
    assert same(weights(killed), weights(whole))
    assert killed.report()["valid"] == whole.report()["valid"]
    numbers = ("epoch", "train_loss", "valid_log_loss", "confusion", "best")
    assert [[getattr(e, n) for n in numbers] for e in killed.journal().epochs] == [
        [getattr(e, n) for n in numbers] for e in whole.journal().epochs
    ]


def test_a_process_of_its_own_stops_in_three_seconds_and_is_resumed(make_run):
    run, whole = make_run("own", "epochs=150", "keep='last'"), make_run("whole", "epochs=150", "keep='last'")
    start(run)
    with pytest.raises(RunError, match="running, so it cannot be renamed"):
        run.rename("other")
    with pytest.raises(RunError, match="running, so it cannot be deleted"):
        run.delete()
    wait_for(run, lambda: len(run.journal().epochs) >= 3)
    with pytest.raises(RunError, match="own is running already"):
        start(run)
    with pytest.raises(RunError, match="running already, in another process"):
        job.work(run, say=quiet)
    run.request_stop()
    asked = time.monotonic()
    wait_for(run, lambda: run.status() is Status.stopped)
    assert time.monotonic() - asked < 3.0
    assert len(run.journal().epochs) < 150
    assert load_checkpoint(run.best).provenance["recipe"] == "beat"
    assert not run.should_stop
    assert "resume with: genre-app train --resume" in run.log_tail()
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
    assert queue._locks_folder() == tmp_path / f"genre-app-{os.getuid()}"
    assert queue._locks_folder().is_dir()


def test_modules_of_the_working_folder_are_not_executed(make_run, tmp_path, monkeypatch):
    folder = tmp_path / "foreign"
    folder.mkdir()
    for name in ("train", "genre_app", "torch", "typer"):
        (folder / f"{name}.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\nraise SystemExit('foreign')\n")
    monkeypatch.chdir(folder)
    run = make_run("own", "epochs=1")
    start(run)
    wait_for(run, lambda: run.status() in (Status.finished, Status.failed, Status.died))
    assert run.status() is Status.finished, run.log_tail()
    assert not (tmp_path / "executed").exists()


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
    command = [
        "-m",
        "genre_app",
        "train",
        str(recipe),
        "--data",
        str(cache),
        "--out",
        str(out),
        "--threads",
        "1",
        "--set",
        "epochs=6",
    ]
    done = subprocess.run([*launch, *command], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr[-2000:]
    run = Run(out)
    assert run.status() is Status.finished
    assert run.journal().last(events.Started).processes == 2
    assert [epoch.epoch for epoch in run.journal().epochs] == list(range(1, 7))
    assert run.journal().epochs[-1].train_loss < run.journal().epochs[0].train_loss


@pytest.mark.parametrize(("n_gpus", "backend"), [(1, "gloo"), (2, None)])
def test_processes_that_share_a_gpu_talk_by_gloo_since_nccl_refuses_them(monkeypatch, n_gpus, backend):
    asked = []

    def accelerator(*, cpu, kwargs_handlers):
        asked.append((cpu, kwargs_handlers[0].to_kwargs().get("backend")))
        return SimpleNamespace(process_index=1, num_processes=2, device=torch.device("cuda", 1 % n_gpus))

    monkeypatch.setattr("accelerate.Accelerator", accelerator)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: n_gpus)
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "2")
    processes, device = join()
    assert asked == [(False, backend)]  # None: Accelerate's own choice, NCCL
    assert (processes.rank, processes.count, device) == (1, 2, torch.device("cuda", 1 % n_gpus))


def test_waiting_needs_nothing_but_a_sum():
    class Accelerator:
        device = torch.device("cpu")
        sums = 0

        def reduce(self, tensor, how):
            self.sums += 1
            return tensor

    accelerator = Accelerator()
    Processes(0, 2, accelerator).wait()
    assert accelerator.sums == 1
    Processes().wait()


def test_accelerate_launches_the_command():
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "1"]
    done = subprocess.run([*launch, "-m", "genre_app", "train", "--list"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("default ")
