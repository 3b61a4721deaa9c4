"""What the page answers and what it refuses, without the page."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from genre_app.checkpoint import bundled_checkpoints, load_checkpoint, save_checkpoint
from genre_app.combine import combine
from genre_app.errors import AudioError, CheckpointError
from genre_app.predict import classify
from genre_app.runs import events
from genre_app.runs.request import Request
from genre_app.runs.run import Run
from genre_app.ui import limits, service
from genre_app.ui.offered import offered_now


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
    run.path.rename(run.path.with_name("a + b"))
    assert service.answer(song, checkpoint="run: a + b").prediction.checkpoint == "run: a + b"
    assert service.names_of("default + run: one") == ["default", "run: one"]
    (tmp_path / "runs" / "a + b").rename(run.path)
    read[:] = ["run-7", "none"]
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
    for module in (limits, service):
        monkeypatch.setattr(module, "MAX_SECONDS", 5.0)
    with pytest.raises(service.RequestError, match="longer than 5 s"):
        service.answer(song)


def test_the_number_of_segments_is_limited(bundled, song, checkpoint, monkeypatch):
    hop = checkpoint.spec.seconds(checkpoint.spec.segment_hop_frames)
    monkeypatch.setattr(limits, "MAX_SEGMENTS", round(7.0 / hop))
    assert limits.longest_seconds(checkpoint, None) == pytest.approx(7.0, abs=hop)
    twice = replace(checkpoint, members=checkpoint.members * 2)
    assert limits.longest_seconds(twice, None) == pytest.approx(3.5, abs=hop)
    with pytest.raises(service.RequestError, match=r"a clip may last \d s; cut it or choose less overlap"):
        service.answer(song, overlap=0.9)


def test_the_bundled_checkpoints_take_whole_clips():
    for name in bundled_checkpoints():
        assert limits.longest_seconds(load_checkpoint(name), None) == limits.MAX_SECONDS


def test_a_batch_is_limited_in_hours(bundled, song, tmp_path):
    """A file that gets no answer counts too."""
    silence = tmp_path / "silence.flac"
    soundfile.write(silence, np.zeros(8 * 22050, np.float32), 22050)
    seconds = soundfile.info(song).duration
    budget = limits.Budget(12.0 + seconds, 3600.0)
    with pytest.raises(AudioError, match="silent"):
        service.answer(silence, budget=budget)
    assert budget.seconds == pytest.approx(4.0 + seconds, abs=0.1)
    assert service.answer(song, budget=budget).prediction
    for _ in range(2):
        with pytest.raises(service.RequestError, match="one batch takes 1 h of audio in all; classify this file in another"):
            service.answer(silence, budget=budget)
    assert budget.seconds < 0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(10800.0, "3 h"), (3600.0, "1 h"), (5400.0, "90 min"), (119.9, "119 s"), (2465.7, "41 min"), (4.9, "4 s")],
)
def test_limits_are_rounded_down(seconds, words):
    assert limits.in_words(seconds) == words


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


def test_several_checkpoints_are_averaged(bundled, song, checkpoint, make_checkpoint, make_clip):
    other = make_checkpoint(seed=4)
    save_checkpoint(other, bundled / "other.safetensors")
    expected = classify(make_clip(12.0), combine([checkpoint, other]))
    for name in ("default + other", ["default", "other"], ["default", "other", "default"]):
        found = service.answer(song, checkpoint=name).prediction
        np.testing.assert_array_equal(found.segment_probabilities, expected.segment_probabilities)
        assert found.checkpoint == "default + other"
    parts = ["taught: rock + pop", "other", "run: a + b", "default"]
    assert service.names_of(" + ".join(parts)) == parts
    for empty in (None, "", []):
        assert service.checkpoint_named(empty).name == "default"
    assert service.still_offered(["other", "run: gone"])["value"] == ["other"]
    with pytest.warns(UserWarning, match="run: gone is no longer offered, so default answers from now on"):
        assert offered_now(["run: gone"]).value == ["default"]
    with pytest.raises(service.RequestError, match="no checkpoint 'run: none'"):
        service.answer(song, checkpoint="default + run: none")
    with pytest.raises(service.RequestError, match="5 checkpoints are more than the 4"):
        service.answer(song, checkpoint=["default", "a", "b", "c", "d"])
    renamed = replace(other, genres=("other", *other.genres[1:]))
    save_checkpoint(renamed, bundled / "renamed.safetensors")
    with pytest.raises(CheckpointError, match="checkpoints default and renamed cannot be combined: their genres are"):
        service.answer(song, checkpoint="default + renamed")
