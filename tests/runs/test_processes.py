"""Runs in processes of their own: one as the page starts it, one in a pipe, and several that train together.

These processes lower their priority, so beside busy tests each epoch takes long: there are as few as the test allows.
"""

from __future__ import annotations

import os
import socket
import sys
from types import SimpleNamespace

import pytest
import torch

from genre_app.checkpoint import load_checkpoint
from genre_app.errors import RunError
from genre_app.runs import events
from genre_app.runs import executor as job
from genre_app.runs.launch import start
from genre_app.runs.run import Run
from genre_app.runs.status import Status
from genre_app.training.processes import Processes, join
from tests.forked import Forked, Launcher
from tests.runs.beats import quiet, same, wait_for, weights


@pytest.fixture
def _foreign_folder(tmp_path, monkeypatch):
    """Work in a folder with modules named like ours; none of them may be executed."""
    folder = tmp_path / "foreign"
    folder.mkdir()
    for name in ("train", "genre_app", "torch", "typer"):
        (folder / f"{name}.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\nraise SystemExit('foreign')\n")
    monkeypatch.chdir(folder)
    yield
    assert not (tmp_path / "executed").exists()


@pytest.mark.usefixtures("_foreign_folder")
def test_a_process_of_its_own_stops_within_an_epoch_and_is_resumed(make_run):
    settings = ("epochs=30", "keep='last'")
    run, whole = make_run("own", *settings), make_run("whole", *settings)
    start(run)
    with pytest.raises(RunError, match="running, so it cannot be renamed"):
        run.rename("other")
    with pytest.raises(RunError, match="running, so it cannot be deleted"):
        run.delete()
    wait_for(run, lambda: len(run.journal().epochs) >= 2)
    with pytest.raises(RunError, match="own is running already"):
        start(run)
    with pytest.raises(RunError, match="running already, in another process"):
        job.work(run, say=quiet)
    run.request_stop()
    reached = len(run.journal().epochs)
    wait_for(run, lambda: run.status() is Status.stopped)
    # Counted in epochs, for its priority is low: on a busy machine seconds would say nothing.
    assert len(run.journal().epochs) <= reached + 1 < 30, "it must look at the request once a step"
    assert load_checkpoint(run.best).provenance["recipe"] == "beat"
    assert not run.should_stop
    assert "resume with: genre-app train --resume" in run.log_tail()
    assert job.work(run, say=quiet)
    job.work(whole, say=quiet)
    assert same(weights(run), weights(whole))
    with pytest.raises(RunError, match="has finished"):
        start(run)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a named pipe")
def test_a_run_tells_of_itself_at_once_and_outlives_whoever_listens(recipe, cache, tmp_path, monkeypatch):
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    out = tmp_path / "run"
    words = [str(recipe), "--data", str(cache), "--out", str(out), "--threads", "1", "--set", "epochs=1"]
    pipe, errors = tmp_path / "pipe", tmp_path / "errors"
    os.mkfifo(pipe)
    process = Forked(
        [sys.executable, "-m", "train", *words],
        stdout=SimpleNamespace(name=str(pipe)),
        stderr=SimpleNamespace(name=str(errors)),
    )
    with pipe.open("rb") as listener:
        assert b"plit" in listener.readline()
        assert Run(out).status().is_active
    assert process.wait(180) == 0
    assert errors.read_bytes() == b""
    assert Run(out).status() is Status.finished


def test_two_processes_train_one_network(recipe, cache, tmp_path):
    """The processes are forks with the variables that a launcher sets; tests/bench/test_gpu.py starts them by a launcher."""
    out = tmp_path / "together"
    words = [str(recipe), "--data", str(cache), "--out", str(out), "--threads", "1", "--set", "epochs=4"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {**os.environ, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    with (tmp_path / "log.txt").open("ab") as log:
        both = [
            Forked(
                [sys.executable, "-m", "genre_app", "train", *words],
                stdout=log,
                env=common | {"RANK": rank, "LOCAL_RANK": rank},
            )
            for rank in ("0", "1")
        ]
        assert [process.wait(180) for process in both] == [0, 0], (tmp_path / "log.txt").read_text()[-2000:]
    run = Run(out)
    assert run.status() is Status.finished
    assert run.journal().last(events.Started).processes == 2
    assert [epoch.epoch for epoch in run.journal().epochs] == list(range(1, 5))
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


def test_accelerate_launches_the_command(tmp_path):
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "1"]
    with (tmp_path / "log.txt").open("w") as log:
        assert Launcher([*launch, "-m", "genre_app", "train", "--list"], stdout=log).wait(180) == 0
    assert "\ndefault " in f"\n{(tmp_path / 'log.txt').read_text()}"
