"""What a run leaves, and what can be done to it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest

from genre_app.checkpoint import load_checkpoint
from genre_app.errors import RunError
from genre_app.evaluation import evaluate
from genre_app.runs import executor as job
from genre_app.runs import run as runs
from genre_app.runs.folds import cross_validate
from genre_app.runs.request import Request
from genre_app.runs.results import provenance
from genre_app.runs.run import Run, Status, free_name, list_runs
from tests.runs.beats import quiet, same, weights


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


def test_what_is_published_of_a_run_names_no_place_of_this_machine(make_run, cache, tmp_path):
    split = tmp_path / "mine.csv"
    rows = [row.split(",") for row in (cache / "index.csv").read_text().split()]
    split.write_text("\n".join(f"{row[0]},{row[2]}" for row in rows))
    run = make_run("it", "epochs=2", f"split.file='{split}'")
    job.work(run, say=quiet)
    told = (run.path / "card.md").read_text() + json.dumps(load_checkpoint(run.best).provenance)
    assert "split.file=mine.csv" in told
    assert "Split by the split file mine.csv (28 train, 12 valid, 0 test)." in told
    assert str(tmp_path) not in told
    noisy = make_run("noisy", f"augment.waveform.background_folder={tmp_path}/noises").description()
    assert noisy.request.command(data="DATA").endswith("background_folder=noises --threads 1")
    data = SimpleNamespace(of=lambda _: (), notes=())
    with mock.patch("genre_app.runs.results.fingerprint", return_value={}):
        assert str(tmp_path) not in json.dumps(provenance(noisy.request, noisy.config, data))


def test_cross_validation_judges_each_track_once_and_goes_into_the_card(make_run):
    run = make_run()
    job.work(run, say=quiet)
    summary = cross_validate(run.description().request, 4, run.path, say=quiet)
    assert summary["n_tracks"] == 40
    assert summary["accuracy"] > 0.9
    assert "4 folds" in (run.path / "card.md").read_text()


def test_the_same_seed_gives_the_same_file_to_the_bit(make_run):
    made = [make_run(name, "epochs=3", seed=seed) for name, seed in (("a", 5), ("b", 5), ("c", 6))]
    for run in made:
        job.work(run, say=quiet)
    assert same(weights(made[0]), weights(made[1]))
    assert not same(weights(made[0]), weights(made[2]))


def test_the_command_is_the_one_that_is_shown(make_run, cache, recipe, tmp_path):
    out = tmp_path / "elsewhere" / "run"
    request = Request(recipe=str(recipe), data=str(cache), settings=("epochs=2",), seed=3, threads=1)
    shown = request.command(str(out)).split()
    assert shown[:2] == ["genre-app", "train"]
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, *shown[1:]], cwd=root, capture_output=True, text=True, check=True)
    assert "epoch    2" in done.stdout
    assert Run(out).status() is Status.finished
    assert Run(out).description().request == request
    again = subprocess.run([sys.executable, *shown[1:]], cwd=root, capture_output=True, text=True)
    assert (again.returncode, again.stderr) == (
        1,
        f"error: {out} is not empty; name another --out, or go on with it by --resume.\n",
    )


def test_files_that_settings_name_are_found_from_another_folder(make_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = ("split.file=splits.csv", "augment.waveform.background_folder=noises", "epochs=1")
    config = make_run("it", *settings).description().config
    assert (config.split.file, config.augment.waveform.background_folder) == (tmp_path / "splits.csv", tmp_path / "noises")


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


def test_a_journal_is_read_on_from_where_it_was(make_run, monkeypatch):
    run = make_run("long")
    parsed = []
    loads = json.loads
    monkeypatch.setattr(json, "loads", lambda line: parsed.append(line) or loads(line))
    for epoch in range(50):
        run.record("epoch", epoch=epoch)
        assert run.journal()[-1]["epoch"] == epoch
    for _ in range(3):  # nothing new
        assert len(run.journal()) == 51
    assert len([line for line in parsed if line]) == 51
    run.record("stopped")
    run.delete()
    again = make_run("long")
    assert [event["event"] for event in again.journal()] == ["created"]


def test_of_two_that_make_a_run_at_once_one_is_refused(make_run, recipe, cache, tmp_path, monkeypatch):
    run = make_run("taken")
    described = (run.path / "run.json").read_bytes()
    request = run.description().request
    names = iter(["taken", "taken", "free"])
    monkeypatch.setattr(runs, "free_name", lambda recipe: next(names))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "iterdir", lambda path: iter(()))  # as both see it who look before either has written
        with pytest.raises(RunError, match="taken is not empty"):
            runs.new_run(request, "taken")
        assert runs.new_run(request).name == "free"
    assert (run.path / "run.json").read_bytes() == described
    (tmp_path / "runs" / ".taken.1.deleted").mkdir()
    (tmp_path / "runs" / ".taken.1.deleted" / "run.json").write_bytes(described)
    assert {run.name for run in list_runs()} == {"taken", "free"}
