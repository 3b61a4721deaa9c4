"""What the page answers and what it refuses, without the page."""

from __future__ import annotations

import shutil

import pytest

from genre_app.checkpoint import save_checkpoint
from genre_app.errors import AudioError
from genre_app.runs import events
from genre_app.runs.request import Request
from genre_app.runs.run import Run
from genre_app.ui import service


def test_an_answer_lists_no_runs(bundled, song, tmp_path, monkeypatch, make_checkpoint):
    monkeypatch.setenv("GENRE_APP_RUNS", str(tmp_path / "runs"))
    first = Run.create(tmp_path / "runs" / "run-0", Request(recipe="default", data="/music"))
    for number in range(1, 400):
        shutil.copytree(first.path, tmp_path / "runs" / f"run-{number}")
    run = Run(tmp_path / "runs" / "run-7")
    run.record(events.Stopped())
    save_checkpoint(make_checkpoint(seed=3), run.best)
    read: list[str] = []
    monkeypatch.setattr(Run, "description", lambda self, read=read, real=Run.description: read.append(self.name) or real(self))
    monkeypatch.setattr(Run, "journal", lambda self, read=read, real=Run.journal: read.append(self.name) or real(self))
    assert service.answer(song).prediction.checkpoint == "default"
    assert read == []
    assert service.answer(song, checkpoint="run: run-7").prediction.checkpoint == "run: run-7"
    assert set(read) == {"run-7"}
    with pytest.raises(service.RequestError, match="no checkpoint 'run: none'"):
        service.answer(song, checkpoint="run: none")
    assert set(read) == {"run-7", "none"}
    assert "run: run-7" in service.checkpoint_choices()
    assert len(set(read)) == 401  # so the counter counts


def test_large_files_are_refused_unread(bundled, tmp_path, monkeypatch):
    path = tmp_path / "large.wav"
    with path.open("wb") as file:
        file.truncate(service.MAX_BYTES + 1)
    monkeypatch.setattr("genre_app.ui.service.open_audio", lambda *_, **__: pytest.fail("it was opened"))
    with pytest.raises(service.RequestError, match=r"large\.wav: 100 MB are more than"):
        service.answer(path)


def test_long_clips_are_refused(bundled, song, monkeypatch):
    monkeypatch.setattr(service, "MAX_SECONDS", 5.0)
    with pytest.raises(AudioError, match="longer than 5 s"):
        service.answer(song)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"vote": "loudest"}, "no vote 'loudest'"),
        ({"overlap": 1.0}, "between 0 and"),
        ({"overlap": float("nan")}, "between 0 and"),
        ({"checkpoint": "other"}, "no checkpoint 'other'"),
    ],
)
def test_requests_for_what_there_is_not(bundled, song, request_, words):
    with pytest.raises(service.RequestError, match=words):
        service.answer(song, **request_)


def test_visitors_cannot_name_the_servers_files_as_checkpoints(bundled, song, checkpoint_path):
    with pytest.raises(service.RequestError, match="There is no checkpoint"):
        service.answer(song, checkpoint=str(checkpoint_path))


def test_without_references_the_knn_vote_is_refused_in_words(bundled, song, make_checkpoint, monkeypatch):
    monkeypatch.setattr(service, "checkpoint_named", lambda name, own: make_checkpoint(references=False))
    with pytest.raises(service.RequestError, match="no reference tracks"):
        service.answer(song, vote="knn")
