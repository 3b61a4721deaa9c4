"""Preparing audio: what is stored, what is skipped, resuming after a kill, reuse, and what makes it new."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from genre_app.audio import AudioError, load_clip
from genre_app.data import prepare as prepare_module
from genre_app.data import rows, workers
from genre_app.data.folder import AudioFolder
from genre_app.data.mel_cache import DataError, MelCache
from genre_app.data.prepare import Prepared, prepare
from genre_app.data.progress import StoppedError
from genre_app.data.row_file import RowFile
from genre_app.data.rows import read_rows
from genre_app.data.table import FeatureTable
from genre_app.features import FeatureSpec, extract, split_columns
from tests.conftest import synthesise

SPEC = FeatureSpec(n_mels=32, segment_seconds=1.0, segment_hop_seconds=0.5)


def write(path: Path, seconds: float = 2.0, seed: int = 0, rate: int = 22050, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, synthesise(seconds, seed, rate), rate, **options)
    return path


@pytest.fixture
def music(tmp_path):
    for index in range(3):
        write(tmp_path / f"music/blues/{index}.wav", 2.0 + index, index)
        write(tmp_path / f"music/jazz/{index}.flac", 2.0 + index, 10 + index)
    return tmp_path / "music"


@pytest.fixture
def decoded(monkeypatch):
    """Names of the files that are decoded in this process."""
    names = []

    def counting(path, name, spec, should_stop):
        names.append(name)
        return read_rows(path, name, spec, should_stop)

    monkeypatch.setattr(workers, "read_rows", counting)
    return names


def make(music, tmp_path, spec=SPEC, **options):
    return prepare(AudioFolder.find(music), spec, tmp_path / "work", processes=1, **options)


def stored(path: Path) -> dict[str, np.ndarray]:
    cache = MelCache.open(path)
    return {track.track_id: cache.columns(track) for track in cache.tracks}


# Columns


@pytest.mark.parametrize("chunk", [1 << 20, 1 << 13])
@pytest.mark.parametrize(
    "spec",
    [
        SPEC,
        FeatureSpec(hop_length=512, n_mels=128),
        FeatureSpec(n_fft=512, hop_length=1200, n_mels=16, sample_rate=16000, fmax=8000),  # gaps between frames
        FeatureSpec(kind="mfcc", top_db=60, db_reference="max", n_mels=40),
    ],
    ids=["default", "fine", "gaps", "mfcc"],
)
def test_columns_are_those_of_extract(tmp_path, monkeypatch, spec, chunk):
    monkeypatch.setattr(rows, "_CHUNK_SPECTRUM", chunk)
    path = write(tmp_path / "a.wav", 9.3, rate=44100)
    values = read_rows(path, "a", spec, lambda: False).values
    samples = load_clip(path, sample_rate=spec.sample_rate).samples
    bare = spec.model_copy(update={"kind": "log_mel", "db_reference": "one", "top_db": 80.0})
    expected = extract(torch.from_numpy(samples)[None], bare)[0].T.numpy()
    assert values.dtype == np.float16
    assert values.shape == expected.shape
    np.testing.assert_allclose(values.astype(np.float32), expected, rtol=2**-11, atol=1e-3)


def test_the_floor_lies_under_the_tracks_maximum_and_not_the_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "_CHUNK_SPECTRUM", 1 << 13)
    samples = synthesise(6.0)
    samples[: 3 * 22050] *= 1e-4
    soundfile.write(tmp_path / "a.wav", samples, 22050, subtype="FLOAT")
    values = read_rows(tmp_path / "a.wav", "a", SPEC, lambda: False).values.astype(np.float32)
    assert values.max() - values.min() == pytest.approx(80, abs=0.05)
    assert (values[:20] == values.min()).mean() > 0.3


def test_the_digest_tells_samples_and_not_containers(tmp_path):
    samples = np.round(synthesise(2.0) * 20000).astype(np.int16)
    paths = [tmp_path / name for name in ("a.wav", "b.flac", "c.aiff")]
    for path in paths:
        soundfile.write(path, samples, 22050)
    samples[1000] += 1
    soundfile.write(tmp_path / "d.wav", samples, 22050)
    digests = [read_rows(path, "x", SPEC, lambda: False).content for path in [*paths, tmp_path / "d.wav"]]
    assert len(set(digests[:3])) == 1
    assert digests[3] != digests[0]


def test_summaries_are_those_of_the_segments(tmp_path):
    spec = FeatureSpec(kind="summary", hop_length=1024, segment_seconds=1.0, segment_hop_seconds=1.0)
    path = write(tmp_path / "a.wav", 2.6)
    values = read_rows(path, "a", spec, lambda: False).values
    samples = load_clip(path).samples
    assert values.shape == (3, 58)
    assert values.dtype == np.float32
    first = extract(torch.from_numpy(samples[: spec.segment_samples])[None], spec)[0, :, 0]
    np.testing.assert_allclose(values[0], first.numpy(), rtol=1e-4, atol=1e-4)


def test_a_growing_array_is_an_array_at_each_end(tmp_path):
    path = tmp_path / "a.npy"
    for n, kept in ((3, 0), (2, 3), (0, 5)):
        with RowFile(path, 4, "<f2") as file:
            assert file.n_rows == kept
            assert file.append(np.full((n, 4), kept)) == kept
        values = np.load(path, mmap_mode="r")
        assert values.shape == (kept + n, 4)
        assert values.dtype == np.float16
    assert values[:, 0].tolist() == [0, 0, 0, 3, 3]
    with path.open("ab") as raw:
        raw.write(b"abc")  # of a row that was cut off
    with RowFile(path, 4, "<f2") as file:
        assert file.n_rows == 5


# The cache


def test_a_folder_becomes_a_mel_cache(music, tmp_path):
    moments = []
    made = make(music, tmp_path, on_progress=moments.append)
    cache = MelCache.open(made.path)
    assert [track.track_id for track in cache.tracks] == [f"{n}" for n in (
        "blues/0.wav", "blues/1.wav", "blues/2.wav", "jazz/0.flac", "jazz/1.flac", "jazz/2.flac")]  # fmt: skip
    assert {track.genre for track in cache.tracks} == {"blues", "jazz"}
    for track in cache.tracks:
        samples = load_clip(music / track.track_id).samples
        expected = extract(torch.from_numpy(samples)[None], SPEC)[0].T.numpy()
        np.testing.assert_allclose(cache.columns(track), expected, rtol=2**-11, atol=1e-3)
        assert len(split_columns(cache.columns(track), SPEC)[0]) > 1
    stated = json.loads((made.path / "spec.json").read_text())
    assert stated["n_mels"] == 32
    assert stated["unit"].startswith("dB re 1.0")
    assert [(moment.stage, moment.done, moment.total) for moment in moments] == [("decoding tracks", i, 6) for i in range(1, 7)]
    assert moments[-1].eta_seconds == 0
    assert not list((tmp_path / "work").glob("*.part"))


def test_files_that_cannot_be_used_are_skipped_with_a_sentence(music, tmp_path):
    (music / "blues/bad.wav").write_bytes(b"RIFF, it says")
    (music / "jazz/empty.mp3").write_bytes(b"")
    soundfile.write(music / "jazz/silent.wav", np.full(44100, 0.25), 22050)  # direct current is no sound
    write(music / "jazz/short.wav", 0.2)
    entries = make(music, tmp_path).entries
    errors = {name: entry.error for name, entry in entries.items() if entry.error}
    assert errors.keys() == {"blues/bad.wav", "jazz/empty.mp3", "jazz/silent.wav", "jazz/short.wav"}
    for name, error in errors.items():
        assert error.startswith(f"{name}: ")
    assert "damaged" in errors["blues/bad.wav"]
    assert "empty" in errors["jazz/empty.mp3"]
    assert "silent" in errors["jazz/silent.wav"]
    assert "too few" in errors["jazz/short.wav"]


def test_files_that_are_too_long_are_skipped(music, tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "MAX_SECONDS", 3.5)
    entries = make(music, tmp_path).entries
    assert {name for name, entry in entries.items() if entry.error} == {"blues/2.wav", "jazz/2.flac"}
    assert "longer than" in entries["blues/2.wav"].error


def test_a_damaged_file_is_used_as_far_as_it_goes(music, tmp_path):
    path = music / "blues/2.wav"
    path.write_bytes(path.read_bytes()[:100000])
    entry = make(music, tmp_path).entries["blues/2.wav"]
    assert entry.n_rows > 20
    assert "decoded only in part" in entry.damage


def test_nothing_usable_and_too_many_are_refused(tmp_path, music, monkeypatch):
    (tmp_path / "bad/a").mkdir(parents=True)
    (tmp_path / "bad/a/x.wav").write_bytes(b"x")
    with pytest.raises(DataError, match=r"Not one of the audio files can be used; .*x\.wav"):
        make(tmp_path / "bad", tmp_path)
    monkeypatch.setattr(prepare_module, "MAX_FILES", 5)
    with pytest.raises(DataError, match="more than 5 audio files"):
        make(music, tmp_path)


def test_a_name_that_is_no_text_is_skipped(music, tmp_path):
    source = os.fsencode(music / "blues/0.wav")
    try:
        shutil.copy(source, os.fsencode(music / "blues") + b"/\xff.wav")
    except OSError:
        pytest.skip("the file system takes names of UTF-8 only")
    entries = make(music, tmp_path).entries
    assert [entry.error for entry in entries.values() if entry.error] == [
        "blues/?.wav: its name is not valid UTF-8; rename the file"
    ]


# Again


def test_what_did_not_change_is_not_decoded_again(music, tmp_path, decoded):
    (music / "blues/bad.wav").write_bytes(b"RIFF, it says")
    first = make(music, tmp_path)
    assert len(decoded) == 7
    again = make(music, tmp_path, spec=SPEC.model_copy(update={"segment_seconds": 2.0, "kind": "mfcc"}))  # the same columns
    assert len(decoded) == 7
    assert again == first


def test_only_what_changed_is_decoded_again(music, tmp_path, decoded):
    first = make(music, tmp_path)
    before = stored(first.path)
    decoded.clear()
    write(music / "blues/1.wav", 3.0, seed=77)
    write(music / "blues/new.wav", 2.0, seed=78)
    (music / "jazz/0.flac").unlink()
    second = make(music, tmp_path)
    assert sorted(decoded) == ["blues/1.wav", "blues/new.wav"]
    after = stored(second.path)
    assert sorted(after) == ["blues/0.wav", "blues/1.wav", "blues/2.wav", "blues/new.wav", "jazz/1.flac", "jazz/2.flac"]
    for name in ("blues/0.wav", "blues/2.wav", "jazz/1.flac", "jazz/2.flac"):
        assert np.array_equal(after[name], before[name])
    assert not np.array_equal(after["blues/1.wav"], before["blues/1.wav"])
    assert not first.path.exists()  # its successor has all of it


def test_another_time_of_change_is_a_change(music, tmp_path, decoded):
    make(music, tmp_path)
    decoded.clear()
    os.utime(music / "blues/1.wav", ns=(1, 1))
    make(music, tmp_path)
    assert decoded == ["blues/1.wav"]


def test_another_spec_makes_another_cache_beside_the_first(music, tmp_path, decoded):
    first = make(music, tmp_path)
    other = make(music, tmp_path, spec=SPEC.model_copy(update={"n_mels": 16}))
    assert len(decoded) == 12
    assert MelCache.open(other.path).log_mel.shape[1] == 16
    make(music, tmp_path)
    assert len(decoded) == 12
    assert MelCache.open(first.path).log_mel.shape[1] == 32


def test_a_cache_that_lost_a_file_is_made_again(music, tmp_path):
    made = make(music, tmp_path)
    (made.path / "log_mel.npy").unlink()
    assert len(stored(make(music, tmp_path).path)) == 6


def test_stopping_keeps_what_is_done(music, tmp_path, decoded):
    complete = stored(prepare(AudioFolder.find(music), SPEC, tmp_path / "whole", processes=1).path)
    decoded.clear()
    seen = []
    with pytest.raises(StoppedError):
        make(music, tmp_path, on_progress=seen.append, should_stop=lambda: len(seen) >= 2)
    done = set(decoded[:2])
    assert len(decoded) == 3  # the third was broken off
    decoded.clear()
    moments = []
    after = stored(make(music, tmp_path, on_progress=moments.append).path)
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
        read_rows(path, "long", SPEC, stop_at_the_fifth_question)


KILLED = """
    import sys, time
    from pathlib import Path
    from genre_app.data import workers
    from genre_app.data.folder import AudioFolder
    from genre_app.data.prepare import Prepared, prepare
    from genre_app.features import FeatureSpec
    read = workers.read_rows
    def slowly(*args):
        time.sleep(0.1)
        return read(*args)
    workers.read_rows = slowly
    prepare(AudioFolder.find(sys.argv[1]), FeatureSpec(n_mels=32), Path(sys.argv[2]), processes=1)
"""


def test_a_killed_process_is_resumed_without_redoing(music, tmp_path, decoded):
    for index in range(20):
        write(music / f"blues/more{index}.wav", 1.0, 100 + index)
    whole = stored(prepare(AudioFolder.find(music), SPEC, tmp_path / "whole", processes=1).path)
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
    after = stored(made.path)
    assert sorted(decoded) == sorted(set(whole) - set(known))
    assert made.entries.keys() == whole.keys()  # the line that was cut off took no other with it
    assert after.keys() == whole.keys()
    assert all(np.array_equal(after[name], whole[name]) for name in whole)


def test_a_journal_without_its_rows_is_not_believed(music, tmp_path, decoded):
    with pytest.raises(StoppedError):
        make(music, tmp_path, should_stop=lambda: len(decoded) >= 4)
    (array,) = (tmp_path / "work").glob("*.part/log_mel.npy")
    array.write_bytes(b"")
    decoded.clear()
    assert len(stored(make(music, tmp_path).path)) == 6
    assert len(decoded) == 6


def test_a_full_disk_is_told_and_resumed(music, tmp_path, decoded, monkeypatch):
    append, calls = RowFile.append, []

    def full(self, values):
        calls.append(1)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        return append(self, values)

    monkeypatch.setattr(RowFile, "append", full)
    with pytest.raises(DataError, match="disk is full; make room or choose another folder, what is done is kept"):
        make(music, tmp_path)
    decoded.clear()
    make(music, tmp_path)
    assert len(decoded) == 4


def test_a_work_folder_that_cannot_be_made_is_told(music, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="cannot be written to"):
        prepare(AudioFolder.find(music), SPEC, tmp_path / "file" / "work", processes=1)


# Failures that pass


def fail_on(monkeypatch, name: str, error: Exception) -> None:
    """Let a file fail in this process; another one reads it."""

    def failing(path, track, spec, should_stop):
        if track == name:
            raise error
        return read_rows(path, track, spec, should_stop)

    monkeypatch.setattr(workers, "read_rows", failing)


def an_hour_later(made: Prepared) -> None:
    os.utime(made.path / "journal.jsonl", (time.time() - 3601,) * 2)


def of_the_disk() -> AudioError:
    error = AudioError("blues/1.wav: the file cannot be read; check the disk or the connection")
    error.__cause__ = OSError(5, "Input/output error")
    return error


@pytest.mark.slow
@pytest.mark.parametrize("error", [MemoryError(), of_the_disk()])
def test_a_failure_that_may_pass_is_tried_again_after_an_hour(music, tmp_path, monkeypatch, error):
    (music / "jazz/bad.flac").write_bytes(b"fLaC, it says")
    fail_on(monkeypatch, "blues/1.wav", error)
    first = make(music, tmp_path)
    assert first.entries["blues/1.wav"].error.startswith("blues/1.wav: ")
    assert make(music, tmp_path) == first
    before = stored(first.path)
    an_hour_later(first)
    assert make(music, tmp_path, retry=False) == first
    second = make(music, tmp_path)
    assert [name for name, entry in second.entries.items() if entry.error] == ["jazz/bad.flac"]
    after = stored(second.path)
    assert after.keys() == {*before, "blues/1.wav"}
    assert all(np.array_equal(after[name], before[name]) for name in before)
    an_hour_later(second)
    monkeypatch.setattr(prepare_module, "read_all", None)  # a damaged file stays damaged
    assert make(music, tmp_path) == second


@pytest.mark.slow
@pytest.mark.parametrize("case", ["stopped", "another file"])
def test_a_failure_that_may_pass_is_tried_again_where_a_cache_is_made(music, tmp_path, monkeypatch, case):
    fail_on(monkeypatch, "blues/0.wav", MemoryError())
    moments = []
    if case == "stopped":
        with pytest.raises(StoppedError):
            make(music, tmp_path, on_progress=moments.append, should_stop=lambda: len(moments) == 2)
    else:
        make(music, tmp_path)
        write(music / "jazz/new.wav", 2.0, seed=78)
    entries = make(music, tmp_path).entries
    assert not [entry.error for entry in entries.values() if entry.error]


# Worker processes


@pytest.mark.slow
def test_several_processes_store_the_same_and_survive_a_crash(music, tmp_path, monkeypatch):
    """The worker processes import a module that stands in for a decoder that crashes on one file."""
    (tmp_path / "crashing.py").write_text(
        textwrap.dedent("""
            import os
            from genre_app.data import workers
            read = workers.read_rows
            def crash(path, name, spec, should_stop):
                if name == "jazz/1.flac":
                    os._exit(139)
                return read(path, name, spec, should_stop)
            def work(track, spec):
                workers.read_rows = crash
                return workers._rows_or_reason(track, spec, lambda: False)
        """)
    )
    alone = make(music, tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    import crashing

    monkeypatch.setattr(workers, "_work", crashing.work)
    together = prepare(AudioFolder.find(music), SPEC, tmp_path / "other", processes=2)
    assert "crashed or ran out of memory" in together.entries["jazz/1.flac"].error
    assert together.entries["jazz/1.flac"].passing
    an_hour_later(together)
    assert prepare(AudioFolder.find(music), SPEC, tmp_path / "other", processes=1) == together  # and this process lives
    assert time.time() - (together.path / "journal.jsonl").stat().st_mtime < 60
    first, second = stored(alone.path), stored(together.path)
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
        list(workers.read_all(AudioFolder.find(tmp_path / "music").tracks, spec, 2, stop))
    assert time.monotonic() - begun[-1] < 30
    assert not multiprocessing.active_children()


# Tables


def test_a_folder_becomes_a_feature_table(music, tmp_path, decoded):
    spec = FeatureSpec(kind="summary", hop_length=1024, segment_seconds=1.0, segment_hop_seconds=1.0)
    folder = AudioFolder.find(music)
    folder = replace(folder, tracks=(folder.tracks[0], folder.tracks[3]))
    made = prepare(folder, spec, tmp_path / "work", processes=1)
    table = FeatureTable.open(made.path)
    assert table.spec == spec
    assert table.values.shape == (sum(track.n_frames for track in table.tracks), 58)
    again = prepare(folder, spec, tmp_path / "work", processes=1)
    assert again == made
    assert len(decoded) == 2
    prepare(folder, spec.model_copy(update={"segment_hop_seconds": 0.5}), tmp_path / "work", processes=1)
    assert len(decoded) == 4
