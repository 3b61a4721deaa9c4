"""The Batch tab: files are classified one after the other, and a batch is stopped, cleared or replaced."""

from __future__ import annotations

import re
from pathlib import Path

import gradio as gr
import pytest

from genre_app.ui import service
from genre_app.ui.batch import tab
from genre_app.ui.batch.tab import classify_file
from tests.pages import handler, named
from tests.ui.batch.rows import batch, lines


def test_a_bad_file_does_not_stop_the_batch(app, song, tmp_path, checkpoint):
    bad = tmp_path / "bad.mp3"
    bad.write_text("no music")
    updates = [named(u) for u in batch(app, [song, str(bad), song])]
    assert [re.search(r"(\d) of 3", u["progress"])[1] for u in updates if u.get("progress")] == ["0", "1", "2", "3"]
    end = updates[-1]
    assert end["results"].count("<tr") == 1 + 3
    assert "not an audio file" in end["results"]
    assert "1 without an answer" in end["progress"]
    rows = lines(Path(end["Download CSV"].value["path"]).read_text())
    assert [row["file"] for row in rows] == ["song.wav", "bad.mp3", "song.wav"]
    assert rows[1]["genre"] == ""
    assert "not an audio file" in rows[1]["error"]
    assert rows[0] == rows[2]
    assert sum(float(rows[0][genre]) for genre in checkpoint.genres) == pytest.approx(1, abs=1e-6)


def test_a_batch_is_bounded(app, song, monkeypatch):
    monkeypatch.setattr("genre_app.ui.batch.tab.MAX_FILES", 2)
    *_, end = map(named, batch(app, [song] * 3))
    assert end["results"].count("<tr") == 1 + 2
    assert "2 of 2 done" in end["progress"]
    assert "takes 2 files" in end["progress"]


def test_stop_finishes_the_table_and_clear_empties_it(app, song, monkeypatch):
    running = batch(app, [song] * 3)
    going = named(next(running))["State"]
    stop = handler(app, "Stop", "click").fn

    def stopped_meanwhile(*arguments):
        stopping = named(stop(going))
        assert (stopping["Stop"].interactive, stopping["Stop"].value) == (False, "Stopping …")
        return classify_file(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(tab, "classify_file", stopped_meanwhile)
        _, end = map(named, running)
    assert (end["Classify again"].interactive, end["Stop"].interactive, end["Stop"].value) == (True, False, "Stop")
    assert "1 of 3 done · stopped" in end["progress"]
    assert end["results"].count("<tr") == 1 + 1
    assert "data-done" in end["results"]
    assert len(lines(Path(end["Download CSV"].value["path"]).read_text())) == 1
    clear = handler(app, "Songs", "clear").fn
    running = batch(app, [song] * 2)
    going = named(next(running))["State"]
    next(running)
    for cleared in (named(clear(going, 2.0)), *map(named, running)):
        assert (cleared["Classify again"].interactive, cleared["Stop"].interactive) == (False, False)
        assert cleared["results"] == cleared["progress"] == cleared["batch-score"] == ""
        assert cleared["Download CSV"].visible is False
        assert cleared["batch-player"].visible is False


def test_a_batch_ends_the_one_before_which_then_shows_nothing(app, song):
    before = batch(app, [song] * 2)
    going = named(next(before))["State"]
    next(before)
    *_, end = map(named, batch(app, [song], before=going))
    assert "1 of 1 done" in end["progress"]
    assert [list(update.values()) for update in before] == [[gr.skip()]]


def test_a_batch_that_waited_does_not_start_after_clear_or_a_later_batch(app, song):
    cleared = named(handler(app, "Songs", "clear").fn(None, 2.0))["State"]
    (update,) = batch(app, [song], before=cleared, asked=1.0)
    assert list(update.values()) == [gr.skip()]
    later = batch(app, [song], before=cleared, asked=3.0)
    going = named(next(later))["State"]
    assert len(list(batch(app, [song], before=going, asked=2.5))) == 1
    *_, end = map(named, later)
    assert "1 of 1 done" in end["progress"]


def test_without_references_the_knn_vote_is_a_rows_error(bundled, song, make_checkpoint, monkeypatch):
    monkeypatch.setattr(service, "checkpoint_named", lambda name, own: make_checkpoint(references=False))
    row = classify_file(song, None, "knn")
    assert row.prediction is None
    assert "no reference tracks" in row.error
