"""What a run knows of its data: whether they are still the same, how they were divided, and who was held out of a fold."""

from __future__ import annotations

import errno
import json
import shlex
import shutil

import numpy as np
import pytest
import torch

from genre_app.checkpoint import load_checkpoint, save_checkpoint
from genre_app.data.sources.gtzan import fault_filtered
from genre_app.data.tracks import SPLITS
from genre_app.errors import DataError
from genre_app.runs import executor as job
from genre_app.runs import folds
from genre_app.runs.data import open_data
from genre_app.runs.folds import cross_validate
from genre_app.runs.request import Request
from genre_app.runs.run import Run, runs_folder
from genre_app.runs.status import Status
from tests.runs.beats import quiet, same, weights
from train.results import finished_run


@pytest.fixture
def own(cache, tmp_path):
    """A copy of the data that a test may change."""
    return shutil.copytree(cache, tmp_path / "own")


def request(run, data, **changes):
    return run.description().request.model_copy(update={"data": str(data), **changes})


def edited(folder, change):
    """Rewrite the lines of a cache's index."""
    head, *rows = (folder / "index.csv").read_text().splitlines()
    (folder / "index.csv").write_text("\n".join([head, *(",".join(change(*row.split(","))) for row in rows)]))


def test_the_columns_of_a_cache_in_a_zip_are_taken(own, tmp_path):
    zipped = shutil.make_archive(str(tmp_path / "zipped"), "zip", tmp_path, own.name)
    asked = Request(recipe="cnn", data=zipped, columns="data")
    of_zip, config = open_data(asked, asked.config())
    asked = asked.model_copy(update={"data": str(own)})
    of_folder, expected = open_data(asked, asked.config())
    assert config == expected != asked.config()
    assert of_zip.tracks == of_folder.tracks
    asked = asked.model_copy(update={"settings": {"spec.kind": "mfcc", "spec.n_mfcc": 128}})
    with pytest.raises(DataError, match=r"own does not fit the settings: n_mfcc \(128\) cannot exceed n_mels"):
        open_data(asked, asked.config())


@pytest.mark.parametrize(
    "change",
    [
        lambda name, genre, split, *rest: (name, {"six": "seven"}.get(genre, genre), split, *rest),
        lambda name, genre, split, *rest: (name, genre, {"t00": "valid", "t28": "train"}.get(name, split), *rest),
        lambda name, genre, split, *rest: (name.replace("t00", "u00"), genre, split, *rest),
    ],
    ids=["another genre", "another split", "another track"],
)
def test_a_run_goes_on_with_its_own_data_only(make_run, own, tmp_path, change):
    run = Run.create(tmp_path / "runs" / "changed", request(make_run(), own))
    run.request_stop()
    assert not job.work(run, say=quiet)
    index = (own / "index.csv").read_text()
    edited(own, change)
    with pytest.raises(DataError, match="data have changed since this run began"):
        job.work(run, say=quiet)
    assert run.status() is Status.failed
    (own / "index.csv").write_text(index)
    assert job.work(run, say=quiet)


def test_a_run_goes_on_without_the_checkpoint_that_it_began_with(make_run, tmp_path):
    first = make_run("first", "epochs=1")
    job.work(first, say=quiet)
    init = shutil.copy(first.best, tmp_path / "init.safetensors")
    run, whole = (make_run(name, "epochs=2", init_from=str(init)) for name in ("run", "whole"))
    job.work(whole, say=quiet)
    run.request_stop()
    job.work(run, say=quiet)
    (tmp_path / "init.safetensors").unlink()
    assert job.work(run, say=quiet)
    assert same(weights(run), weights(whole))


@pytest.fixture
def gtzan(own):
    """The cache under names of GTZAN, blues and rock, divided as its fault-filtered lists have it."""
    lists = fault_filtered()
    of = {(genre, split): [n for n, s in lists.items() if n.startswith(genre) and s == split] for genre in ("blues", "rock")
          for split in SPLITS}  # fmt: skip
    edited(own, lambda _, genre, split, *rest: (
        (name := of["blues" if genre == "four" else "rock", split].pop()), name.split(".")[0], split, *rest))  # fmt: skip
    return own


def test_the_card_claims_the_fault_filtered_split_only_where_it_was_used(make_run, gtzan, tmp_path):
    asked = request(make_run("any", "epochs=2"), gtzan)

    def card(name, asked):
        run = Run.create(tmp_path / "runs" / name, asked)
        job.work(run, say=quiet)
        return (run.path / "card.md").read_text().replace("\n", " ")

    claim, denial = (
        "in the artist- and fault-filtered split of Kereliuk",
        "in a split other than its artist- and fault-filtered one",
    )
    assert claim in card("stated", asked)
    rows = [line.split(",") for line in (gtzan / "index.csv").read_text().splitlines()[1:]]
    lines = [f"{name},{split}" for name, _, split, *_ in rows]
    (tmp_path / "mine.csv").write_text("\n".join(["track_id,split", *lines]))
    with_file = asked.model_copy(update={"settings": asked.settings | {"split.file": str(tmp_path / "mine.csv")}})
    assert claim in card("same", with_file)
    lines[0] = lines[0].replace("train", "valid")
    (tmp_path / "mine.csv").write_text("\n".join(["track_id,split", *lines]))
    assert denial in card("other", with_file)
    assert denial in card("random", asked.model_copy(update={"settings": asked.settings | {"split.method": "stratified"}}))


def test_folds_hold_out_copies_together(make_run, own, monkeypatch):
    columns = np.load(own / "log_mel.npy").reshape(40, 120, -1)
    columns[1::4] = columns[3::4]  # each second track of a genre is a copy of the next one
    np.save(own / "log_mel.npy", columns.reshape(-1, columns.shape[2]))
    edited(own, lambda name, genre, split, *rest: (name, genre, "train" if int(name[1:]) < 28 else "valid", *rest))
    held = []
    whole = folds._train_fold
    monkeypatch.setattr(folds, "_train_fold", lambda config, data, *rest: held.append(data) or whole(config, data, *rest))
    cross_validate(request(make_run("any", "epochs=1"), own), 4, own.parent / "out", say=quiet)
    assert len(held) == 4
    for data in held:
        sides = {track.track_id: track.split for track in data.tracks}
        assert len(set(sides.values())) == 2
        assert all(sides[f"t{i:02}"] == sides[f"t{i + 2:02}"] for i in range(1, 40, 4))


def test_folds_begin_with_the_checkpoint_that_is_asked_for(make_run, cache, tmp_path):
    first = make_run("first", "epochs=1")
    job.work(first, say=quiet)
    checkpoint = load_checkpoint(first.best)
    with torch.no_grad():
        for parameter in checkpoint.model.parameters():
            parameter.zero_()
    save_checkpoint(checkpoint, tmp_path / "zero.safetensors")
    asked = request(make_run("any", "epochs=1", "learning_rate=1e-9"), cache)
    told = cross_validate(asked, 4, tmp_path / "out", say=quiet)
    begun = asked.model_copy(update={"init_from": str(tmp_path / "zero.safetensors")})
    summary = cross_validate(begun, 4, tmp_path / "zero", say=quiet)
    assert summary["log_loss"] == pytest.approx(np.log(2), abs=1e-3)  # it knows nothing
    assert told["asked_sha256"] != summary["asked_sha256"]


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_an_interrupted_cross_validation_says_how_to_continue_it(command, cache, recipe, monkeypatch, interruption):
    trained, whole = [], folds._train_fold

    def train_fold(*given):
        if len(trained) == 1:
            raise interruption
        trained.append(whole(*given))
        return trained[-1]

    asked = Request(recipe=str(recipe), data=str(cache), settings={"epochs": 1}, threads=1)
    monkeypatch.setattr(folds, "_train_fold", train_fold)
    stopped = command(*shlex.split(asked.command())[2:], "--folds", 3)
    assert stopped.exit_code != 0
    (line,) = [line for line in stopped.stdout.splitlines() if line.startswith("stopped")]
    again = shlex.split(line.removeprefix("stopped; finished folds are kept; continue with: "))
    trained.append(None)
    done = command(*again[2:])
    assert len(trained) == 4, "the first fold was not trained again"
    assert f"wrote {runs_folder() / 'beat-1' / 'folds.json'}" in done.stdout
    assert [path.name for path in runs_folder().iterdir()] == ["beat-1"]


def test_more_folds_than_a_genre_has_tracks_are_refused(make_run, own):
    edited(own, lambda name, genre, *rest: (name, "rare" if name in ("t00", "t01", "t28") else genre, *rest))
    with pytest.raises(DataError, match=r"genre rare has 3 different tracks, too few for 4 folds"):
        cross_validate(request(make_run(), own), 4, own.parent / "out", say=quiet)
    assert not (own.parent / "out").exists()


def test_a_finished_run_answers_only_what_it_was_asked(make_run, capsys):
    run = make_run("done", "epochs=1")
    asked = run.description().request
    assert finished_run(run.path, asked).status() is Status.finished
    assert finished_run(run.path, asked).path == run.path
    with pytest.raises(ValueError, match="done is a run with other settings"):
        finished_run(run.path, asked.model_copy(update={"settings": {"epochs": 2}}))
    assert json.loads((run.path / "report.json").read_text())["best_epoch"] == 1
