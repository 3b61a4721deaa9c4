"""Runs: their folders, their processes, and what is left of them however they end."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from safetensors.torch import load_file

from genre_app.checkpoint import load_checkpoint
from genre_app.data.mel_cache import DataError
from genre_app.evaluation import evaluate
from genre_app.features import COLUMN_FIELDS, FeatureSpec
from genre_app.training import job
from genre_app.training.folds import cross_validate
from genre_app.training.launch import device_of, start
from genre_app.training.runs import Request, Run, RunError, Status, checked_name, free_name, list_runs

RECIPE = """
# Tells two beats apart
epochs = 12
segments_per_track = 3
batch_size = 16
learning_rate = 0.01
average_decay = 0.9
validate_every = 2
model_settings = { channels = [8, 16], pools = [[4, 2], [4, 4]], dropout = 0.1 }
spec = { n_mels = 32, segment_seconds = 2.0, segment_hop_seconds = 1.0 }
augment = { mild_share = 0.5, mild = { noise_probability = 0.5, pitch_probability = 0.5 }, mixup_probability = 0.5 }
"""
SPEC = FeatureSpec(n_mels=32)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Two genres told apart by their beat: every 4 frames against every 6."""
    folder = tmp_path_factory.mktemp("data") / "beats"
    folder.mkdir()
    rng = np.random.default_rng(0)
    (folder / "spec.json").write_text(json.dumps({"kind": "log_mel"} | {name: getattr(SPEC, name) for name in COLUMN_FIELDS}))
    rows, columns = ["track_id,genre,split,offset,n_frames"], []
    for i in range(40):
        rows.append(f"t{i:02},{['four', 'six'][i % 2]},{'valid' if i >= 28 else 'train'},{i * 120},120")
        beat = -3.0 * ((np.arange(120) + rng.integers(12)) % (4, 6)[i % 2])
        columns.append(rng.normal(-40, 8, 32)[None, :] + beat[:, None] + rng.normal(0, 1.5, (120, 32)))
    (folder / "index.csv").write_text("\n".join(rows))
    np.save(folder / "log_mel.npy", np.concatenate(columns).astype(np.float16))
    return folder


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipes") / "beat.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(autouse=True)
def _own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("GENRE_APP_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("GENRE_APP_LOCKS", str(tmp_path / "locks"))
    monkeypatch.setattr(job, "prepare_process", lambda threads: None)  # the thread count is the whole process's


@pytest.fixture
def make_run(cache, recipe, tmp_path):
    def make(name="beat-1", *settings, **fields):
        request = Request(recipe=str(recipe), data=str(cache), settings=settings, threads=1, **fields)
        return Run.create(tmp_path / "runs" / name, request)

    return make


def quiet(_text):
    pass


def weights(run):
    return {key: value for key, value in load_file(run.best).items() if key.startswith("model.")}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_a_run_leaves_a_checkpoint_a_report_and_a_card_that_agree_with_evaluate(make_run, cache, tmp_path):
    run = make_run()
    assert run.status() is Status.starting
    assert job.work(run, say=quiet)
    assert run.status() is Status.finished
    checkpoint = load_checkpoint(run.best)
    report = evaluate(cache, checkpoint, split="valid")
    assert report.accuracy > 0.9
    assert checkpoint.metrics["valid"] == json.loads(json.dumps(report.to_dict())) == run.report()["valid"]
    assert len(checkpoint.references.labels) == checkpoint.provenance["n_train"] == 28
    assert [event["epoch"] for event in run.epochs()] == list(range(1, 13))
    best = min((event for event in run.epochs() if event["valid_log_loss"]), key=lambda event: event["valid_log_loss"])
    assert (best["best"], best["epoch"]) == (True, run.report()["best_epoch"])
    assert np.sum(best["confusion"]) == 12
    started = next(event for event in run.journal() if event["event"] == "started")
    assert started["tracks"] == {"train": 28, "valid": 12, "test": 0}
    assert started["parameters"] == sum(p.numel() for p in checkpoint.model.parameters())
    card = (run.path / "card.md").read_text()
    low, high = report.accuracy_interval
    assert f"| 12 | {report.accuracy:.1%} | {low:.1%} to {high:.1%} | {report.log_loss:.3f} |" in card
    assert "GTZAN" not in card
    assert str(tmp_path) not in card
    assert str(tmp_path) not in json.dumps(checkpoint.provenance)


def test_cross_validation_judges_each_track_once_and_goes_into_the_card(make_run):
    run = make_run()
    job.work(run, say=quiet)
    summary = cross_validate(run.description().request, 4, run.path, say=quiet)
    assert summary["n_tracks"] == 40
    assert summary["accuracy"] > 0.9
    assert "4 folds" in (run.path / "card.md").read_text()


def _work(path):
    torch.set_num_threads(1)
    job.prepare_process = lambda threads: None
    job.work(Run(path), say=quiet)


def test_ten_sigkills_at_random_moments_change_no_bit(make_run):
    settings = ("epochs=60", "validate_every=1")
    whole, killed = make_run("whole", *settings), make_run("killed", *settings)
    job.work(whole, say=quiet)
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["genre_app.training.job"])
    moments = random.Random(0)
    reached, deaths = set(), 0
    while deaths < 10:
        process = server.Process(target=_work, args=(killed.path,))
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


def test_the_same_seed_gives_the_same_file_to_the_bit(make_run):
    runs = [make_run(name, "epochs=3", seed=seed) for name, seed in (("a", 5), ("b", 5), ("c", 6))]
    for run in runs:
        job.work(run, say=quiet)
    assert same(weights(runs[0]), weights(runs[1]))
    assert not same(weights(runs[0]), weights(runs[2]))


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
    assert "go on with: python -m train --resume" in run.log_tail()
    assert job.work(run, say=quiet)
    job.work(whole, say=quiet)
    assert same(weights(run), weights(whole))
    with pytest.raises(RunError, match="has finished"):
        start(run)


def wait_for(run, condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, (run.status(), run.journal()[-3:], run.log_tail())
        time.sleep(0.005)


def test_the_command_is_the_one_that_is_shown(make_run, cache, recipe, tmp_path):
    out = tmp_path / "elsewhere" / "run"
    request = Request(recipe=str(recipe), data=str(cache), settings=("epochs=2",), seed=3, threads=1)
    shown = request.command(str(out)).split()
    assert shown[:3] == ["python", "-m", "train"]
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, *shown[1:]], cwd=root, capture_output=True, text=True, check=True)
    assert "epoch    2" in done.stdout
    assert Run(out).status() is Status.finished
    assert Run(out).description().request == request
    again = subprocess.run([sys.executable, *shown[1:]], cwd=root, capture_output=True, text=True)
    assert (again.returncode, again.stderr) == (
        1,
        f"error: {out} is not empty; name another --out, or go on with it by --resume.\n",
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a recipe and --data"),
        (["default"], "name a recipe and --data"),
        (["default", "--resume", "x"], "--resume takes the recipe, the data and the folder from the run"),
        (["--resume", "/nowhere"], "/nowhere is not the folder of a run"),
        (["nothing", "--data", "x"], "there is no recipe 'nothing'; choose one of: default,"),
        (["default", "--data", "/nowhere", "--out", "OUT"], "/nowhere"),
    ],
)
def test_wrong_commands_get_a_sentence(arguments, message, tmp_path):
    arguments = [str(tmp_path / "out") if argument == "OUT" else argument for argument in arguments]
    done = subprocess.run([sys.executable, "-m", "train", *arguments], capture_output=True, text=True)
    assert done.returncode in (1, 2)
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "The disk is full; make room, then resume the run"),
        (torch.OutOfMemoryError("CUDA out of memory"), "too little memory"),
        (RuntimeError("CUDA error: device-side assert triggered\nmore"), "The GPU was lost or failed"),
        (DataError("x.wav is no audio."), "x.wav is no audio."),
        (KeyboardInterrupt(), "Interrupted"),
        (ZeroDivisionError("division by zero"), "failed unexpectedly (ZeroDivisionError: division by zero)"),
    ],
)
def test_whatever_ends_a_run_is_said_in_a_sentence_and_can_be_resumed(make_run, monkeypatch, error, words):
    run, whole = make_run("broken", "epochs=4"), make_run("whole", "epochs=4")
    tell = job._Job.end_epoch

    def fail(self, result, *rest):
        if result.epoch == 3:
            raise error
        tell(self, result, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(job._Job, "end_epoch", fail)
        with pytest.raises(type(error)):
            job.work(run, say=quiet)
    assert run.status() is Status.failed
    last = run.journal()[-1]
    assert words in last["message"]
    assert "\n" not in last["message"]
    job.work(run, say=quiet)
    job.work(whole, say=quiet)
    assert same(weights(run), weights(whole))


def test_a_disk_that_fills_up_leaves_the_last_state_and_a_word(make_run, monkeypatch):
    run = make_run("full", "epochs=4")
    written = os.fsync
    calls = []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) > 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        written(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            job.work(run, say=quiet)
    assert run.status() is Status.failed
    assert not list(run.path.glob(".*.tmp"))
    assert not (run.path / "reserve").exists()
    assert job.work(run, say=quiet)


def test_one_run_at_a_time_has_a_device_and_the_others_queue(make_run):
    first, second, third = (make_run(name, "epochs=2") for name in ("first", "second", "third"))
    device = torch.device("cpu")
    with device_of(first, device, lambda: False):
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
    done = subprocess.run([*launch, *command], capture_output=True, text=True, cwd=Path(__file__).parent.parent)
    assert done.returncode == 0, done.stderr[-2000:]
    run = Run(out)
    assert run.status() is Status.finished
    assert next(event for event in run.journal() if event["event"] == "started")["processes"] == 2
    assert [event["epoch"] for event in run.epochs()] == list(range(1, 7))
    assert run.epochs()[-1]["train_loss"] < run.epochs()[0]["train_loss"]


def test_a_journal_is_read_whatever_the_crash_left(make_run):
    run = make_run()
    with (run.path / "journal.jsonl").open("a") as file:
        file.write('{"time": 1, "event": "process", "pid": 1, "pid_created": 0}\n{"time": 2, "event": "started", "epoch": 0}\n')
        for epoch in (1, 2, 3):
            file.write(json.dumps({"time": 3, "event": "epoch", "epoch": epoch, "train_loss": epoch}) + "\n")
        file.write('{"time": 2, "event": "started", "epoch": 1}\n{"time": 4, "event": "epoch", "epoch": 2, "train_loss": 20}\n')
        file.write('{"time": 5, "event": "epo')
    assert [(e["epoch"], e["train_loss"]) for e in run.epochs()] == [(1, 1), (2, 20)]
    assert run.status() is Status.died
    me = psutil.Process()
    run.record("process", pid=me.pid, pid_created=me.create_time())
    assert run.status() is Status.starting
    run.record("process", pid=me.pid, pid_created=me.create_time() - 100)  # the number was used again
    assert run.status() is Status.died


def test_runs_are_listed_renamed_and_deleted(make_run, tmp_path):
    one, two = make_run("one"), make_run("two")
    for run in (one, two):
        run.record("stopped")
    (tmp_path / "runs" / "broken").mkdir()
    (tmp_path / "runs" / "broken" / "run.json").write_text("{")
    folder = tmp_path / "runs"
    assert {run.name for run in list_runs(folder)} == {"one", "two"}
    assert free_name("two", folder) == "two-1"
    with pytest.raises(RunError, match="There is a run 'two' already"):
        one.rename("two")
    renamed = one.rename("uno")
    two.delete()
    assert [run.name for run in list_runs(folder)] == ["uno"]
    assert renamed.description().request.threads == 1
    assert not list(folder.glob(".two*"))


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a\\b", "-x", "x" * 65, "a..b", "nul\0", "ü"])
def test_names_that_are_no_folder_of_ours_are_refused(name):
    with pytest.raises(RunError, match="cannot name a run"):
        checked_name(name)


def test_a_run_folder_that_is_damaged_says_so(tmp_path):
    with pytest.raises(RunError, match="not the folder of a run"):
        Run.open(tmp_path)
    (tmp_path / "run.json").write_text('{"format_version": 2}')
    with pytest.raises(RunError, match="damaged or of another version"):
        Run.open(tmp_path)
