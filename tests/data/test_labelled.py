"""Opening labelled music: from folders, with every split, and what is refused."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest
import soundfile

from genre_app.data.cache.mel_cache import MelCache
from genre_app.data.labelled import open_data
from genre_app.data.sources.gtzan import fault_filtered
from genre_app.data.splits import SplitConfig
from genre_app.errors import DataError
from genre_app.progress import Monitor, Progress
from tests.data.conftest import PLAIN, SPEC, fill, opened, splits


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
        assert data.store.rows(track).shape == (track.n_frames, 128)


def test_opening_again_is_the_same(music, tmp_path, monkeypatch):
    first = opened(music, tmp_path)
    monkeypatch.setattr("genre_app.data.cache.prepare.Builder", None)
    again = opened(str(music), tmp_path)
    assert again.tracks == first.tracks
    assert again.store.path == first.store.path
    other = open_data(music, SPEC, SplitConfig(train=0.5, valid=0.5), seed=0, work=tmp_path / "work")
    assert other.store.path == first.store.path  # the split is no part of the cache
    assert Counter(splits(other).values()) == {"train": 4, "valid": 4}
    assert other.store.tracks == other.tracks


def test_albums_within_genres_stay_in_them(tmp_path):
    fill(tmp_path / "music", ["blues/album one/1.wav", "blues/2.wav", "jazz/album/disc/3.wav", "jazz/4.wav", "loose.wav"])
    data = opened(tmp_path / "music", tmp_path)
    assert data.genres == ("blues", "jazz")
    assert "Left out, since they are in no genre folder: 1 audio files." in data.notes


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
    odd = "Exact copies of each other: blues/1.wav, my jazz/other.flac, in different genres: blues, my jazz."
    assert odd in data.notes


def test_two_files_a_genre_with_a_bad_one_among_them(tmp_path):
    fill(tmp_path / "music", ["a/1.wav", "a/2.wav", "b/1.wav", "b/2.wav"])
    data = opened(tmp_path / "music", tmp_path)
    assert Counter(track.split for track in data.tracks) == {"train": 2, "valid": 2}
    (tmp_path / "music/a/bad.mp3").write_bytes(b"ID3 nothing")
    (tmp_path / "music/a" / os.fsdecode(b"caf\xe9.wav")).symlink_to(tmp_path / "nowhere")
    data = opened(tmp_path / "music", tmp_path)
    assert len(data.tracks) == 4
    assert any(note.startswith("Skipped: a/caf\ufffd.wav: this link leads nowhere") for note in data.notes)
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


WRONG = {
    "nothing there": (lambda p: p / "none", "There is no .*none; give a folder of genre folders"),
    "an empty folder": (lambda p: (p / "x").mkdir() or p / "x", "has no audio files in genre folders; it should hold"),
    "loose files": (lambda p: fill(p / "x", ["a.wav", "b.wav"]), "no audio files in genre folders, only 2 beside them"),
    "one genre": (lambda p: fill(p / "x", ["blues/a.wav", "blues/b.wav"]), "has only one genre, blues"),
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
    with pytest.raises(DataError, match=r"the genres 'BLUES' and 'blues' differ only in upper and lower case; rename or merge"):
        opened(cache, tmp_path)


@pytest.mark.parametrize("case", WRONG)
def test_wrong_sources_are_one_sentence(tmp_path, case):
    make, message = WRONG[case]
    with pytest.raises(DataError, match=message) as caught:
        opened(make(tmp_path), tmp_path)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "work").glob("mel-*"))


def test_pieces_are_for_tables_only(music, tmp_path):
    with pytest.raises(DataError, match="Only feature tables can be split into pieces"):
        opened(music, tmp_path, split=SplitConfig(method="pieces"))
