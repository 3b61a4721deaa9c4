"""A search over two genres told apart by their beat: its trials, its results, and interruptions."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import time

import numpy as np
import optuna
import psutil
import pytest
from optuna.distributions import FloatDistribution, IntDistribution

from genre_app.checkpoint import load_checkpoint
from genre_app.errors import GenreAppError, RunError
from genre_app.runs import executor as job
from genre_app.runs.request import Request
from genre_app.runs.run import Run, Status, list_runs
from genre_app.runs.search import loop
from genre_app.runs.search.results import read
from genre_app.runs.search.search import Search, SearchFolder
from genre_app.runs.search.study import importance
from tests import forked
from tests.runs.beats import quiet, work_search_alone

SPACE = {
    "search.learning_rate": {"low": 1e-5, "high": 3e-2, "log": True},
    "search.model_settings.channels": [[4, 8], [8, 16]],
}


@pytest.fixture
def make_search(cache, recipe, tmp_path):
    def make(name="search", trials=6, *, settings=None, folds=0, sampler="random", prune=True) -> SearchFolder:
        settings = {"epochs": 4, "validate_every": 1, **SPACE, **(settings or {})}
        request = Request(recipe=str(recipe), data=str(cache), settings=settings, threads=1)
        search = Search.of(request, trials, folds, sampler, prune=prune)
        return SearchFolder.create(tmp_path / "runs" / name, search)

    return make


def rows(folder: SearchFolder) -> list[dict[str, str]]:
    """The table without the times, which no two searches share."""
    with (folder.path / "search.csv").open(newline="") as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def test_a_search_sorts_its_trials_which_are_ordinary_runs(make_search, command):
    folder = make_search(prune=False)
    lines: list[str] = []
    assert loop.run_search(folder, say=lines.append)
    results = read(folder.path)
    assert [row.state for row in results.rows] == ["done"] * 6
    losses = [row.log_loss for row in results.rows]
    assert losses == sorted(losses)
    assert losses[0] < 0.5 < losses[-1], "a learning rate of 1e-5 learns nothing in 4 epochs"
    assert max(results.importance, key=results.importance.get) == "learning_rate"
    assert sum(results.importance.values()) == pytest.approx(1)
    table = rows(folder)
    assert [int(row["trial"]) for row in table] == [row.number for row in results.rows]
    assert float(table[0]["learning_rate"]) == results.best.settings["learning_rate"]
    assert results.to_table().splitlines()[1].split()[:2] == [str(results.best.number), f"{losses[0]:.4f}"]
    assert results.importance_bars().splitlines()[0].startswith("learning_rate")
    # A trial is a run: with its settings, its report and its checkpoint.
    run = Run.open(folder.trial(results.best.number).path)
    assert run.status() is Status.finished
    assert run.report()["valid"]["log_loss"] == pytest.approx(losses[0])
    assert run.description().config.learning_rate == results.best.settings["learning_rate"]
    assert load_checkpoint(run.best).genres == ("four", "six")
    assert "epoch    4" in run.log_tail()
    assert list_runs() == [], "trials do not fill the list of runs"
    assert sum(f"trial {number} of 6: learning_rate=" in line for number, line in enumerate(lines, 1)) >= 1


def test_the_field_that_explains_the_log_loss_is_important():
    study = optuna.create_study()
    spaces = {"learning_rate": FloatDistribution(1e-5, 3e-2, log=True), "batch_size": IntDistribution(8, 64)}
    rng = np.random.default_rng(0)
    for _ in range(40):
        settings = {"learning_rate": float(10 ** rng.uniform(-5, -1.6)), "batch_size": int(rng.integers(8, 65))}
        loss = abs(np.log10(settings["learning_rate"]) + 3)
        study.add_trial(optuna.trial.create_trial(params=settings, distributions=spaces, value=loss))
    found = importance(study, study.trials)
    assert found["learning_rate"] > 0.8
    assert sum(found.values()) == pytest.approx(1)
    assert importance(study, study.trials[:3]) == {}


def test_weak_trials_are_pruned(make_search):
    folder = make_search(trials=8, sampler="tpe")
    assert loop.run_search(folder, say=quiet)
    states = [row["state"] for row in rows(folder)]
    assert states == sorted(states)
    assert "pruned" in states, "one of the last three trials is worse than half of those before"
    pruned = next(row for row in rows(folder) if row["state"] == "pruned")
    run = folder.trial(int(pruned["trial"]))
    assert run.status() is Status.stopped
    assert len(run.journal().epochs) < 4
    assert int(pruned["trial"]) > 5
    assert not [file for file in psutil.Process().open_files() if file.path.endswith("study.db")]


def test_kills_at_random_moments_change_no_result(make_search):
    whole, killed = make_search("whole", 5), make_search("killed", 5)
    assert loop.run_search(whole, say=quiet)
    moments = random.Random(1)
    deaths = 0
    while deaths < 3:
        process = forked.server.Process(target=work_search_alone, args=(killed.path,))
        process.start()
        n_lines = _lines(killed) + moments.randint(1, 10)
        deadline = time.monotonic() + 60
        while _lines(killed) < n_lines and process.is_alive() and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(moments.uniform(0.0, 0.1))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, "it ended before it was killed: give it more trials"
        deaths += 1
    assert loop.run_search(killed, say=quiet)
    assert rows(killed) == rows(whole)
    assert not killed.should_stop


def _lines(folder: SearchFolder) -> int:
    """Number of lines in the journals of all trials."""
    return sum(len(path.read_bytes().splitlines()) for path in folder.path.glob("trial-*/journal.jsonl"))


def test_folds_are_averaged_and_a_stopped_search_continues(make_search):
    folder = make_search(trials=2, folds=3, settings={"epochs": 3, "fit_temperature": True})
    whole = make_search("whole", trials=2, folds=3, settings={"epochs": 3, "fit_temperature": True})

    def stop_in_second_fold(trial, number):
        log = folder.trial(1).path / "log.txt"
        return log.exists() and "fold 1 of 3" in log.read_text()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SearchFolder, "should_stop", property(lambda self: stop_in_second_fold(self, 1)))
        assert not loop.run_search(folder, say=quiet)
    assert read(folder.path) is None
    assert len(list(folder.trial(1).path.glob("folds.1-of-3.*.npz"))) == 1
    lines: list[str] = []
    assert loop.run_search(folder, say=lines.append)
    assert loop.run_search(whole, say=quiet)
    assert rows(folder) == rows(whole)
    best = read(folder.path).best
    run = folder.trial(best.number)
    summary = json.loads((run.path / "folds.json").read_text())
    assert summary["folds"] == 3
    assert summary["n_tracks"] == 40
    assert best.accuracy == pytest.approx(summary["accuracy"], abs=0.05)  # the folds have 13 or 14 tracks
    assert not list(run.path.glob("folds.*-of-*"))
    # The run of the best trial can be trained now, and its card has the cross-validation.
    assert run.status() is Status.stopped
    assert job.work(run, say=quiet)
    assert "3 folds" in (run.path / "card.md").read_text()


def test_a_trial_that_fails_is_marked_and_the_search_goes_on(make_search, monkeypatch):
    folder = make_search(trials=3, prune=False)
    real = loop.train_trial

    def fail_second(run, *rest):
        if run.name == "trial-002":
            raise GenreAppError("Training diverged.")
        return real(run, *rest)

    monkeypatch.setattr(loop, "train_trial", fail_second)
    assert loop.run_search(folder, say=quiet)
    assert [(row.number, row.state, row.message) for row in read(folder.path).rows][-1] == (2, "failed", "Training diverged.")
    assert read(folder.path).importance == {}, "two finished trials say nothing"


def test_a_search_that_died_before_it_wrote_its_results_writes_them_when_it_is_resumed(make_search, monkeypatch):
    folder = make_search(trials=1)
    monkeypatch.setattr(loop, "train_trial", lambda *_: loop.Outcome(0.5, 0.75, 1.0))
    with monkeypatch.context() as patch:
        patch.setattr(loop.studies, "write", lambda *_: None)
        assert loop.run_search(folder, say=quiet)
    assert read(folder.path) is None
    assert loop.run_search(folder, say=quiet)
    assert [row.log_loss for row in read(folder.path).rows] == [0.5]


def test_a_search_whose_first_trials_all_fail_ends(make_search, monkeypatch):
    folder = make_search(trials=9)

    def fail(*_):
        raise GenreAppError("There is no music.")

    monkeypatch.setattr(loop, "train_trial", fail)
    with pytest.raises(GenreAppError, match=r"^The first 3 trials failed; the last one: There is no music\.$"):
        loop.run_search(folder, say=quiet)
    assert len(read(folder.path).rows) == 3


def test_a_search_that_cannot_be_done_is_refused(make_search, recipe, tmp_path):
    with pytest.raises(RunError, match=r"A search needs validation tracks, but split\.method is none"):
        make_search(settings={"split.method": "none"})
    with pytest.raises(RunError, match="at least 2 folds"):
        make_search(folds=1)
    folder = make_search()
    with pytest.raises(RunError, match="is not empty"):
        make_search()
    text = recipe.read_text()
    try:
        recipe.write_text(text.replace("batch_size = 16", "batch_size = 8"))
        with pytest.raises(RunError, match=r"The recipe beat\.toml has changed since the search began"):
            loop.run_search(folder, say=quiet)
    finally:
        recipe.write_text(text)
    (folder.path / "search.json").write_text("{}")
    with pytest.raises(RunError, match="is damaged or of another version"):
        folder.search()


def test_the_command_searches_and_resumes(command, cache, recipe, tmp_path):
    out = tmp_path / "found"
    words = [recipe, "--data", cache, "--threads", 1, "--out", out, "--set", "epochs=2", "--sampler", "random"]
    words += ["--set", "search.learning_rate={low=1e-5, high=3e-2, log=true}"]
    done = command(*words, "--search", 2)
    assert done.exit_code == 0, done.output
    assert "trial 2: log-loss" in done.output
    assert "Train with its settings:\ngenre-app train" in done.output
    assert len(rows(SearchFolder(out))) == 2
    done = command("--resume", out, "--search", 4)
    assert done.exit_code == 0, done.output
    assert "trial 2: log-loss" not in done.output
    assert len(rows(SearchFolder(out))) == 4
    assert "Importance" in done.output
    for words, message in (
        (("mlp", "--data", cache, "--sampler", "random"), "--sampler and --prune belong to a search"),
        (("kth-mlp", "--data", cache, "--search", 3), "has no field to search"),
        (("--resume", out, "--folds", 3), "--resume takes all settings"),
    ):
        refused = command(*words)
        assert refused.exit_code != 0
        assert message in refused.output + refused.stderr


def test_a_search_runs_while_its_process_does_whatever_the_clock_says(tmp_path, monkeypatch):
    folder = SearchFolder(tmp_path)
    folder.expect_process()
    assert folder.is_running()
    for seconds in (-3600, 3600):  # the clock was set back after the start
        os.utime(tmp_path / "log.txt", (time.time() + seconds,) * 2)
        assert not folder.is_running()
    folder.record_process()
    boot = psutil.boot_time()
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: boot - 3600)
    assert folder.is_running()
