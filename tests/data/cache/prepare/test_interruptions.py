"""Preparing that is stopped, killed or out of means, and several processes."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from genre_app.data.cache import build, workers
from genre_app.data.cache import prepare as prepare_module
from genre_app.data.cache.prepare import Prepared
from genre_app.data.cache.rows import read_rows
from genre_app.data.sources.folder import AudioFolder
from genre_app.errors import AudioError, DataError
from genre_app.features import FeatureSpec
from genre_app.progress import Monitor, StoppedError
from tests import forked
from tests.data.cache.prepare.conftest import SPEC, equal, make, stored, write


def test_stopping_keeps_what_is_done(music, tmp_path, decoded):
    complete = stored(make(music, tmp_path, work="whole"))
    decoded.clear()
    seen = []
    with pytest.raises(StoppedError):
        make(music, tmp_path, monitor=Monitor(seen.append, lambda: len(seen) >= 2))
    done = set(decoded[:2])
    assert len(decoded) == 3  # the third was broken off
    decoded.clear()
    moments = []
    after = stored(make(music, tmp_path, monitor=Monitor(moments.append)))
    assert not done & set(decoded)
    assert len(decoded) == 4
    assert moments[-1].done == 6
    assert all(np.array_equal(after[name], complete[name]) for name in complete)


def test_stopping_does_not_wait_for_a_long_file(tmp_path):
    asked = 0

    def stop_at_the_fifth_question():
        nonlocal asked
        asked += 1
        return asked > 4

    path = write(tmp_path / "long.wav", 60.0)
    with pytest.raises(StoppedError):
        read_rows(path, "long", SPEC, Monitor(should_stop=stop_at_the_fifth_question))


KILLED = """
    import sys, time
    from pathlib import Path
    from genre_app.data.cache import workers
    from genre_app.data.sources.folder import AudioFolder
    from genre_app.data.cache.prepare import prepare
    from genre_app.features import FeatureSpec
    read = workers.read_rows
    def slowly(*args):
        time.sleep(0.1)
        return read(*args)
    workers.read_rows = slowly
    music = Path(sys.argv[1])
    prepare(music, AudioFolder.find(music).tracks, FeatureSpec(n_mels=32), Path(sys.argv[2]), processes=1)
"""


def test_a_killed_process_is_resumed_without_redoing(music, tmp_path, decoded):
    for index in range(20):
        write(music / f"blues/more{index}.wav", 1.0, 100 + index)
    whole = stored(make(music, tmp_path, work="whole"))
    decoded.clear()
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(KILLED), str(music), str(tmp_path / "work")])
    deadline = time.monotonic() + 60
    journals: list[Path] = []
    while time.monotonic() < deadline and not (journals and journals[0].read_bytes().count(b"}") >= 5):
        time.sleep(0.02)
        journals = list((tmp_path / "work").glob("*.part/journal.jsonl"))
    process.send_signal(signal.SIGKILL)
    process.wait()
    (journal,) = journals
    known = [json.loads(line)["track_id"] for line in journal.read_text().splitlines() if line.strip()]
    assert 5 <= len(known) < 26
    with journal.open("a") as file:
        file.write('{"track_id": "blues/0.wa')  # a line that the kill cut off
    made = make(music, tmp_path)
    after = stored(made)
    assert sorted(decoded) == sorted(set(whole) - set(known))
    assert made.entries.keys() == whole.keys()  # the line that was cut off took no other with it
    assert after.keys() == whole.keys()
    assert all(np.array_equal(after[name], whole[name]) for name in whole)


def test_a_journal_without_its_rows_is_not_believed(music, tmp_path, decoded):
    with pytest.raises(StoppedError):
        make(music, tmp_path, monitor=Monitor(should_stop=lambda: len(decoded) >= 4))
    rows = sorted((tmp_path / "work").glob("*.part/rows/*.npy"))
    assert len(rows) == 3  # the fourth was broken off
    rows[0].unlink()
    rows[1].write_bytes(rows[1].read_bytes()[:-9])
    decoded.clear()
    assert len(stored(make(music, tmp_path))) == 6
    assert len(decoded) == 5


def test_a_full_disk_is_told_and_resumed(music, tmp_path, decoded, monkeypatch):
    save, calls = build.save_rows, []

    def full(path, rows):
        calls.append(1)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        save(path, rows)

    monkeypatch.setattr(build, "save_rows", full)
    with pytest.raises(DataError, match="disk is full; make room or choose another folder, what is done is kept"):
        make(music, tmp_path)
    decoded.clear()
    make(music, tmp_path)
    assert len(decoded) == 4


def test_a_work_folder_that_cannot_be_made_is_told(music, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="cannot be written to"):
        make(music, tmp_path, work="file/work")


# Failures that pass


@pytest.fixture
def _forks(monkeypatch):
    """Fork the worker processes instead of importing torch in each; `test_workers_stop_soon` and test_pool.py spawn them."""
    monkeypatch.setattr(workers, "get_context", lambda method: forked.server)


def fail_on(monkeypatch, name: str, error: Exception) -> None:
    """Let a file fail in this process; another one reads it."""

    def failing(path, track, spec, monitor):
        if track == name:
            raise error
        return read_rows(path, track, spec, monitor)

    monkeypatch.setattr(workers, "read_rows", failing)


def an_hour_later(made: Prepared) -> None:
    os.utime(made.store.path / "journal.jsonl", (time.time() - 3601,) * 2)


def of_the_disk() -> AudioError:
    error = AudioError("blues/1.wav: the file cannot be read; check the disk or the connection")
    error.__cause__ = OSError(5, "Input/output error")
    return error


@pytest.mark.slow
@pytest.mark.usefixtures("_forks")
@pytest.mark.parametrize("error", [MemoryError(), of_the_disk()])
def test_a_failure_that_may_pass_is_tried_again_after_an_hour(music, tmp_path, monkeypatch, error):
    (music / "jazz/bad.flac").write_bytes(b"fLaC, it says")
    fail_on(monkeypatch, "blues/1.wav", error)
    first = make(music, tmp_path)
    assert first.entries["blues/1.wav"].error.startswith("blues/1.wav: ")
    assert equal(make(music, tmp_path), first)
    before = stored(first)
    an_hour_later(first)
    assert equal(make(music, tmp_path, retry=False), first)
    second = make(music, tmp_path)
    assert [name for name, entry in second.entries.items() if entry.error] == ["jazz/bad.flac"]
    after = stored(second)
    assert after.keys() == {*before, "blues/1.wav"}
    assert all(np.array_equal(after[name], before[name]) for name in before)
    an_hour_later(second)
    monkeypatch.setattr(prepare_module, "Builder", None)  # a damaged file stays damaged
    assert equal(make(music, tmp_path), second)


@pytest.mark.slow
@pytest.mark.usefixtures("_forks")
@pytest.mark.parametrize("case", ["stopped", "another file"])
def test_a_failure_that_may_pass_is_tried_again_where_a_cache_is_made(music, tmp_path, monkeypatch, case):
    fail_on(monkeypatch, "blues/0.wav", MemoryError())
    moments = []
    if case == "stopped":
        with pytest.raises(StoppedError):
            make(music, tmp_path, monitor=Monitor(moments.append, lambda: len(moments) == 2))
    else:
        make(music, tmp_path)
        write(music / "jazz/new.wav", 2.0, seed=78)
    entries = make(music, tmp_path).entries
    assert not [entry.error for entry in entries.values() if entry.error]


# Worker processes


@pytest.mark.slow
@pytest.mark.usefixtures("_forks")
def test_several_processes_store_the_same_and_survive_a_crash(music, tmp_path, monkeypatch):
    """The worker processes import a module that stands in for a decoder that crashes on one file."""
    (tmp_path / "crashing.py").write_text(
        textwrap.dedent("""
            import os
            from genre_app.data.cache import workers
            from genre_app.progress import QUIET
            read = workers.read_rows
            def crash(path, name, spec, monitor):
                if name == "jazz/1.flac":
                    os._exit(139)
                return read(path, name, spec, monitor)
            def work(track, spec):
                workers.read_rows = crash
                return workers._rows_or_failure(track, spec, QUIET)
        """)
    )
    alone = make(music, tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    import crashing

    monkeypatch.setattr(workers, "_work", crashing.work)
    together = make(music, tmp_path, work="other", processes=2)
    assert "crashed or ran out of memory" in together.entries["jazz/1.flac"].error
    assert together.entries["jazz/1.flac"].passing
    an_hour_later(together)
    assert equal(make(music, tmp_path, work="other"), together)  # and this process lives
    assert time.time() - (together.store.path / "journal.jsonl").stat().st_mtime < 60
    first, second = stored(alone), stored(together)
    assert first.keys() - second.keys() == {"jazz/1.flac"}
    for name in second:
        np.testing.assert_allclose(first[name], second[name], atol=0.02)
        assert alone.entries[name].content == together.entries[name].content


@pytest.mark.slow
def test_workers_stop_soon(tmp_path):
    for index in range(4):
        write(tmp_path / f"music/a/{index}.wav", 100.0, index, rate=8000)
    begun = []

    def stop():
        begun.append(time.monotonic())
        return len(begun) > 2

    spec = FeatureSpec(kind="summary", hop_length=512)  # a minute's work
    with pytest.raises(StoppedError):
        list(workers.read_all(AudioFolder.find(tmp_path / "music").tracks, spec, 2, Monitor(should_stop=stop)))
    assert time.monotonic() - begun[-1] < 30
    assert not multiprocessing.active_children()
