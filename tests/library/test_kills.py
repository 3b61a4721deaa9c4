"""A command that is killed, another process on the same catalogue, and workers that crash."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import time
from contextlib import closing

import numpy as np
import pytest

from genre_app.data.cache import workers
from genre_app.errors import DataError
from genre_app.library import classify as classify_module
from genre_app.library.catalogue import PLACE
from genre_app.library.classify import classify_new
from genre_app.library.scan import scan
from tests import forked
from tests.library import forks
from tests.library.conftest import opened


def n_answers(music) -> int:
    try:
        with closing(sqlite3.connect(f"file:{music / PLACE}?mode=ro", uri=True)) as database:
            return database.execute("SELECT count(*) FROM answers").fetchone()[0]
    except sqlite3.Error:
        return 0


def test_a_killed_command_loses_only_the_file_in_work(music, update, checkpoint_path, tmp_path):
    for index in range(12):  # other contents for the same work
        (music / f"more{index}.flac").write_bytes((music / "2.flac").read_bytes() + bytes([index]))
    command = [sys.executable, "-m", "genre_app", "library", str(music), "--checkpoint", str(checkpoint_path)]
    with (tmp_path / "log").open("wb") as log:
        process = forks.SlowCommand(command, stdout=log)
    deadline = time.monotonic() + 120
    while n_answers(music) < 3 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGSTOP)  # it still has the catalogue
    with pytest.raises(DataError, match="Another process works on the catalogue"), opened(music):
        pass
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = n_answers(music)
    assert 3 <= kept < 16, (tmp_path / "log").read_text()
    with closing(sqlite3.connect(music / PLACE)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    resumed = update(music)
    assert len(resumed.names) == 16 - kept
    assert all(track.answer.probabilities for track in resumed.tracks.values())


def test_workers_give_the_same_and_survive_a_crash(music, checkpoint, checkpoint_path, update, monkeypatch):
    expected = update(music).tracks
    monkeypatch.undo()
    monkeypatch.setattr(workers, "get_context", lambda method: forked.server)
    monkeypatch.setattr(classify_module, "_in_worker", forks.crash)
    (music / PLACE).unlink()
    with opened(music) as catalogue:
        scan(music, catalogue)
        found = classify_new(music, catalogue, checkpoint, [str(checkpoint_path)], processes=2)
        tracks = {track.path: track for track in catalogue.tracks()}
    assert (found.n_done, found.n_failed) == (4, 1)
    assert "crashed or ran out of memory" in tracks.pop("2.flac").error
    for path, track in tracks.items():
        probabilities = [*expected[path].answer.probabilities.values()]
        np.testing.assert_allclose([*track.answer.probabilities.values()], probabilities, atol=1e-5)
