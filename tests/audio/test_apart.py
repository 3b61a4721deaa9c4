"""Decoding in worker processes: the same samples, and a crash that ends one file alone."""

import errno
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from genre_app.audio import apart, load_clip, open_audio, worker
from genre_app.errors import AudioError

_CRASHED = "decoding it crashed, took too long or needed too much memory; convert it to WAV"


@pytest.fixture(scope="module")
def pool() -> Iterator[apart.Pool]:
    pool = apart.Pool(1, "tests.audio.crashing")
    yield pool
    _end(pool)


@pytest.fixture
def apart_from_here(pool: apart.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "_pool", pool)


def _end(pool: apart.Pool) -> None:
    for idle in pool._idle:
        idle.stop()


def _file(path: Path, seconds: float = 4.0) -> Path:
    tone = 2.0 * np.sin(np.arange(round(44100 * seconds)) * 0.03)  # clipped by 6 dB
    soundfile.write(path, np.stack([tone, tone], axis=1).clip(-1, 1), 44100)
    return path


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3"])
def test_a_worker_gives_the_samples_and_the_warnings_of_this_process(
    suffix: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = _file(tmp_path / f"tone.{suffix}")
    here = load_clip(path, sample_rate=16000)
    request.getfixturevalue("apart_from_here")
    there = load_clip(path, sample_rate=16000)
    np.testing.assert_array_equal(there.samples, here.samples)
    assert (there.name, there.warnings) == (here.name, here.warnings)
    assert any(warning.startswith("clipped") for warning in there.warnings)


@pytest.mark.usefixtures("apart_from_here")
def test_the_block_of_the_lowest_rate_at_the_highest_one_arrives(tmp_path: Path) -> None:
    tone = 0.5 * np.sin(np.arange(40 * 4000) * 0.03)
    soundfile.write(tmp_path / "low.wav", tone, 4000)
    assert load_clip(tmp_path / "low.wav", sample_rate=192000).duration_seconds == 40.0


@pytest.mark.usefixtures("apart_from_here")
def test_errors_are_those_of_this_process(tmp_path: Path) -> None:
    (tmp_path / "notes.mp3").write_text("no music")
    for name, sentence in [("notes.mp3", "this is not an audio file"), ("gone.mp3", "there is no such file"), ("", "a folder")]:
        with pytest.raises(AudioError, match=sentence):
            open_audio(tmp_path / name)
    with (
        pytest.raises(AudioError, match="longer than 2 s"),
        open_audio(_file(tmp_path / "long.wav"), max_seconds=2.0) as stream,
    ):
        list(stream.blocks())
    assert stream.n_samples > 2.0 * stream.sample_rate


@pytest.mark.usefixtures("apart_from_here")
@pytest.mark.parametrize("kind", ["crash-opened", "crash-decoding", "strange"])
def test_a_crash_of_the_decoder_is_one_sentence_and_others_go_on(kind: str, tmp_path: Path) -> None:
    good = _file(tmp_path / "good.wav")
    bad = _file(tmp_path / f"{kind}.wav")
    with open_audio(good) as stream:
        blocks = stream.blocks()
        first = next(blocks)
        with pytest.raises(AudioError, match=f"{kind}.wav: {_CRASHED}"):
            load_clip(bad)
        rest = list(blocks)  # of the file that was open all the time
    assert len(first) + sum(map(len, rest)) == 4 * 22050
    assert load_clip(good).duration_seconds == 4.0


@pytest.mark.usefixtures("apart_from_here")
def test_a_decoder_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "_PATIENCE_SECONDS", 0.2)
    with pytest.raises(AudioError, match=_CRASHED):
        load_clip(_file(tmp_path / "hang.wav"))
    monkeypatch.undo()


@pytest.mark.usefixtures("apart_from_here")
@pytest.mark.parametrize("how", ["half", "drip", "huge", "endless", "slow", "empty", "not-finite", "short"])
def test_a_worker_that_a_file_has_taken_over_cannot_hold_up_its_request(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_clip(_file(tmp_path / "good.wav"))  # leaves an idle worker, so that the time is not that of a start
    monkeypatch.setattr(apart, "_PATIENCE_SECONDS", 0.5)
    monkeypatch.setattr(apart, "_MAX_WAIT_SECONDS", 1.0)
    with pytest.raises(AudioError, match=f"taken-over-{how}.wav: {_CRASHED}"):
        load_clip(_file(tmp_path / f"taken-over-{how}.wav"), max_seconds=3600.0)
    monkeypatch.undo()


def test_a_decoder_that_hangs_is_waited_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = apart.Pool(2, "tests.audio.crashing")
    monkeypatch.setattr(apart, "_pool", pool)
    monkeypatch.setattr(apart, "_PATIENCE_SECONDS", 0.2)
    with pytest.raises(AudioError, match=_CRASHED):
        load_clip(_file(tmp_path / "hang.wav"))
    assert len(pool._idle) == 1
    _end(pool)


def test_a_worker_that_died_while_idle_is_replaced(pool: apart.Pool, tmp_path: Path) -> None:
    path = str(_file(tmp_path / "good.wav"))
    options = {"sample_rate": 22050, "min_seconds": 0.5, "max_seconds": None}
    pool.open(path, "good.wav", **options).close()  # not read to its end: this worker is ended
    with pool.open(path, "good.wav", **options) as stream:
        list(stream.blocks())
        process = stream._worker._process
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with pool.open(path, "good.wav", **options) as stream:
        assert sum(map(len, stream.blocks())) == 4 * 22050


def test_a_system_that_takes_no_limit_of_memory_decodes_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("current limit exceeds maximum limit")  # what Python says on macOS 12 and later

    monkeypatch.setattr(resource, "setrlimit", refuse)
    worker._limit_memory()


def test_a_worker_that_cannot_start_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(apart, "_pool", apart.Pool(0, "tests.audio.crashing"))
    monkeypatch.setattr(apart.child, "start", refuse)
    with pytest.raises(AudioError, match=f"good.wav: {_CRASHED}"):
        load_clip(_file(tmp_path / "good.wav"))
