"""Collections: what is stored, what is refused, and what several windows do at once."""

from __future__ import annotations

import csv
import os
import resource
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile

from genre_app.audio import Clip
from genre_app.data.collection import Collection, Limits
from genre_app.errors import AudioError, DataError
from tests.data.collection.songs import song, tone


def test_a_clip_is_stored_as_it_sounds_with_where_it_comes_from(collection: Collection, tmp_path: Path) -> None:
    added = collection.add(
        "Bossa Nova",
        song(tmp_path, "Garota (ao vivo).wav"),
        origin="file",
        answer="jazz",
        probability=0.4,
        checkpoint="default",
    )
    assert added.clip.file.startswith("Bossa Nova/garota-ao-vivo-")
    assert not added.remark
    samples, rate = soundfile.read(collection.path(added.clip.id))
    assert rate == 22050
    np.testing.assert_allclose(samples, tone(3.0), atol=1 / 32768)
    (row,) = csv.DictReader((collection.folder / "clips.csv").read_text().splitlines())
    assert row["source"] == "Garota (ao vivo).wav"
    assert (row["origin"], row["answer"], float(row["probability"]), float(row["seconds"])) == ("file", "jazz", 0.4, 3.0)
    assert row["date"].endswith("+00:00")


def test_of_a_long_file_the_middle_is_taken(collection: Collection, tmp_path: Path) -> None:
    samples = np.concatenate([tone(10, 300), tone(30, 500), tone(10, 300)])
    soundfile.write(tmp_path / "long.wav", samples, 22050)
    added = collection.add("dub", tmp_path / "long.wav", origin="file")
    assert "middle 30 s" in added.remark
    stored, _ = soundfile.read(collection.path(added.clip.id))
    spectrum = np.abs(np.fft.rfft(stored))
    assert len(stored) == 30 * 22050
    assert np.fft.rfftfreq(len(stored), 1 / 22050)[spectrum.argmax()] == pytest.approx(500, abs=0.1)
    assert spectrum[300 * 30] < 1e-3 * spectrum.max()


def test_a_file_of_30_seconds_that_is_a_little_longer_needs_no_remark(collection: Collection, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "song.wav", tone(30.01, 500), 22050)
    added = collection.add("dub", tmp_path / "song.wav", origin="file")
    assert added.remark == ""
    assert added.clip.seconds == 30


@pytest.mark.parametrize(("seconds", "words"), [(1.0, "too short"), (0.0, "no audio|empty|short")])
def test_unusable_sound_is_refused_and_nothing_stays(
    collection: Collection, tmp_path: Path, seconds: float, words: str
) -> None:
    with pytest.raises(AudioError, match=words):
        collection.add("dub", song(tmp_path, "a.wav", seconds), origin="file")
    assert collection.read().clips == []


def test_a_clip_that_cannot_be_written_is_refused_in_a_sentence(collection: Collection) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 22050 * 3).astype(np.float32)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))  # bytes: more than the table, less than the clip
    try:
        with pytest.raises(DataError, match=r"mine: the collection cannot be changed \(File too large\)"):
            collection.add("dub", Clip(noise, 22050, name="a"), origin="live")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert collection.read().clips == []


def test_silence_is_refused(collection: Collection) -> None:
    with pytest.raises(AudioError, match="silent"):
        collection.add("dub", Clip(np.full(22050 * 3, 0.1, np.float32), 22050, name="off"), origin="live")


def test_the_same_clip_is_not_added_twice(collection: Collection, tmp_path: Path) -> None:
    path = song(tmp_path, "a.wav")
    collection.add("dub", path, origin="file")
    with pytest.raises(DataError, match=r"a\.wav is in this collection already, in the genre dub\."):
        collection.add("ska", path, origin="file")
    assert set(collection.read().genres) == {"dub"}


def test_clips_move_and_go_and_genres_are_renamed_joined_and_removed(collection: Collection, tmp_path: Path) -> None:
    ids = [collection.add("dub", song(tmp_path, f"{hz}.wav", hz=hz), origin="file").clip.id for hz in (200, 300, 400)]
    assert collection.move(ids[0], "ska").file == f"ska/{ids[0]}"
    collection.delete(ids[1])
    assert {genre: [clip.id for clip in clips] for genre, clips in collection.read().genres.items()} == {
        "dub": [ids[2]],
        "ska": [ids[0]],
    }
    collection.mark_none_of_these("ska", True)
    assert collection.rename_genre("ska", "Ska") == "Ska"
    assert collection.read().none_of_these == {"Ska"}
    assert collection.rename_genre("dub", "SKA") == "Ska"  # joins the two
    contents = collection.read()
    assert {clip.id for clip in contents.genres["Ska"]} == {ids[0], ids[2]}
    assert all(clip.source for clip in contents.clips), "the table followed the files"
    assert collection.remove_genre("Ska") == 2
    assert collection.read().clips == []
    with pytest.raises(DataError, match="no longer"):
        collection.delete(ids[0])


@pytest.mark.parametrize(
    "name",
    ["", "  ", "../up", "a/b", "CON", "nul.x", ".hidden", "__mine", "Clips.csv", "dot.", "a\u202eb", "a\0b", "x" * 41, "a:b"],
)
def test_a_genre_that_cannot_name_a_folder_is_refused(collection: Collection, name: str) -> None:
    with pytest.raises(DataError):
        collection.add_genre(name)
    assert not [entry for entry in collection.folder.iterdir() if entry.is_dir()] if collection.folder.exists() else True


def test_genres_differ_by_more_than_case(collection: Collection) -> None:
    assert collection.add_genre(" Hip  Hop ") == "Hip Hop"
    assert collection.add_genre("hip hop") == "Hip Hop"
    assert list(collection.read().genres) == ["Hip Hop"]
    (collection.folder / "Hip Hop").rename(collection.folder / "forro\u0301")  # as older versions of macOS write an accent
    assert collection.add_genre("Forr\u00f3") == "forro\u0301"
    assert collection.rename_genre("forro\u0301", "forr\u00f3") == "forr\u00f3"
    assert list(collection.read().genres) == ["forr\u00f3"]
    (collection.folder / "FORRO\u0301").mkdir()  # by hand, on a system where this is another folder
    assert collection.rename_genre("FORRO\u0301", "forr\u00f3") == "forr\u00f3"
    assert list(collection.read().genres) == ["forr\u00f3"]


def test_limits_are_kept(tmp_path: Path) -> None:
    small = Collection(tmp_path / "small", Limits(clips=2, seconds=7.0, genres=1))
    small.add("dub", song(tmp_path, "a.wav", hz=200), origin="file")
    with pytest.raises(DataError, match="minutes"):
        small.add("dub", song(tmp_path, "b.wav", 5.0), origin="file")
    with pytest.raises(DataError, match="1 genres"):
        small.add_genre("ska")
    small.add("dub", song(tmp_path, "c.wav", hz=300), origin="file")
    with pytest.raises(DataError, match="2 clips"):
        small.add("dub", song(tmp_path, "d.wav", hz=400), origin="file")


def test_windows_do_not_overwrite_each_other(collection: Collection, tmp_path: Path) -> None:
    songs = [song(tmp_path, f"{hz}.wav", hz=hz) for hz in range(200, 320, 10)]
    others = Collection(collection.folder)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda i: (collection, others)[i % 2].add(f"g{i % 3}", songs[i], origin="file"), range(12)))
    contents = collection.read()
    assert {genre: len(clips) for genre, clips in contents.genres.items()} == {"g0": 4, "g1": 4, "g2": 4}
    assert sorted(clip.source for clip in contents.clips) == sorted(path.name for path in songs)


def test_a_genre_that_another_window_removes_meanwhile_hides_no_other(
    collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for genre, hz in (("dub", 200), ("ska", 300)):
        collection.add(genre, song(tmp_path, f"{hz}.wav", hz=hz), origin="file")
    iterdir = Path.iterdir

    def removing(folder: Path) -> Iterator[Path]:
        if folder.name == "dub":
            shutil.rmtree(folder)
        return iterdir(folder)

    monkeypatch.setattr(Path, "iterdir", removing)
    assert list(collection.read().genres) == ["ska"]


def test_what_a_killed_process_left_is_undone_by_the_next_change(collection: Collection, tmp_path: Path) -> None:
    clip = collection.add("dub", song(tmp_path, "a.wav"), origin="file").clip
    old, new = (collection.folder / "dub" / f".{name}.flac.123.tmp" for name in ("old", "new"))
    for path in (old, new, collection.folder / ".clips.csv.123.tmp"):
        path.touch()
        if path != new:  # another process may be writing this one
            os.utime(path, (0, 0))
    (collection.folder / "dub").rename(collection.folder / ".dub.moving")
    assert collection.read().clips == []
    collection.add_genre("jazz")
    assert [found.file for found in collection.read().clips] == [clip.file]
    assert [path.name for path in collection.folder.rglob("*.tmp")] == [new.name]


def test_a_clip_whose_line_could_not_be_written_is_not_there(
    collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise SystemExit

    for name in ("write_table", "write_whole"):
        with monkeypatch.context() as patch:
            patch.setattr(f"genre_app.data.collection.collection.{name}", killed)
            with pytest.raises(SystemExit):
                collection.add("dub", song(tmp_path, "a.wav"), origin="file")
        assert collection.read().clips == []
    assert collection.add("dub", song(tmp_path, "a.wav"), origin="file").clip.source == "a.wav"
    assert [clip.source for clip in collection.read().clips] == ["a.wav"]
