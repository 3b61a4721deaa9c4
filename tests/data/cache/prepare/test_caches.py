"""What becomes of a folder: what is stored and skipped, reuse, and what makes a cache new."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch

from genre_app.audio import load_clip
from genre_app.data.cache import prepare as prepare_module
from genre_app.data.cache import rows
from genre_app.data.cache.mel_cache import MelCache
from genre_app.data.cache.prepare import prepare
from genre_app.data.sources.folder import AudioFolder
from genre_app.data.sources.table import FeatureTable
from genre_app.errors import DataError
from genre_app.features import FeatureSpec, extract, split_columns
from genre_app.progress import Monitor
from tests.data.cache.prepare.conftest import SPEC, make, stored, write


def test_a_folder_becomes_a_mel_cache(music, tmp_path):
    moments = []
    made = make(music, tmp_path, monitor=Monitor(moments.append))
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
