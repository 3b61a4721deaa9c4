"""The results of each epoch in TensorBoard and trackio."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from genre_app.errors import RunError
from genre_app.runs import executor as job
from genre_app.runs import tracking
from genre_app.runs.run import Run
from genre_app.runs.watched import WatchedRun
from tests.runs.beats import quiet


class Writer:
    """Stands for `torch.utils.tensorboard.SummaryWriter`."""

    def __init__(self, folder: str) -> None:
        self.folder, self.scalars, self.closed = folder, [], False

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.closed = True

    def add_scalar(self, title: str, value: float, step: int) -> None:
        self.scalars.append((title, value, step))

    def flush(self) -> None:
        pass


@pytest.fixture
def trackers(monkeypatch):
    """Both packages, as far as they are used."""
    made = SimpleNamespace(boards=[], tracked=[])

    def board(folder):
        made.boards.append(Writer(folder))
        return made.boards[-1]

    def init(**arguments):
        logged: list[tuple[dict, int]] = []
        run = SimpleNamespace(
            arguments=arguments, logged=logged, ended=False, log=lambda numbers, step: logged.append((numbers, step))
        )
        run.finish = lambda: setattr(run, "ended", True)
        made.tracked.append(run)
        return run

    for name, content in (("torch.utils.tensorboard", {"SummaryWriter": board}), ("trackio", {"init": init})):
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(tracking, "find_spec", lambda name: object())
    return made


def test_each_epoch_reaches_both_trackers(make_run, trackers):
    run = make_run("beat-1", "epochs=3", "validate_every=2")
    with tracking.tracking(run, ("tensorboard", "trackio")) as write:
        job.work(WatchedRun(run.path, write), say=quiet)
    (board,), (tracked,) = trackers.boards, trackers.tracked
    epochs = run.journal().epochs
    assert board.folder == str(run.path / "tensorboard")
    assert board.closed
    losses = [(value, step) for title, value, step in board.scalars if title == "loss/training"]
    assert losses == [(epoch.train_loss, epoch.epoch) for epoch in epochs]
    assert [step for title, _, step in board.scalars if title == "accuracy/validation"] == [2, 3]
    assert tracked.arguments["name"] == "beat-1"
    assert tracked.arguments["config"]["epochs"] == 3
    assert [step for _, step in tracked.logged] == [1, 2, 3]
    assert tracked.logged[-1][0]["loss/validation"] == epochs[-1].valid_log_loss
    assert tracked.ended


def test_the_command_tracks_and_a_resumed_run_goes_on(command, cache, recipe, tmp_path, trackers):
    out = tmp_path / "run"
    words = [recipe, "--data", cache, "--threads", 1, "--out", out, "--set", "epochs=1"]
    done = command(*words, "--log", "tensorboard")
    assert done.exit_code == 0, done.output
    assert len(trackers.boards) == 1
    request = Run.open(out).description().request
    assert request.log == ("tensorboard",)
    assert "--log tensorboard" in request.command()
    assert "--log" not in request.command(data="DATA")


def test_a_missing_tracker_is_named_before_the_folder_is_made(command, cache, recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    with pytest.raises(RunError, match=r"^--log trackio needs the package trackio; install it with: pip install"):
        tracking.check_trackers(("trackio",))
    out = tmp_path / "run"
    refused = command(recipe, "--data", cache, "--out", out, "--log", "trackio")
    assert refused.exit_code == 1
    assert "pip install 'genre-app[trackio]'" in refused.output + refused.stderr
    assert not out.exists()
    assert command(recipe, "--data", cache, "--log", "wandb").exit_code == 2
