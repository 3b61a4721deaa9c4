"""The catalogue of a folder: what is classified again, what is kept, and what a kill or another process leaves."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import replace

import numpy as np
import pytest

from genre_app.audio import load_clip
from genre_app.errors import DataError
from genre_app.library import classify as classify_module
from genre_app.library import scan as scan_module
from genre_app.library.catalogue import PLACE, open_catalogue
from genre_app.library.classify import classify_new, identity_of
from genre_app.library.scan import scan
from genre_app.predict import classify
from genre_app.progress import Monitor, StoppedError
from tests.library.conftest import opened

FILES = ["2.flac", "3.flac", "a/0.flac", "a/1.flac"]


def test_each_file_gets_what_classify_says(music, update, checkpoint):
    first = update(music)
    assert sorted(first.names) == FILES
    assert (first.scanned.n_files, first.scanned.n_read, first.found.n_done, first.found.n_failed) == (4, 4, 4, 0)
    for path, track in first.tracks.items():
        expected = classify(load_clip(music / path), checkpoint)
        assert track.answer.genre == expected.genre
        assert track.answer.sure == expected.is_sure
        np.testing.assert_allclose([*track.answer.probabilities.values()], expected.probabilities, atol=1e-5)
        assert track.stamp[0] == (music / path).stat().st_size


def test_only_what_changed_is_classified_again(music, update, tmp_path):
    first = update(music)
    assert update(music).names == []
    os.utime(music / "2.flac")  # read again, with the same content
    again = update(music)
    assert (again.names, again.scanned.n_read) == ([], 1)
    (music / "b").mkdir()
    (music / "a/0.flac").rename(music / "b/moved.flac")
    (music / "copy.flac").write_bytes((music / "a/1.flac").read_bytes())
    (music / "3.flac").unlink()
    after = update(music)
    assert after.names == []
    assert after.scanned.n_removed == 2
    assert sorted(after.tracks) == ["2.flac", "a/1.flac", "b/moved.flac", "copy.flac"]
    assert after.tracks["b/moved.flac"].answer == first.tracks["a/0.flac"].answer
    assert after.tracks["copy.flac"].answer == first.tracks["a/1.flac"].answer
    (music / "2.flac").write_bytes((music / "copy.flac").read_bytes()[:-2000])
    assert update(music).names == ["2.flac"]
    music.rename(tmp_path / "elsewhere")
    assert update(tmp_path / "elsewhere").names == []


def test_two_new_copies_are_classified_once(music, update):
    for name in ("x.flac", "y.flac"):
        (music / name).write_bytes((music / "2.flac").read_bytes())
    found = update(music)
    assert len(found.names) == 4
    assert found.tracks["x.flac"].answer == found.tracks["y.flac"].answer == found.tracks["2.flac"].answer


def test_another_checkpoint_classifies_anew_and_the_first_is_still_known(music, update, checkpoint, make_checkpoint):
    first = update(music)
    other = update(music, make_checkpoint(seed=5))
    assert sorted(other.names) == FILES
    assert [t.answer.probabilities for t in other.tracks.values()] != [t.answer.probabilities for t in first.tracks.values()]
    back = update(music)
    assert (back.names, back.tracks) == ([], first.tracks)
    limits = checkpoint.sure.model_copy(update={"probability": 1.0})
    assert len({identity_of(one) for one in (checkpoint, make_checkpoint(seed=5), make_checkpoint())}) == 2
    assert identity_of(replace(checkpoint, temperature=0.8)) != identity_of(checkpoint)
    checkpoint.sure, before = limits, checkpoint.sure
    try:
        assert identity_of(checkpoint) != identity_of(make_checkpoint())
    finally:
        checkpoint.sure = before


def test_a_broken_file_has_its_sentence_and_waits_until_it_changes(music, update):
    (music / "bad.mp3").write_text("no music")
    (music / "link.wav").symlink_to("nowhere")
    os.mkfifo(music / "pipe.wav")
    first = update(music)
    assert first.found.n_failed == 1
    errors = {path: track.error for path, track in first.tracks.items() if track.error}
    assert errors.keys() == {"bad.mp3", "link.wav", "pipe.wav"}
    assert "bad.mp3" not in errors["bad.mp3"]
    assert "leads nowhere" in errors["link.wav"]
    assert "not a file" in errors["pipe.wav"]
    second = update(music)
    assert (second.names, second.scanned.n_read) == ([], 0)
    assert {path for path, track in second.tracks.items() if track.error} == errors.keys()
    assert update(music, retry=True).names == ["bad.mp3"]
    (music / "bad.mp3").write_bytes((music / "2.flac").read_bytes())
    assert update(music).tracks["bad.mp3"].error == ""


def test_a_file_that_could_not_be_read_is_read_again_on_request(music, update, monkeypatch):
    read = scan_module.content_of

    def failing(path, check):
        if path.name == "2.flac":
            raise OSError(5, "Input/output error")
        return read(path, check)

    with monkeypatch.context() as patch:
        patch.setattr(scan_module, "content_of", failing)
        assert update(music).tracks["2.flac"].error == "it cannot be read: Input/output error"
    assert update(music).names == []
    again = update(music, retry=True)
    assert (again.names, again.scanned.n_read, again.tracks["2.flac"].error) == (["2.flac"], 1, "")


def test_a_name_of_any_bytes_is_no_part_of_the_error(music, update):
    names = [os.fsdecode(name) for name in (b"caf\xe9.wav", b"a\nb.wav", b"x" * 200 + b".wav")]
    for index, name in enumerate(names):
        (music / name).write_bytes(b"RIFF" + bytes(100 + index))
    found = update(music)
    assert {found.tracks[name].error for name in names} == {found.tracks[names[0]].error}
    assert found.tracks[names[0]].error.startswith("the file is damaged")


def test_links_make_no_loop_and_any_bytes_are_a_name(music, update):
    (music / "a/up").symlink_to(music)
    (music / "a/same").symlink_to(music / "a")
    name = os.fsdecode(b"caf\xe9\n<b>.flac")
    (music / "2.flac").rename(music / name)
    found = update(music)
    assert sorted(found.tracks) == sorted([name, "3.flac", "a/0.flac", "a/1.flac"])
    assert found.tracks[name].shown == "caf\ufffd\n<b>.flac"
    assert update(music).names == []


def test_a_folder_that_cannot_be_listed_keeps_its_files(music, update, monkeypatch):
    update(music)
    walk = scan_module.audio_files

    def without_a(folder, on_error):
        on_error(PermissionError(13, "Permission denied", str(music / "a")))
        return (item for item in walk(folder) if item[0][0] != "a")

    monkeypatch.setattr(scan_module, "audio_files", without_a)
    found = update(music)
    assert sorted(found.tracks) == FILES
    assert "Permission denied" in found.scanned.unreadable[0]


def test_an_empty_folder_does_not_empty_the_catalogue(music, update):
    update(music)
    for path in FILES:
        (music / path).rename(music.parent / path.replace("/", "-"))
    with pytest.raises(DataError, match="connect its drive"):
        update(music)
    (music.parent / "2.flac").rename(music / "2.flac")
    assert update(music).names == []


def test_a_drive_that_is_connected_again_is_not_classified_again(music, update, tmp_path):
    first = update(music)
    (music / "a").rename(tmp_path / "away")
    assert sorted(update(music).tracks) == ["2.flac", "3.flac"]
    (tmp_path / "away").rename(music / "a")
    again = update(music)
    assert (again.names, again.tracks) == ([], first.tracks)


def test_a_file_that_changes_meanwhile_gets_no_answer(music, update, monkeypatch):
    def changing(tasks, work, here, *others):
        for task in tasks:
            answer = here(task)
            if task.track.path == "3.flac":
                os.utime(task.path, (1, 1))
            yield task, answer

    monkeypatch.setattr(classify_module, "in_pool", changing)
    found = update(music)
    assert (found.found.n_done, found.found.n_changed) == (3, 1)
    assert found.tracks["3.flac"].answer is None


def test_stopping_keeps_what_is_done(music, update, checkpoint, classified):
    seen = []
    with opened(music) as catalogue:
        scan(music, catalogue)
        with pytest.raises(StoppedError, match="stopped while classifying"):
            classify_new(music, catalogue, checkpoint, ["tiny"], monitor=Monitor(seen.append, lambda: len(seen) >= 1))
    assert [moment.done for moment in seen] == [1]
    assert len(update(music).names) == 3  # the second was broken off


def test_the_listing_of_a_large_folder_can_be_stopped(music, update):
    update(music)
    with opened(music) as catalogue, pytest.raises(StoppedError, match="stopped while listing files"):
        scan(music, catalogue, Monitor(should_stop=lambda: True))


def test_no_more_workers_start_than_there_are_files(music, update, monkeypatch):
    asked = []

    def noting(tasks, work, here, crashed, processes, monitor):
        asked.append(processes)
        return ((task, here(task)) for task in tasks)

    monkeypatch.setattr(classify_module, "in_pool", noting)
    update(music, processes=256)
    assert asked == [4]


# Files that are no catalogue


def test_other_files_are_refused_in_a_sentence(music, update, tmp_path):
    text, other = tmp_path / "text.sqlite", tmp_path / "other.sqlite"
    text.write_text("not a database, and longer than the header of a database, which has a hundred bytes" * 2)
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE files (path)")
    database.close()
    for path, reason in ((text, "not a database"), (other, "another program"), (tmp_path, "cannot be")):
        before = path.read_bytes() if path.is_file() else None
        with pytest.raises(DataError, match=reason) as caught, open_catalogue(path, music):
            pass
        assert "\n" not in str(caught.value)
        assert before is None or path.read_bytes() == before
    shared = tmp_path / "shared.sqlite"
    with open_catalogue(shared, music):
        pass
    with pytest.raises(DataError, match="is the catalogue of"), open_catalogue(shared, music / "a"):
        pass


def test_a_damaged_column_is_told(music, update):
    update(music)
    with sqlite3.connect(music / PLACE) as database:
        database.execute("UPDATE answers SET probabilities = '[1, 2]'")
    database.close()
    with pytest.raises(DataError, match="is damaged"):
        update(music)
