"""Every kind of source through the one call, what it says of them, and what it refuses."""

from __future__ import annotations

import csv
import shutil
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from genre_app.cli import build
from genre_app.data.cache.mel_cache import MelCache
from genre_app.data.sources import open_data as source_module
from genre_app.data.sources.folder import AudioFolder
from genre_app.data.sources.gtzan import fault_filtered
from genre_app.data.sources.open_data import Progress, open_data
from genre_app.data.sources.table import FeatureTable
from genre_app.data.splits import SplitConfig
from genre_app.errors import DataError
from genre_app.evaluation.evaluate import evaluate
from genre_app.features import SUMMARY_NAMES, FeatureSpec
from genre_app.progress import Monitor
from tests.conftest import synthesise

SPEC = FeatureSpec(segment_seconds=1.0, segment_hop_seconds=0.5)
SUMMARY = FeatureSpec(kind="summary", hop_length=1024, segment_seconds=1.0, segment_hop_seconds=1.0)


def write(path: Path, seed: int, seconds: float = 1.5) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, synthesise(seconds, seed), 22050)


def fill(folder: Path, names: list[str], start: int = 0) -> Path:
    for index, name in enumerate(names):
        write(folder / name, start + index)
    return folder


PLAIN = [f"{genre}/{index}.wav" for genre in ("blues", "my jazz") for index in range(4)]


@pytest.fixture
def music(tmp_path):
    return fill(tmp_path / "music", PLAIN)


def opened(source, tmp_path, spec=SPEC, split=None, **options):
    return open_data(source, spec, split or SplitConfig(), seed=0, work=tmp_path / "work", processes=1, **options)


def splits(data) -> dict[str, str]:
    return {track.track_id: track.split for track in data.tracks}


# Folders


def test_a_folder_of_genre_folders(music, tmp_path):
    moments = []
    data = opened(music, tmp_path, monitor=Monitor(moments.append))
    assert data.genres == ("blues", "my jazz")
    assert isinstance(data.store, MelCache)
    assert sorted(data.audio) == PLAIN
    assert data.audio["blues/0.wav"] == music / "blues/0.wav"
    assert Counter(track.split for track in data.tracks) == {"train": 4, "valid": 2, "test": 2}
    assert [track.track_id for track in data.of("train")] == sorted(t.track_id for t in data.tracks if t.split == "train")
    assert data.notes[0].startswith("Split at random by track")
    assert moments[-1] == Progress("decoding tracks", 8, 8, 0.0)
    for track in data.tracks:
        assert data.store.columns(track).shape == (track.n_frames, 128)


def test_opening_again_is_the_same(music, tmp_path, monkeypatch):
    first = opened(music, tmp_path)
    monkeypatch.setattr("genre_app.data.cache.prepare._make", None)
    again = opened(str(music), tmp_path)
    assert again.tracks == first.tracks
    assert again.store.path == first.store.path
    other = open_data(music, SPEC, SplitConfig(train=0.5, valid=0.5), seed=0, work=tmp_path / "work")
    assert other.store.path != first.store.path
    assert splits(opened(first.store.path, tmp_path)) == splits(first)  # as a mel cache with a split of its own


LAYOUTS = {
    "wrapped": "Music/",
    "GTZAN": "genres/",
    "Kaggle": "Data/genres_original/",
    "a mac's": "archive/Data/genres_original/",
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_folder_with_the_genres_is_found(tmp_path, layout):
    top = tmp_path / "top"
    fill(top / LAYOUTS[layout], PLAIN)
    beside = (top / LAYOUTS[layout]).parent
    (beside / "images_original/blues").mkdir(parents=True)
    (beside / "images_original/blues/blues00000.png").write_bytes(b"png")
    (beside / "features_3_sec.csv").write_text("filename,label\n")
    (top / "__MACOSX/Data").mkdir(parents=True)
    (top / "__MACOSX/Data/._x.wav").write_bytes(b"x")
    found = AudioFolder.find(top)
    assert found.path == top / LAYOUTS[layout].rstrip("/")
    assert [track.track_id for track in found.tracks] == PLAIN
    assert {track.genre for track in found.tracks} == {"blues", "my jazz"}


def test_known_folders_win_over_what_lies_beside_them(tmp_path):
    fill(tmp_path / "top/genres_original", PLAIN)
    fill(tmp_path / "top/noise", ["rain.wav", "street/car.wav"])
    assert [track.track_id for track in AudioFolder.find(tmp_path / "top").tracks] == PLAIN


def test_albums_within_genres_stay_in_them(tmp_path):
    fill(tmp_path / "music", ["blues/album one/1.wav", "blues/2.wav", "jazz/album/disc/3.wav", "jazz/4.wav", "loose.wav"])
    data = opened(tmp_path / "music", tmp_path)
    assert data.genres == ("blues", "jazz")
    assert "Audio files that lie in no genre's folder and were left out: 1." in data.notes


def test_folders_of_splits_are_the_datas_own_split(tmp_path):
    names = [f"{split}/{genre}/{i}.wav" for split in ("train", "Validation") for genre in "ab" for i in range(2)]
    data = opened(fill(tmp_path / "music", names), tmp_path)
    assert data.genres == ("a", "b")
    assert all(split == ("train" if name.startswith("train") else "valid") for name, split in splits(data).items())
    assert "the data's own split" in data.notes[0]


def test_gtzan_is_recognised_and_its_damaged_file_named(tmp_path):
    lists = fault_filtered()
    names = [f"{genre}/{genre}.{index:05d}.wav" for genre in ("jazz", "rock") for index in range(0, 100, 9)]
    (tmp_path / "genres_original/jazz").mkdir(parents=True)
    fill(tmp_path / "genres_original", names)
    (tmp_path / "genres_original/jazz/jazz.00054.wav").write_bytes(b"RIFF" + bytes(50))
    data = opened(tmp_path, tmp_path)
    expected = {name: lists[Path(name).stem] for name in names if Path(name).stem in lists and "00054" not in name}
    assert {name: split for name, split in splits(data).items() if "00054" not in name} == {
        name: split for name, split in expected.items() if "00054" not in name
    }
    assert "fault-filtered" in data.notes[0]
    (skipped,) = [note for note in data.notes if note.startswith("Skipped")]
    assert skipped.startswith("Skipped: jazz/jazz.00054.wav: ")
    assert skipped.endswith("(the copy of GTZAN on Kaggle has this file damaged).")


def test_copies_are_named_and_kept_together(music, tmp_path):
    shutil.copy(music / "blues/0.wav", music / "blues/again.wav")
    samples, rate = soundfile.read(music / "blues/1.wav", dtype="int16")
    soundfile.write(music / "my jazz/other.flac", samples, rate)
    for seed in range(5):
        data = open_data(music, SPEC, SplitConfig(), seed=seed, work=tmp_path / "work", processes=1)
        of = splits(data)
        assert of["blues/0.wav"] == of["blues/again.wav"]
        assert of["blues/1.wav"] == of["my jazz/other.flac"]
    assert "Exact copies of each other: blues/0.wav, blues/again.wav." in data.notes
    odd = "Exact copies of each other: blues/1.wav, my jazz/other.flac, and are in different genres: blues, my jazz."
    assert odd in data.notes


def test_two_files_a_genre_with_a_bad_one_among_them(tmp_path):
    fill(tmp_path / "music", ["a/1.wav", "a/2.wav", "b/1.wav", "b/2.wav"])
    data = opened(tmp_path / "music", tmp_path)
    assert Counter(track.split for track in data.tracks) == {"train": 2, "valid": 2}
    (tmp_path / "music/a/bad.mp3").write_bytes(b"ID3 nothing")
    data = opened(tmp_path / "music", tmp_path)
    assert len(data.tracks) == 4
    assert any(note.startswith("Skipped: a/bad.mp3: ") for note in data.notes)
    (tmp_path / "music/b/2.wav").write_bytes(b"")
    why = r"genre b has no two different tracks.* These cannot be used: a/bad.mp3: .+; b/2.wav: the file is empty.+\."
    with pytest.raises(DataError, match=why):
        opened(tmp_path / "music", tmp_path)


def test_a_split_file_is_used(music, tmp_path):
    path = tmp_path / "split.csv"
    path.write_text("track_id,split\n" + "".join(f"{name},{'valid' if '3' in name else 'train'}\n" for name in PLAIN))
    data = opened(music, tmp_path, split=SplitConfig(file=path))
    assert splits(data) == {name: "valid" if "3" in name else "train" for name in PLAIN}
    assert splits(opened(data.store.path, tmp_path)) == splits(data)


WRONG = {
    "nothing there": (lambda p: p / "none", "There is no .*none; give a folder of genre folders"),
    "an empty folder": (lambda p: (p / "x").mkdir() or p / "x", "has no audio files in genre folders; it should hold"),
    "loose files": (lambda p: fill(p / "x", ["a.wav", "b.wav"]), "no audio files in genre folders, only 2 beside them"),
    "one genre": (lambda p: fill(p / "x", ["blues/a.wav", "blues/b.wav"]), "has one genre only, blues"),
    "one file a genre": (lambda p: fill(p / "x", ["a/1.wav", "b/1.wav"]), "fewer than 2 tracks of a, b"),
    "an audio file": (lambda p: fill(p / "x", ["a.wav"]) / "a.wav", "a.wav is not a kind of data that can be opened"),
    "a null byte": (lambda p: f"{p}/a\0b", "There is no "),
    "no name of the hub": (lambda p: "hub:gtzan", "names no data set of the hub"),
}  # fmt: skip


NAMES = {
    "long": (["a" * 41, "jazz"], f"the genre '{'a' * 40}'... is not a printable name of 1 to 40 letters"),
    "letter case": (["Jazz", "blues", "jazz"], "the genres 'Jazz' and 'jazz' differ only in upper and lower case"),
    "unprintable": (["blues", "ja\nzz"], r"the genre 'ja\\nzz' is not a printable name"),
    "spaces around": (["blues", "jazz "], "the genre 'jazz ' is not a printable name"),
    "too many": ([f"genre {i}" for i in range(1001)], "1001 genres are more than 1000"),
}


@pytest.mark.parametrize("case", NAMES)
def test_genres_that_no_checkpoint_takes_are_refused_before_anything_is_decoded(tmp_path, case):
    genres, message = NAMES[case]
    for genre in genres:
        (tmp_path / "music" / genre).mkdir(parents=True)
        for name in ("1.wav", "2.wav"):
            (tmp_path / "music" / genre / name).touch()
    with pytest.raises(DataError, match=f"music has genres .*{message}.*; rename or merge the folders") as caught:
        opened(tmp_path / "music", tmp_path)
    assert str(caught.value).isprintable()
    assert not list((tmp_path / "work").glob("mel-*"))


def test_genres_of_a_cache_that_no_checkpoint_takes_are_refused(music, tmp_path):
    cache = tmp_path / "cache"
    shutil.copytree(opened(music, tmp_path).store.path, cache)
    index = (cache / "index.csv").read_text()
    (cache / "index.csv").write_text(index.replace(",blues,", ",BLUES,", 1))
    with pytest.raises(
        DataError, match=r"the genres 'BLUES' and 'blues' differ only in upper and lower case; rename or merge them"
    ):
        opened(cache, tmp_path)


@pytest.mark.parametrize("case", WRONG)
def test_wrong_sources_are_one_sentence(tmp_path, case):
    make, message = WRONG[case]
    with pytest.raises(DataError, match=message) as caught:
        opened(make(tmp_path), tmp_path)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "work").glob("mel-*"))


# Zips, caches, tables, the hub


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
    assert splits(again) == splits(data)
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


def test_pieces_are_for_tables_only(music, tmp_path):
    with pytest.raises(DataError, match="Only feature tables can be split into pieces"):
        opened(music, tmp_path, split=SplitConfig(method="pieces"))


def test_the_hub(music, tmp_path, monkeypatch):
    asked = []

    def fetch(repository, work, monitor):
        asked.append((repository, work))
        return music

    monkeypatch.setattr(source_module, "fetch", fetch)
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
    report = evaluate(data.store.path, checkpoint, split="valid")
    assert sorted(track.track_id for track in report.tracks) == sorted(track.track_id for track in data.of("valid"))
    whole = {track.track_id: track for track in evaluate(tmp_path / "music", checkpoint).tracks}
    for track in report.tracks:
        assert track.label == whole[track.track_id].label
        np.testing.assert_allclose(track.probabilities, whole[track.track_id].probabilities, atol=0.01)


def test_the_command_line_takes_it_too(music, tmp_path, checkpoint_path, checkpoint):
    data = opened(
        fill(tmp_path / "two", [f"{g}/{i}.wav" for g in ("pop", "rock") for i in range(2)]), tmp_path, spec=checkpoint.spec
    )
    result = CliRunner().invoke(
        build(), ["evaluate", str(data.store.path), "--split", "train", "--checkpoint", str(checkpoint_path)]
    )
    assert result.exit_code == 0, result.output
    assert "2 tracks, 0 failed" in result.output
