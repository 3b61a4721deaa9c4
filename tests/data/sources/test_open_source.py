"""Every kind of source through the one call: zips, caches, tables, the hub; and evaluation of a prepared cache."""

from __future__ import annotations

import csv
import shutil
import zipfile
from collections import Counter

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from genre_app.cli import build
from genre_app.data import sources
from genre_app.data.cache.feature_table import FeatureTable
from genre_app.data.cache.store import write_index
from genre_app.data.sources.gtzan import fault_filtered
from genre_app.data.splits import SplitConfig
from genre_app.errors import DataError
from genre_app.evaluation.evaluate import evaluate
from genre_app.features import SUMMARY_NAMES
from genre_app.progress import Monitor
from tests.data.conftest import PLAIN, SPEC, SUMMARY, fill, opened, splits, write


def test_a_zip_is_unpacked_and_opened(music, tmp_path):
    path = tmp_path / "kaggle.zip"
    with zipfile.ZipFile(path, "w") as file:
        for name in PLAIN:
            file.write(music / name, f"Data/genres_original/{name}")
        file.writestr("Data/images_original/blues/blues00000.png", b"png")
    stages = []
    data = opened(path, tmp_path, monitor=Monitor(lambda moment: stages.append(moment.stage)))
    assert {track.track_id for track in data.tracks} == set(PLAIN)
    assert set(stages) == {"unpacking MB", "decoding tracks"}
    stages.clear()
    assert opened(path, tmp_path, monitor=Monitor(lambda moment: stages.append(moment.stage))).tracks == data.tracks
    assert stages == []


def test_a_disk_is_not_searched_for_tables(tmp_path, monkeypatch):
    monkeypatch.setattr("genre_app.data.sources.folder._MAX_WALKED", 3)
    for name in ("a", "b", "c", "features_3_sec.csv"):
        (tmp_path / name).touch()
    with pytest.raises(DataError, match="has more than 3 files"):
        opened(tmp_path, tmp_path / "work")


def test_a_zip_with_a_cache_in_it(music, tmp_path):
    cache = opened(music, tmp_path).store.path
    path = tmp_path / "cache.zip"
    with zipfile.ZipFile(path, "w") as file:
        for name in ("spec.json", "index.csv", "log_mel.npy"):
            file.write(cache / name, f"my cache/{name}")
    data = opened(path, tmp_path)
    assert len(data.tracks) == 8
    assert data.audio == {}


def test_a_mel_cache_made_otherwise_is_refused(music, tmp_path):
    cache = opened(music, tmp_path).store.path
    other = SPEC.model_copy(update={"hop_length": 512, "n_mels": 64})
    message = "hop_length 1709 instead of 512, n_mels 128 instead of 64; take the data's columns with --columns data"
    with pytest.raises(DataError, match=message):
        opened(cache, tmp_path, spec=other)
    with pytest.raises(DataError, match="features of kind summary cannot be computed"):
        opened(cache, tmp_path, spec=SUMMARY)


def test_copies_in_a_mel_cache_are_found_by_its_columns(music, tmp_path):
    cache = opened(music, tmp_path).store
    mine = tmp_path / "mine"
    shutil.copytree(cache.path, mine)
    write_index(mine / "index.csv", cache.tracks)  # with a split of its own
    first = next(track for track in cache.tracks if track.split == "train")
    with (mine / "index.csv").open("a") as file:
        file.write(f"copy,blues,test,{first.offset},{first.n_frames}\n")
    with pytest.raises(DataError, match="they hold the same music"):
        opened(mine, tmp_path)
    data = opened(mine, tmp_path, split=SplitConfig(method="stratified"))
    assert splits(data)["copy"] == splits(data)[first.track_id]
    assert f"Exact copies of each other: {first.track_id}, copy." in data.notes


def test_audio_becomes_a_feature_table(tmp_path):
    fill(tmp_path / "music", PLAIN[:2] + PLAIN[4:6])
    data = opened(tmp_path / "music", tmp_path, spec=SUMMARY)
    assert isinstance(data.store, FeatureTable)
    assert Counter(track.split for track in data.tracks) == {"train": 2, "valid": 2}
    assert data.store.rows(data.tracks[0]).shape == (data.tracks[0].n_frames, 58)
    again = opened(data.store.path, tmp_path, spec=SUMMARY)
    assert splits(again).keys() == splits(data).keys()
    with pytest.raises(DataError, match=r"segment_seconds 1\.0 instead of 3\.0"):
        opened(data.store.path, tmp_path, spec=SUMMARY.model_copy(update={"segment_seconds": 3.0}))
    pieces = opened(tmp_path / "music", tmp_path, spec=SUMMARY, split=SplitConfig(method="pieces"))
    assert {track.track_id for track in pieces.tracks} == {
        f"{track.track_id}#{row}" for track in data.tracks for row in range(track.n_frames)
    }
    assert all(pieces.store.rows(track).shape == (1, 58) for track in pieces.tracks)
    assert "a leak" in pieces.notes[0]


@pytest.fixture
def features(tmp_path):
    path = tmp_path / "Data/features_3_sec.csv"
    path.parent.mkdir()
    header = ["filename", "length", *(name for name in SUMMARY_NAMES if name != "tempo_var"), "label"]
    random = np.random.default_rng(0)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([name.replace("tempo_mean", "tempo") for name in header])
        for genre in ("blues", "rock"):
            for index in range(100):
                for piece in range(3):
                    writer.writerow([f"{genre}.{index:05d}.{piece}.wav", 66149, *random.normal(size=57).round(4), genre])
    return path


def test_a_feature_csv(features, tmp_path):
    data = opened(features, tmp_path, spec=SUMMARY)
    lists = fault_filtered()
    assert all(split == lists[name] for name, split in splits(data).items())
    assert all(track.n_frames == 3 for track in data.tracks)
    assert data.audio == {}
    assert any("variance is taken as 0" in note for note in data.notes)
    assert opened(features.parent.parent, tmp_path, spec=SUMMARY).tracks == data.tracks  # Kaggle's folder without its audio
    pieces = opened(features, tmp_path, spec=SUMMARY, split=SplitConfig(method="pieces", train=0.8, valid=0.2))
    assert Counter(track.split for track in pieces.tracks) == {"train": 480, "valid": 120}
    assert "a leak" in pieces.notes[0]
    with pytest.raises(DataError, match="is a feature table and has no spectrograms, which features of kind log_mel need"):
        opened(features, tmp_path)


def test_the_hub(music, tmp_path, monkeypatch):
    asked = []

    def fetch(repository, work, monitor):
        asked.append((repository, work))
        return music

    monkeypatch.setattr(sources, "fetch", fetch)
    assert len(opened("hub:confit/gtzan", tmp_path).tracks) == 8
    assert asked == [("confit/gtzan", tmp_path / "work")]


# What else takes a prepared cache


def test_evaluation_takes_the_prepared_cache(tmp_path, checkpoint):
    names = [f"{genre}/{index}.wav" for genre in ("blues", "rock") for index in range(4)]
    for index, name in enumerate(names):  # over a hiss, so that no column reaches the floor, which is the track's in a store
        write(tmp_path / "music" / name, index, 4.0)
        samples, rate = soundfile.read(tmp_path / "music" / name, dtype="float32")
        hiss = np.random.default_rng(index).normal(0, 0.003, len(samples)).astype(np.float32)
        soundfile.write(tmp_path / "music" / name, samples + hiss, rate, subtype="FLOAT")
    data = opened(tmp_path / "music", tmp_path, spec=checkpoint.spec)
    report = evaluate(data.store.path, checkpoint)
    assert sorted(track.track_id for track in report.tracks) == sorted(track.track_id for track in data.tracks)
    whole = {track.track_id: track for track in evaluate(tmp_path / "music", checkpoint).tracks}
    for track in report.tracks:
        assert track.label == whole[track.track_id].label
        np.testing.assert_allclose(track.probabilities, whole[track.track_id].probabilities, atol=0.01)


def test_the_command_line_takes_it_too(music, tmp_path, checkpoint_path, checkpoint):
    data = opened(
        fill(tmp_path / "two", [f"{g}/{i}.wav" for g in ("pop", "rock") for i in range(2)]), tmp_path, spec=checkpoint.spec
    )
    result = CliRunner().invoke(build(), ["evaluate", str(data.store.path), "--checkpoint", str(checkpoint_path)])
    assert result.exit_code == 0, result.output
    assert "4 tracks, 0 failed" in result.output
