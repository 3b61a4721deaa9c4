"""Evaluation: metrics by hand, folders of audio, mel caches, and what is refused."""

from __future__ import annotations

import csv
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from genre_app.audio import Clip, load_clip
from genre_app.checkpoint import Member
from genre_app.combine import combine
from genre_app.data.sources.folder import AudioFolder, match_genres
from genre_app.errors import DataError
from genre_app.evaluation.evaluate import evaluate
from genre_app.features import COLUMN_FIELDS, FeatureSpec, extract
from genre_app.predict import classify
from genre_app.vote import References

RATE = 22050
TRACKS = {"blues/a": 0, "blues/b": 1, "hiphop/c": 2, "hiphop/d": 3, "hiphop/deep/er/e": 4, "rock/f": 5}  # path and seed


def track(make_clip, seed: int) -> Clip:
    """Music over a steady hiss, so that no column reaches the floor, which for a store is the track's and not the segment's."""
    clip = make_clip(5.0 + seed, seed)
    hiss = np.random.default_rng(seed).normal(0, 0.003, len(clip.samples)).astype(np.float32)
    return replace(clip, samples=clip.samples + hiss)


@pytest.fixture(scope="module")
def folder(make_clip, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("tracks")
    for path, seed in TRACKS.items():
        file = root / f"{path}.wav"
        file.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(file, track(make_clip, seed).samples, RATE, subtype="FLOAT")
    return root


def write_cache(root: Path, make_clip, spec: FeatureSpec, **changes) -> Path:
    columns, rows, offset = [], [], 0
    for index, (path, seed) in enumerate(TRACKS.items()):
        samples = torch.from_numpy(track(make_clip, seed).samples)[None]
        columns.append(extract(samples, spec)[0].T.numpy())
        rows.append(
            [path.rpartition("/")[2], path.partition("/")[0], "valid" if index % 2 else "train", offset, len(columns[-1])]
        )
        offset += len(columns[-1])
    stored = {name: getattr(spec, name) for name in COLUMN_FIELDS}
    (root / "spec.json").write_text(json.dumps({"kind": "log_mel", **stored, **changes}))
    np.save(root / "log_mel.npy", np.concatenate(columns).astype(np.float16))
    with (root / "index.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["track_id", "genre", "split", "offset", "n_frames"], *rows])
    return root


# Folders of audio


def test_a_folder_gives_what_classify_gives(folder, make_clip, checkpoint):
    report = evaluate(folder, checkpoint)
    assert [result.track_id for result in report.tracks] == [f"{path}.wav" for path in TRACKS]
    for result, (path, seed) in zip(report.tracks, TRACKS.items(), strict=True):
        assert checkpoint.genres[result.label] == path.partition("/")[0]
        expected = classify(track(make_clip, seed), checkpoint)
        np.testing.assert_array_equal(result.probabilities, expected.segment_probabilities)
    assert report.failed == ()


def test_the_number_of_workers_changes_nothing(folder, checkpoint):
    calls = []
    reports = [evaluate(folder, checkpoint, workers=n, on_track=lambda *call: calls.append(call)) for n in (1, 4)]
    assert reports[0].to_dict() == reports[1].to_dict()
    assert calls == [(done, 6) for done in range(1, 7)] * 2


def test_overlap_makes_more_segments(folder, checkpoint):
    dense, plain = (evaluate(folder, checkpoint, overlap=overlap) for overlap in (0.8, None))
    assert all(len(a.probabilities) > len(b.probabilities) for a, b in zip(dense.tracks, plain.tracks, strict=True))


def test_bad_files_are_reported_and_stop_nothing(folder, checkpoint, tmp_path):
    for name, target in (("blues", folder / "blues"), ("rock", folder / "rock")):
        (tmp_path / name).mkdir()
        for file in target.iterdir():
            (tmp_path / name / file.name).write_bytes(file.read_bytes())
    (tmp_path / "rock" / "text.mp3").write_text("no music")
    (tmp_path / "rock" / "empty.wav").touch()
    soundfile.write(tmp_path / "rock" / "silent.wav", np.zeros(4 * RATE), RATE)
    # Passed over: hidden, no audio by its ending, not in a genre's folder.
    for name in ("rock/._f.wav", ".DS_Store", "rock/cover.png", "rock/notes.txt", "rock/f.wav.json", "loose.wav", ".git/a.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    report = evaluate(tmp_path, checkpoint, workers=2)
    assert [result.track_id for result in report.tracks] == ["blues/a.wav", "blues/b.wav", "rock/f.wav"]
    assert [file for file, _ in report.failed] == ["rock/empty.wav", "rock/silent.wav", "rock/text.mp3"]
    assert "no sound to classify" in report.failed[1][1]


def test_silent_segments_count_nowhere(make_clip, checkpoint, tmp_path):
    (tmp_path / "rock").mkdir()
    samples = np.concatenate([make_clip(4.0).samples, np.zeros(8 * RATE, np.float32)])
    soundfile.write(tmp_path / "rock" / "a.wav", samples, RATE, subtype="FLOAT")
    (result,) = evaluate(tmp_path, checkpoint).tracks
    expected = classify(load_clip(tmp_path / "rock" / "a.wav"), checkpoint)
    assert 0 < expected.n_sounding < len(expected.segment_sounds)
    np.testing.assert_array_equal(result.probabilities, expected.segment_probabilities[expected.segment_sounds])


def test_nothing_that_can_be_classified_is_an_error(checkpoint, tmp_path):
    (tmp_path / "rock").mkdir()
    (tmp_path / "rock" / "text.mp3").write_text("no music")
    with pytest.raises(DataError, match=r"not one of 1 tracks can be classified; the first says: .*text\.mp3"):
        evaluate(tmp_path, checkpoint)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_links_are_followed_once(folder, checkpoint, tmp_path):
    root = tmp_path / "data"
    (root / "rock").mkdir(parents=True)
    (root / "rock" / "own.wav").write_bytes((folder / "rock" / "f.wav").read_bytes())
    (root / "rock" / "out.wav").symlink_to(folder / "rock" / "f.wav")
    (root / "rock" / "gone.wav").symlink_to(tmp_path / "nothing.wav")
    (root / "blues").symlink_to(folder / "blues")
    (root / "rock" / "loop").symlink_to(root / "rock")
    (root / "rock" / "twice").symlink_to(folder / "blues")
    report = evaluate(root, checkpoint)
    found = [result.track_id for result in report.tracks]
    assert len([name for name in found if name.startswith("blues/")]) > 0
    assert [name for name in found if name.startswith("rock/")] == ["rock/out.wav", "rock/own.wav"]
    assert "rock/gone.wav" in [file for file, _ in report.failed]


def test_splits_of_a_folder(folder, checkpoint, tmp_path):
    for split, genre in (("train", "blues"), ("test", "rock")):
        (tmp_path / split / genre).mkdir(parents=True)
        for file in (folder / genre).iterdir():
            (tmp_path / split / genre / file.name).write_bytes(file.read_bytes())
    report = evaluate(tmp_path, checkpoint, split="test")
    assert [result.track_id for result in report.tracks] == ["rock/f.wav"]
    with pytest.raises(DataError, match=r"no folder 'valid' for this split \(it has test, train\)"):
        evaluate(tmp_path, checkpoint, split="valid")
    with pytest.raises(DataError, match=r"no folder '\.\./other'"):
        evaluate(tmp_path, checkpoint, split="../other")
    with pytest.raises(DataError, match="does not know: test, train"):
        evaluate(tmp_path, checkpoint)
    with pytest.raises(DataError, match="no folder 'test' for this split"):
        evaluate(folder, checkpoint, split="test")


def test_genres_are_matched_by_their_letters(checkpoint):
    found = match_genres(["Hip-Hop", "hip hop", "HIPHOP", "rock", "R&B"], [*checkpoint.genres, "rb"], Path("data"))
    assert found == {"Hip-Hop": 4, "hip hop": 4, "HIPHOP": 4, "rock": 9, "R&B": 10}
    assert match_genres(["Forro\u0301"], ["forr\u00f3"], Path("data")) == {"Forro\u0301": 0}  # two ways to write an accent


def test_a_genre_that_the_checkpoint_does_not_know_is_refused(checkpoint, tmp_path):
    for genre in ("polka", "rock", "techno"):
        (tmp_path / genre).mkdir()
        (tmp_path / genre / "a.wav").touch()
    with pytest.raises(DataError, match=r"does not know: polka, techno \(it knows blues, .*, rock\)"):
        evaluate(tmp_path, checkpoint)


def test_a_folder_without_tracks_is_refused(checkpoint, tmp_path):
    with pytest.raises(DataError, match="has no audio files in genre folders"):
        evaluate(tmp_path, checkpoint)
    (tmp_path / "song.wav").touch()
    with pytest.raises(DataError, match="has no audio files in genre folders"):
        AudioFolder.open(tmp_path)
    for missing in (tmp_path / "none", tmp_path / "song.wav", "a\0b"):
        with pytest.raises(DataError, match="is not a folder"):
            evaluate(missing, checkpoint)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="needs permissions that bind")
def test_a_folder_that_may_not_be_read_is_said(folder, tmp_path):
    (tmp_path / "rock").mkdir(mode=0)
    with pytest.raises(DataError, match="cannot be read"):
        AudioFolder.open(tmp_path)


# Mel caches


def test_a_cache_gives_what_its_audio_gives(folder, make_clip, checkpoint, tmp_path):
    cache = write_cache(tmp_path, make_clip, checkpoint.spec)
    of_cache, of_audio = evaluate(cache, checkpoint), evaluate(folder, checkpoint)
    assert [result.track_id for result in of_cache.tracks] == ["a", "b", "c", "d", "e", "f"]
    for one, other in zip(of_cache.tracks, of_audio.tracks, strict=True):
        assert one.label == other.label
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=0.01)  # the store has half precision
    assert of_cache.by_vote == of_audio.by_vote
    assert of_cache.log_loss == pytest.approx(of_audio.log_loss, abs=0.01)


def test_splits_of_a_cache(make_clip, checkpoint, tmp_path):
    cache = write_cache(tmp_path, make_clip, checkpoint.spec)
    assert [result.track_id for result in evaluate(cache, checkpoint, split="valid").tracks] == ["b", "d", "f"]
    with pytest.raises(DataError, match="has no split 'test'; choose one of: train, valid"):
        evaluate(cache, checkpoint, split="test")


def test_a_cache_of_another_spec_is_refused(make_clip, checkpoint, tmp_path):
    write_cache(tmp_path, make_clip, checkpoint.spec, fmax=8000.0, hop_length=1024)
    with pytest.raises(
        DataError, match=r"hop_length 1024 instead of 1709, fmax 8000\.0 instead of 11025\.0; make the cache again"
    ):
        evaluate(tmp_path, checkpoint)


def test_a_cache_for_a_checkpoint_on_summaries_is_refused(make_clip, checkpoint, tmp_path):
    cache = write_cache(tmp_path, make_clip, checkpoint.spec)
    of_summaries = replace(checkpoint, members=(Member(checkpoint.model, summary_of(checkpoint.spec)),))
    with pytest.raises(DataError, match=r"is a mel cache, from which features of kind summary.+; evaluate on audio\.$"):
        evaluate(cache, of_summaries)


def summary_of(spec: FeatureSpec) -> FeatureSpec:
    return spec.model_copy(update={"kind": "summary"})


def test_a_cache_names_the_members_it_has_no_features_for(make_clip, checkpoint, make_checkpoint, tmp_path):
    cache, other = write_cache(tmp_path, make_clip, checkpoint.spec), make_checkpoint(seed=1)
    low = other.spec.model_copy(update={"sample_rate": 16000, "fmax": 8000.0})
    members = (
        Member(checkpoint.model, summary_of(checkpoint.spec), 0.4),
        Member(checkpoint.model, checkpoint.spec, 0.3, temperature=1.5),  # which holds in company only
        Member(other.model, low, 0.2),
        Member(other.model, other.spec, 0.1),
    )
    report = evaluate(cache, replace(checkpoint, members=members, temperature=0.5))  # for the mean of all members
    note = "left out, since the cache lacks their features: cnn on summary at 22050 Hz, cnn on log_mel at 16000 Hz"
    no_knn = "the knn vote is left out too, since all networks together classified its reference tracks"
    assert report.to_dict()["notes"] == [note, no_knn]
    assert note in report.to_table()
    alone = [evaluate(cache, part) for part in (checkpoint, other)]
    for track, first, second in zip(report.tracks, *(one.tracks for one in alone), strict=True):
        np.testing.assert_allclose(track.probabilities, 0.75 * first.probabilities + 0.25 * second.probabilities, atol=1e-6)


def test_a_cache_that_lacks_features_of_a_member_has_no_knn_vote(folder, make_clip, checkpoint, make_checkpoint, tmp_path):
    low = checkpoint.spec.model_copy(update={"sample_rate": 16000, "fmax": 8000.0})
    both = combine([checkpoint, make_checkpoint(low, 1)])
    found = evaluate(folder, both)
    both.references = References(found.probabilities.astype(np.float32), found.labels, 1)
    assert evaluate(folder, both).by_vote["knn"] == 1.0  # each track is its own neighbour
    report = evaluate(write_cache(tmp_path, make_clip, checkpoint.spec), both)
    assert list(report.by_vote) == ["majority", "mean", "geometric"]


def test_several_members_on_audio_and_on_a_cache_agree(folder, make_clip, checkpoint, make_checkpoint, tmp_path):
    spec = checkpoint.spec.model_copy(update={"kind": "mfcc", "segment_seconds": 1.0})
    both = combine([checkpoint, make_checkpoint(spec, 1)])
    of_cache, of_audio = evaluate(write_cache(tmp_path, make_clip, checkpoint.spec), both), evaluate(folder, both)
    assert of_cache.notes == ()
    for one, other in zip(of_cache.tracks, of_audio.tracks, strict=True):
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=0.01)


def test_the_length_of_segments_is_no_difference(make_clip, make_checkpoint, tmp_path):
    longer = make_checkpoint(FeatureSpec(segment_seconds=4.0, segment_hop_seconds=1.0, db_reference="max"))
    assert len(evaluate(write_cache(tmp_path, make_clip, FeatureSpec()), longer).tracks) == 6


def test_a_damaged_track_of_a_cache_is_reported(make_clip, checkpoint, tmp_path):
    write_cache(tmp_path, make_clip, checkpoint.spec)
    columns = np.load(tmp_path / "log_mel.npy")
    columns[3, 5] = np.nan
    np.save(tmp_path / "log_mel.npy", columns)
    report = evaluate(tmp_path, checkpoint)
    assert [result.track_id for result in report.tracks] == ["b", "c", "d", "e", "f"]
    assert [file for file, _ in report.failed] == ["a"]
