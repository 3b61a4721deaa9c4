"""However a run ends, and whatever is asked or found wrong, a sentence is left."""

from __future__ import annotations

import errno
import json
import os

import psutil
import pytest
import torch

from genre_app.errors import DataError, RunError
from genre_app.runs import events
from genre_app.runs import executor as job
from genre_app.runs.failure import EXPECTED
from genre_app.runs.run import Run, checked_name
from genre_app.runs.status import Status
from tests.runs.beats import quiet, same, weights


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a recipe and --data"),
        (["default"], "name a recipe and --data"),
        (["default", "--resume", "x"], "--resume takes all settings from the run; leave the other arguments out"),
        (["--resume", "x", "--set", "epochs=9"], "leave the other arguments out"),
        (["--resume", "x", "--threads", "2"], "leave the other arguments out"),
        (["--resume", "/nowhere"], "/nowhere is not the folder of a run"),
        (["nothing", "--data", "x"], ", upc-crnn, or name a TOML file"),  # the last of all
        (["default", "--data", "/nowhere", "--out", "OUT"], "There is no /nowhere; give a folder"),
        (["default", "--data", "/no\x1b[31mwhere", "--out", "OUT"], "There is no /no?[31mwhere; give a folder"),
        (["default", "--data", "mus\udcefque", "--out", "OUT"], "A path of the command is not UTF-8"),
        (["default", "--data", ".", "--out", "/r\udcefn"], "/r\ufffdn is not UTF-8, so no run can be there"),
        (["default", "--data", "~no-such-user/x", "--out", "OUT"], "There is no ~no-such-user/x; give a folder"),
        (
            ["default", "--data", ".", "--set", "model_settings.depth=3", "--out", "OUT"],
            "model_settings: there is no field 'depth'",
        ),
        (["default", "--data", ".", "--init-from", "nothing", "--out", "OUT"], "checkpoint 'nothing' is neither"),
        (
            ["default", "--data", ".", "--set", "freeze=convolutions", "--out", "OUT"],
            "no checkpoint is named; name one with --init-from",
        ),
    ],
)
def test_wrong_commands_get_a_sentence(command, arguments, message, tmp_path):
    done = command(*(tmp_path / "out" if argument == "OUT" else argument for argument in arguments))
    assert done.exit_code in (1, 2)
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()  # the command with the right names can have it


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "The disk is full; free some space, then resume the run"),
        (torch.OutOfMemoryError("CUDA out of memory"), "too little memory"),
        (RuntimeError("CUDA error: device-side assert triggered\nmore"), "The GPU was lost or failed"),
        (DataError("x.wav is no audio."), "x.wav is no audio."),
        (KeyboardInterrupt(), "Interrupted"),
        (ZeroDivisionError("division by zero"), "failed unexpectedly (ZeroDivisionError: division by zero)"),
        (ValueError("of some library"), "failed unexpectedly (ValueError: of some library)"),
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
    message = run.journal().last(events.Failed).message
    assert words in message
    assert "\n" not in message
    assert isinstance(error, EXPECTED) != ("unexpectedly" in message or isinstance(error, RuntimeError | KeyboardInterrupt))
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


def test_a_folder_that_a_full_disk_left_empty_can_have_the_run(make_run, monkeypatch, tmp_path):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(RunError, match="cannot be created: No space left"):
            make_run("it")
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot be created"):
        make_run("../file/it")
    assert make_run("it").status() is Status.starting


def test_the_last_line_of_the_log_is_whole(make_run):
    run = make_run()
    line = "error: " + "x" * 1500
    run.log("epoch 1")
    run.log(line)
    assert run.log_tail(1) == line
    assert run.log_tail() == f"epoch 1\n{line}"


def test_a_journal_is_read_whatever_the_crash_left(make_run, monkeypatch):
    run = make_run()
    with (run.path / "journal.jsonl").open("a") as file:
        file.write('{"time": 1, "event": "process", "pid": 1, "pid_created": 0}\n{"time": 2, "event": "started", "epoch": 0}\n')
        for epoch in (1, 2, 3):
            file.write(json.dumps({"time": 3, "event": "epoch", "epoch": epoch, "train_loss": epoch}) + "\n")
        file.write('{"time": 2, "event": "started", "epoch": 1}\n{"time": 4, "event": "epoch", "epoch": 2, "train_loss": 20}\n')
        file.write('{"time": 5, "event": "epo')
    assert [(e.epoch, e.train_loss) for e in run.journal().epochs] == [(1, 1), (2, 20)]
    assert run.status() is Status.died
    me = psutil.Process()
    run.record(events.Process(pid=me.pid, pid_created=me.create_time()))
    assert run.status() is Status.starting
    run.record(events.Process(pid=me.pid, pid_created=me.create_time() - 100))  # the number was used again
    assert run.status() is Status.died
    run.record_process()
    assert run.status() is Status.starting
    boot = psutil.boot_time()
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: boot - 3600)  # somebody set the clock back
    assert run.status() is Status.starting
    run.record(events.Process(pid=me.pid, pid_created=me.create_time() - boot - 1))
    assert run.status() is Status.died


def test_a_run_that_ends_while_it_is_looked_at_has_not_died(make_run, monkeypatch):
    run = make_run()
    run.record(events.Process(pid=1, pid_created=0.0))

    def ends(*_):
        run.record(events.Stopped())
        return False

    monkeypatch.setattr("genre_app.runs.status.is_alive", ends)
    status, journal = run.look()
    assert status is Status.stopped
    assert journal.last(events.Stopped)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "a\\b", "-x", "x" * 65, "a..b", "nul\0", "ü", "aux", "NUL.x", "a."]
)
def test_names_that_are_no_folder_of_ours_are_refused(name):
    with pytest.raises(RunError, match="cannot name a run"):
        checked_name(name)


def test_a_run_folder_that_is_damaged_says_so(tmp_path):
    with pytest.raises(RunError, match="not the folder of a run"):
        Run.open(tmp_path)
    (tmp_path / "run.json").write_text('{"format_version": 2}')
    with pytest.raises(RunError, match="damaged or of another version"):
        Run.open(tmp_path)
