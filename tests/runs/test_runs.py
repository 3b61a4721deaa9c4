"""What a run leaves, and what can be done to it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
import torch
from torch._inductor.runtime.cache_dir_utils import cache_dir

from genre_app.checkpoint import load_checkpoint
from genre_app.errors import RunError
from genre_app.evaluation.evaluate import evaluate
from genre_app.runs import events, host, journal
from genre_app.runs import executor as job
from genre_app.runs import run as runs
from genre_app.runs.folds import cross_validate
from genre_app.runs.provenance import provenance
from genre_app.runs.request import Request
from genre_app.runs.run import Run, checked_name, free_name, list_runs
from genre_app.runs.status import Status
from genre_app.training.held_out import HeldOut
from genre_app.vote import References, vote
from tests.runs.beats import quiet, same, weights


def test_a_run_leaves_a_checkpoint_a_report_and_a_card_that_agree_with_evaluate(make_run, cache, tmp_path):
    run = make_run()
    assert run.status() is Status.starting
    assert job.work(run, say=quiet)
    assert run.status() is Status.finished
    checkpoint = load_checkpoint(run.best)
    report = evaluate(cache, checkpoint, split="valid")
    assert report.accuracy > 0.9
    assert checkpoint.metrics["valid"] == run.report()["valid"]
    reported, evaluated = dict(run.report()["valid"]), json.loads(json.dumps(report.to_dict()))
    for name in ("log_loss", "ece"):  # a batch of all tracks sums in another order than a batch a track
        assert reported.pop(name) == pytest.approx(evaluated.pop(name), rel=1e-6)
    knn = reported["by_vote"].pop("knn")
    evaluated["by_vote"].pop("knn")  # here each track is its own neighbour
    assert reported == evaluated
    references = checkpoint.references
    assert references.labels.tolist() == [track.label for track in report.tracks]
    np.testing.assert_allclose(references.probabilities, report.probabilities, atol=1e-5)
    right = 0
    for place, track in enumerate(report.tracks):
        others = np.arange(12) != place
        rest = References(references.probabilities[others], references.labels[others], references.k)
        right += vote(track.probabilities, "knn", rest).argmax() == track.label
    assert knn == pytest.approx(right / 12)
    assert [epoch.epoch for epoch in run.journal().epochs] == list(range(1, 13))
    best = min((epoch for epoch in run.journal().epochs if epoch.valid_log_loss), key=lambda epoch: epoch.valid_log_loss)
    assert (best.best, best.epoch) == (True, run.report()["best_epoch"])
    assert np.sum(best.confusion) == 12
    started = run.journal().last(events.Started)
    assert started.tracks == {"train": 28, "valid": 12, "test": 0}
    assert started.parameters == sum(p.numel() for p in checkpoint.model.parameters())
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
    settings = [f"augment.waveform.{field}={tmp_path}/{field}" for field in ("background_folder", "room_folder")]
    noisy = make_run("noisy", *settings, f"augment.waveform={{room_folder = '{tmp_path}/inner'}}").description()
    assert noisy.request.command(data="DATA").endswith(
        "background_folder=background_folder --set augment.waveform.room_folder=room_folder "
        "--set 'augment.waveform={room_folder = \"inner\"}' --threads 1"
    )
    data = SimpleNamespace(of=lambda _: (), notes=())
    with mock.patch("genre_app.runs.provenance.fingerprint", return_value={}):
        assert str(tmp_path) not in json.dumps(provenance(noisy.request, noisy.config, data))


def test_cross_validation_judges_each_track_once_and_goes_into_the_card(make_run):
    run = make_run()
    job.work(run, say=quiet)
    summary = cross_validate(run.description().request, 4, run.path, say=quiet)
    assert summary["n_tracks"] == 40
    assert summary["accuracy"] > 0.9
    assert "4 folds" in (run.path / "card.md").read_text()


@pytest.mark.parametrize("folds_first", [True, False])
def test_a_run_on_all_tracks_takes_its_results_from_the_cross_validation(make_run, cache, recipe, tmp_path, folds_first):
    settings = {"split.method": "none", "fit_temperature": True, "epochs": 4}
    request = Request(recipe=str(recipe), data=str(cache), settings=settings, threads=1)
    folder = tmp_path / "runs" / "all"
    if folds_first:
        summary = cross_validate(request, 2, folder, say=quiet)
    run = Run.create(folder, request)
    job.work(run, say=quiet)
    assert run.status() is Status.finished
    before = weights(run)
    if not folds_first:
        assert load_checkpoint(run.best).references is None
        assert load_checkpoint(run.best).metrics == {}
        assert "so nothing was measured" in (folder / "card.md").read_text()
        # The split is not a setting of the cross-validation.
        ordinary = request.model_copy(update={"settings": {"epochs": 4, "keep": "best"}})
        summary = cross_validate(ordinary, 2, folder, say=quiet)
    assert summary["n_tracks"] == 40
    checkpoint, held_out = load_checkpoint(run.best), HeldOut.load(folder / "folds.npz")
    after = weights(run)
    assert before.keys() == after.keys()
    assert float(checkpoint.model.temperature) == pytest.approx(held_out.temperature())
    assert checkpoint.references.labels.tolist() == held_out.labels.tolist()
    means = [track.probabilities.mean(axis=0) for track in held_out.report(held_out.temperature()).tracks]
    np.testing.assert_allclose(checkpoint.references.probabilities, means, atol=1e-5)
    assert run.report()["folds"]["accuracy"] == checkpoint.metrics["folds"]["accuracy"] == summary["accuracy"]
    assert "valid" not in run.report()
    card = (folder / "card.md").read_text()
    assert f"cross-validation with 2 folds (`{summary['command']}`)" in card
    assert f"| 40 | {summary['accuracy']:.1%} |" in card
    assert "40 training tracks." in card
    started = run.journal().last(events.Started)
    assert started.tracks == {"train": 40, "valid": 0, "test": 0}


def test_a_cross_validation_with_other_settings_is_not_used(make_run, cache, recipe):
    run = make_run("all", "split.method=none", "epochs=1")
    other = Request(recipe=str(recipe), data=str(cache), settings={"epochs": 1, "learning_rate": 0.02}, threads=1)
    cross_validate(other, 2, run.path, say=quiet)
    job.work(run, say=quiet)
    assert load_checkpoint(run.best).metrics == {}
    assert "so nothing was measured" in (run.path / "card.md").read_text()


def test_the_same_seed_gives_the_same_file_to_the_bit(make_run):
    made = [make_run(name, "epochs=3", seed=seed) for name, seed in (("a", 5), ("b", 5), ("c", 6))]
    for run in made:
        job.work(run, say=quiet)
    assert same(weights(made[0]), weights(made[1]))
    assert not same(weights(made[0]), weights(made[2]))


def test_the_command_is_the_one_that_is_shown(command, cache, recipe, tmp_path):
    out = tmp_path / "elsewhere" / "run"
    request = Request(recipe=str(recipe), data=str(cache), settings=("epochs=2",), seed=3, threads=1)
    shown = shlex.split(request.command(str(out)))
    assert shown[:2] == ["genre-app", "train"]
    assert "epoch    2" in command(*shown[2:]).stdout
    assert Run(out).status() is Status.finished
    assert Run(out).description().request == request
    again = command(*shown[2:])
    assert (again.exit_code, again.stderr) == (
        1,
        f"error: {out} is not empty; name another --out, or resume the run in it with --resume.\n",
    )


def test_files_that_settings_name_are_found_from_another_folder(make_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    waveform = "augment.waveform={background_folder = 'noises', room_folder = 'rooms'}"
    config = make_run("it", "split.file=splits.csv", waveform, "epochs=1").description().config
    found = (config.split.file, config.augment.waveform.background_folder, config.augment.waveform.room_folder)
    assert found == (tmp_path / "splits.csv", tmp_path / "noises", tmp_path / "rooms")


def test_runs_are_listed_renamed_and_deleted(make_run, tmp_path, monkeypatch):
    one, two = make_run("one"), make_run("two")
    for run in (one, two):
        run.record(events.Stopped())
    (tmp_path / "runs" / "broken").mkdir()
    (tmp_path / "runs" / "broken" / "run.json").write_text("{")
    folder = tmp_path / "runs"
    assert {run.name for run in list_runs(folder)} == {"one", "two"}
    assert free_name("two") == "two-1"
    with pytest.raises(RunError, match="There is a run 'two' already"):
        one.rename("two")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "exists", lambda _: True)  # as on a system that ignores case
        capital = one.rename("One")
    renamed = capital.rename("uno")
    two.delete()
    assert [run.name for run in list_runs(folder)] == ["uno"]
    assert renamed.description().request.threads == 1
    assert not list(folder.glob(".two*"))


@pytest.mark.parametrize("recipe", ["default", "my recipe", ".hidden", "a..b", "ünï", "x" * 99, "+"])
def test_the_name_of_a_new_run_is_one_that_a_run_can_have(recipe):
    name = free_name(f"/home/{recipe}.toml")
    assert checked_name(name) == name
    name = free_name(f"/home/{recipe}.toml", "-search")
    assert checked_name(name) == name
    assert free_name("default") == "default-1"
    assert free_name("/home/beats.v2.toml", "-search") == "beats.v2-search-1"


def test_a_journal_is_read_on_from_where_it_was(make_run, monkeypatch):
    run = make_run("long")
    parsed = []
    parse = journal._parse
    monkeypatch.setattr(journal, "_parse", lambda line: parsed.append(line) or parse(line))
    for epoch in range(50):
        run.record(events.Epoch(epoch=epoch))
        assert run.journal().events[-1].epoch == epoch
    for _ in range(3):  # nothing new
        assert len(run.journal().events) == 51
    assert len([line for line in parsed if line]) == 51
    run.record(events.Stopped())
    run.delete()
    again = make_run("long")
    assert [event.event for event in again.journal().events] == ["created"]


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


def test_a_training_process_needs_no_name_of_its_user(monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")  # is restored after the test
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    monkeypatch.setattr(host, "_mallopt", lambda *_: None)
    monkeypatch.setattr("getpass.getuser", lambda: {}["no name"])
    host.prepare_process(torch.get_num_threads())
    assert Path(cache_dir()).is_dir()
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    monkeypatch.setattr(host, "temporary_folder", mock.Mock(side_effect=PermissionError))
    host.prepare_process(torch.get_num_threads())
