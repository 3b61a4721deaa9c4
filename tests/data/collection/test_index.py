"""What a collection finds in its folder: its tables, and files that the user has copied there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from genre_app.data.collection import Collection
from genre_app.data.sources import open_source
from genre_app.errors import DataError
from genre_app.progress import QUIET
from tests.data.collection.songs import song


def test_a_table_that_a_spreadsheet_has_saved_is_read(collection: Collection, tmp_path: Path) -> None:
    clip = collection.add("dub", song(tmp_path, "a.wav"), origin="microphone", source_sha256="of the file").clip
    table = collection.folder / "clips.csv"
    table.write_text(table.read_text(), encoding="utf-8-sig")
    assert collection.read().clips == [clip]
    table.write_text(table.read_text().replace("a.wav", "a" * 100_000))
    assert collection.read().clips[0].source == "a" * 500


def test_a_damaged_table_costs_no_clip(collection: Collection, tmp_path: Path) -> None:
    clip = collection.add("dub", song(tmp_path, "a.wav"), origin="file").clip
    for content in (b"\xff\xfe\0", b"file,seconds\ndub/x,abc\n,\n", f"file,seconds\n{clip.file},1e999\n".encode(), b""):
        (collection.folder / "clips.csv").write_bytes(content)
        (found,) = collection.read().clips
        assert (found.id, found.seconds) == (clip.id, 3.0)


@pytest.mark.parametrize("content", ["{", "[1]", "{}", "[" * 100_000])
def test_a_damaged_list_of_genres_that_mean_none_of_these_is_empty(collection: Collection, content: str) -> None:
    collection.add_genre("noise")
    collection.mark_none_of_these("noise", True)
    (collection.folder / "none_of_these.json").write_text(content)
    contents = collection.read()
    assert (list(contents.genres), contents.none_of_these) == (["noise"], frozenset())


def test_a_copied_file_is_a_clip_and_training_opens_the_folder(collection: Collection, tmp_path: Path) -> None:
    collection.add("dub", song(tmp_path, "a.wav"), origin="file")
    collection.add_genre("ska")
    song(collection.folder / "ska", "by hand.wav", 4.0)
    assert [clip.seconds for clip in collection.read().genres["ska"]] == [4.0]
    assert sorted(track.genre for track in open_source(collection.folder, tmp_path / "work", QUIET).tracks) == ["dub", "ska"]


def test_the_folder_of_a_collection_may_have_a_name_that_is_no_text(collection: Collection, tmp_path: Path) -> None:
    collection.add_genre("ska")
    song(collection.folder / "ska", "by hand.wav", 4.0)
    try:
        moved = collection.folder.rename(tmp_path / os.fsdecode(b"\xff"))
    except OSError:
        pytest.skip("the file system takes names of UTF-8 only")
    assert [clip.seconds for clip in Collection(moved).read().genres["ska"]] == [4.0]


def test_a_copied_file_whose_name_is_no_text_is_left_out(collection: Collection, tmp_path: Path) -> None:
    collection.add_genre("dub")
    try:
        shutil.copy(song(tmp_path, "a.wav"), os.fsencode(collection.folder / "dub") + b"/\xff.wav")
    except OSError:
        pytest.skip("the file system takes names of UTF-8 only")
    assert collection.add("dub", song(tmp_path, "b.wav"), origin="file").clip in collection.read().clips
    assert len(collection.read().clips) == 1
    elsewhere = tmp_path / os.fsdecode(b"\xff")
    shutil.copytree(collection.folder / "dub", elsewhere / "dub")
    assert [clip.seconds for clip in Collection(elsewhere).read().clips] == [3.0]


def test_of_two_copied_files_with_one_name_none_is_taken_for_the_other(collection: Collection) -> None:
    for genre, hz in (("dub", 200), ("ska", 300)):
        collection.add_genre(genre)
        song(collection.folder / genre, "01.wav", hz=hz)
    for change in (collection.delete, collection.path, lambda name: collection.move(name, "dub")):
        with pytest.raises(DataError, match=r"2 clips have the name 01\.wav"):
            change("01.wav")
    with pytest.raises(DataError, match=r"dub and ska both have a file 01\.wav"):
        collection.rename_genre("dub", "ska")
    assert collection.rename_genre("dub", "jazz") == "jazz"
    assert [clip.file for clip in collection.read().clips] == ["jazz/01.wav", "ska/01.wav"]
