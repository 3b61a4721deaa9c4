"""What becomes of a folder: what is stored and skipped, reuse, and what makes a cache new."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import contextmanager

import numpy as np
import pytest
import soundfile
import torch

from genre_app.audio import load_clip
from genre_app.data.cache import prepare as prepare_module
from genre_app.data.cache import rows
from genre_app.data.cache.feature_table import FeatureTable
from genre_app.data.cache.mel_cache import MelCache
from genre_app.data.labelled import open_data
from genre_app.data.splits import SplitConfig
from genre_app.errors import DataError
from genre_app.features import FeatureSpec, extract, segment_start_frames
from genre_app.progress import Monitor
from tests.data.cache.prepare.conftest import SPEC, equal, make, stored, write


def test_a_folder_becomes_a_mel_cache(music, tmp_path):
    moments = []
    made = make(music, tmp_path, monitor=Monitor(moments.append))
    cache = MelCache.open(made.store.path)
    assert [track.track_id for track in cache.tracks] == [f"{n}" for n in (
        "blues/0.wav", "blues/1.wav", "blues/2.wav", "jazz/0.flac", "jazz/1.flac", "jazz/2.flac")]  # fmt: skip
    assert {track.genre for track in cache.tracks} == {"blues", "jazz"}
    for track in cache.tracks:
        samples = load_clip(music / track.track_id).samples
        expected = extract(torch.from_numpy(samples)[None], SPEC)[0].T.numpy()
        np.testing.assert_allclose(cache.rows(track), expected, rtol=2**-11, atol=1e-3)
        assert len(segment_start_frames(len(cache.rows(track)), SPEC)) > 1
    stated = json.loads((made.store.path / "spec.json").read_text())
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
    assert "too short" in errors["jazz/short.wav"]


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
    assert equal(again, first)


@pytest.mark.parametrize("name", ["log_mel.npy", "index.csv", "spec.json"])
def test_a_damaged_cache_is_built_again(music, tmp_path, name):
    before = stored(make(music, tmp_path))
    (file,) = (tmp_path / "work").rglob(name)
    file.write_bytes(b"")  # what a loss of power may leave
    after = stored(make(music, tmp_path))
    assert after.keys() == before.keys()
    assert all(np.array_equal(after[track], before[track]) for track in before)


def test_only_what_changed_is_decoded_again(music, tmp_path, decoded):
    first = make(music, tmp_path)
    before = stored(first)
    decoded.clear()
    write(music / "blues/1.wav", 3.0, seed=77)
    write(music / "blues/new.wav", 2.0, seed=78)
    (music / "jazz/0.flac").unlink()
    second = make(music, tmp_path)
    assert sorted(decoded) == ["blues/1.wav", "blues/new.wav"]
    after = stored(second)
    assert sorted(after) == ["blues/0.wav", "blues/1.wav", "blues/2.wav", "blues/new.wav", "jazz/1.flac", "jazz/2.flac"]
    for name in ("blues/0.wav", "blues/2.wav", "jazz/1.flac", "jazz/2.flac"):
        assert np.array_equal(after[name], before[name])
    assert not np.array_equal(after["blues/1.wav"], before["blues/1.wav"])
    assert not first.store.path.exists()  # its successor has all of it


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
    assert MelCache.open(other.store.path).values.shape[1] == 16
    make(music, tmp_path)
    assert len(decoded) == 12
    assert MelCache.open(first.store.path).values.shape[1] == 32


def test_a_cache_that_lost_a_file_is_made_again(music, tmp_path):
    made = make(music, tmp_path)
    (made.store.path / "log_mel.npy").unlink()
    assert len(stored(make(music, tmp_path))) == 6


def test_a_folder_becomes_a_feature_table(music, tmp_path, decoded):
    spec = FeatureSpec(kind="summary", hop_length=1024, segment_seconds=1.0, segment_hop_seconds=1.0)
    for name in ("blues/1.wav", "blues/2.wav", "jazz/1.flac", "jazz/2.flac"):
        (music / name).unlink()
    made = make(music, tmp_path, spec)
    table = FeatureTable.open(made.store.path)
    assert table.spec == spec
    assert table.values.shape == (sum(track.n_frames for track in table.tracks), 58)
    assert equal(make(music, tmp_path, spec), made)
    assert len(decoded) == 2
    make(music, tmp_path, spec.model_copy(update={"segment_hop_seconds": 0.5}))
    assert len(decoded) == 4


def test_a_cache_that_another_process_removes_stays_open(music, tmp_path, monkeypatch):
    """The cache is opened while its lock is held, so nobody can remove it between preparing and opening."""
    locked = prepare_module.locked

    @contextmanager
    def then_removed(path, monitor):
        with locked(path, monitor):
            yield
        for cache in path.parent.glob("mel-*-*"):
            shutil.rmtree(cache)

    monkeypatch.setattr(prepare_module, "locked", then_removed)
    data = open_data(music, SPEC, SplitConfig(), seed=0, work=tmp_path / "work", processes=1)
    assert not data.store.path.exists()
    assert all(data.store.rows(track).shape == (track.n_frames, 32) for track in data.tracks)
