"""Classify a clip: segments, streams, silence, warnings, options, and the public names of the package."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile
import torch

import genre_app
from genre_app.audio import Clip, open_audio
from genre_app.errors import AudioError
from genre_app.features import FeatureSpec, extract, segments, split
from genre_app.predict import NoSoundError, classify
from genre_app.vote import VOTES, vote

RATE = 22050


def test_segments_cover_the_clip(make_clip, checkpoint):
    prediction = classify(make_clip(20.0), checkpoint)
    starts, ends = prediction.segment_starts, prediction.segment_ends
    assert starts[0] == 0.0
    assert ends[-1] == pytest.approx(20.0, abs=0.08)
    assert (starts[1:] <= ends[:-1]).all()
    np.testing.assert_allclose(np.diff(starts)[:-1], 1.5, atol=0.05)
    assert prediction.segment_probabilities.shape == (len(starts), 10)
    np.testing.assert_allclose(prediction.segment_probabilities.sum(axis=1), 1.0, rtol=1e-5)
    assert prediction.duration_seconds == 20.0
    assert len(set(prediction.segment_genres)) > 1  # otherwise the tests of votes would check nothing


def test_each_segment_is_the_network_on_its_own_samples(make_clip, checkpoint):
    clip = make_clip(9.0)
    prediction = classify(clip, checkpoint)
    spec = checkpoint.spec
    for start, row in zip(prediction.segment_starts[1:-1], prediction.segment_probabilities[1:-1], strict=True):
        first = round(start * RATE) - spec.n_fft // 2
        samples = clip.samples[first : first + spec.segment_samples + spec.n_fft]
        expected = checkpoint.probabilities(extract(torch.from_numpy(samples)[None], spec, padded=True))[0]
        np.testing.assert_allclose(row, expected, atol=1e-5)


@pytest.mark.parametrize(
    "spec",
    [
        FeatureSpec(top_db=40.0, segment_seconds=3.0, segment_hop_seconds=1.0),
        FeatureSpec(db_reference="max", top_db=40.0, segment_seconds=3.0, segment_hop_seconds=1.0),
        FeatureSpec(kind="mfcc_delta", hop_length=512, top_db=40.0, segment_seconds=3.0, segment_hop_seconds=0.7),
        FeatureSpec(segment_seconds=2.0, segment_hop_seconds=3.0),
    ],
    ids=["log_mel", "max", "mfcc_delta", "gaps"],
)
def test_a_segment_does_not_depend_on_its_neighbours(make_clip, make_checkpoint, spec):
    clip, checkpoint = make_clip(11.0), make_checkpoint(spec)
    clip.samples[len(clip.samples) // 2 :] *= 0.01  # the floor of the loud half lies above the quiet one
    expected = [
        checkpoint.probabilities(extract(torch.from_numpy(segment.samples), spec, padded=True))
        for segment in split(clip.blocks(), spec, batch_size=1)
    ]
    np.testing.assert_allclose(classify(clip, checkpoint).segment_probabilities, np.concatenate(expected), atol=1e-5)


def test_the_same_input_gives_the_same_answer(make_clip, checkpoint):
    first, second = (classify(make_clip(7.0), checkpoint) for _ in range(2))
    np.testing.assert_array_equal(first.segment_probabilities, second.segment_probabilities)
    np.testing.assert_array_equal(first.probabilities, second.probabilities)


@pytest.mark.parametrize("block", [1000, 22050, 60_000, 10**9])
def test_a_stream_gives_the_answer_of_the_clip(make_clip, checkpoint, block):
    clip = make_clip(13.0)

    class Stream(Clip):
        def blocks(self):
            for start in range(0, len(self.samples), block):
                yield self.samples[start : start + block]

    streamed = classify(Stream(clip.samples, RATE, clip.name), checkpoint)
    expected = classify(clip, checkpoint)
    np.testing.assert_array_equal(streamed.segment_probabilities, expected.segment_probabilities)
    assert streamed.to_dict() == expected.to_dict()


def test_a_file_gives_the_answer_of_its_samples(make_clip, checkpoint, tmp_path):
    clip = make_clip(8.0)
    soundfile.write(tmp_path / "clip.wav", clip.samples, RATE, subtype="FLOAT")
    with open_audio(tmp_path / "clip.wav") as stream:
        streamed = classify(stream, checkpoint)
    np.testing.assert_array_equal(streamed.probabilities, classify(clip, checkpoint).probabilities)
    assert streamed.name == "clip.wav"


def test_the_size_of_batches_does_not_matter(make_clip, checkpoint, monkeypatch):
    expected = classify(make_clip(15.0), checkpoint).segment_probabilities
    monkeypatch.setattr(segments, "_BATCH_SEGMENTS", 2)
    np.testing.assert_allclose(classify(make_clip(15.0), checkpoint).segment_probabilities, expected, atol=1e-5)


def test_twenty_visitors_at_once_get_their_own_answers(make_clip, checkpoint):
    clips = [make_clip(5.0 + seed % 4, seed) for seed in range(20)]
    expected = [classify(clip, checkpoint) for clip in clips]
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda clip: classify(clip, checkpoint), clips * 2))
    for one, other in zip(found, expected * 2, strict=True):
        np.testing.assert_array_equal(one.segment_probabilities, other.segment_probabilities)
        assert one.name == other.name
    assert len({prediction.genre for prediction in expected}) > 2


# Silence and length


@pytest.mark.parametrize("level", [0.0, 0.5, -0.9, 5e-4])
def test_silence_has_no_genre(checkpoint, level):
    """Classify digital silence, a constant, and noise below -60 dBFS."""
    noise = np.random.default_rng(0).uniform(-1, 1, RATE * 6) if 0 < level < 1e-3 else np.ones(RATE * 6)
    for seconds in (1, 6):
        clip = Clip((level * noise[: seconds * RATE]).astype(np.float32), RATE, "still.wav")
        with pytest.raises(NoSoundError, match=r"^still\.wav: no sound to classify") as caught:
            classify(clip, checkpoint)
        assert isinstance(caught.value, AudioError)


def test_a_quiet_recording_is_not_silence(make_clip, checkpoint):
    clip = make_clip(6.0)
    quiet = clip.samples * np.float32(10 ** (-50 / 20) / np.sqrt(np.mean(clip.samples**2)))
    prediction = classify(dataclasses.replace(clip, samples=quiet), checkpoint)
    assert prediction.segment_sounds.all()
    assert prediction.warnings == ()
    # The network removes the level, so the answer does not change.
    np.testing.assert_allclose(prediction.probabilities, classify(clip, checkpoint).probabilities, atol=1e-3)


def test_silent_segments_do_not_vote(make_clip, checkpoint):
    music = make_clip(4.0).samples
    clip = Clip(np.concatenate([music, np.zeros(16 * RATE, np.float32)]), RATE, "fades.wav")
    prediction = classify(clip, checkpoint)
    n_sounding = int(prediction.segment_sounds.sum())
    assert prediction.segment_sounds.tolist() == [True] * n_sounding + [False] * (len(prediction.segment_sounds) - n_sounding)
    assert n_sounding == 3  # those that begin at 0.0, 1.5 and 3.0 s
    assert prediction.n_sounding == 3
    for method in VOTES:
        expected = vote(prediction.segment_probabilities[:3], method, checkpoint.references)
        assert (expected != vote(prediction.segment_probabilities, method, checkpoint.references)).any()
        for answer in (prediction.revote(method), classify(clip, checkpoint, vote=method)):
            np.testing.assert_array_equal(answer.probabilities, expected)
        assert prediction.votes[method] == checkpoint.genres[expected.argmax()]
    assert prediction.warnings == ("mostly silent: only 3 of 13 segments have sound, and only these vote",)


def test_half_silent_is_not_mostly_silent(make_clip, checkpoint):
    clip = Clip(np.concatenate([make_clip(12.0).samples, np.zeros(6 * RATE, np.float32)]), RATE)
    assert classify(clip, checkpoint).warnings == ()


@pytest.mark.parametrize("seconds", [0.5, 1.0, 2.9])
def test_a_short_clip_is_answered_with_a_warning(make_clip, checkpoint, seconds):
    prediction = classify(make_clip(seconds), checkpoint)
    assert len(prediction.segment_starts) == 1
    assert prediction.segment_ends[0] == pytest.approx(seconds)
    (warning,) = prediction.warnings
    assert warning.startswith(f"too short: {seconds:.1f} s, repeated to fill a segment of 3 s")


def test_a_clip_of_one_segment_has_no_warning(make_clip, checkpoint):
    assert classify(make_clip(3.0), checkpoint).warnings == ()


def test_warnings_of_the_clip_come_first(make_clip, checkpoint):
    clip = dataclasses.replace(make_clip(1.0), warnings=("clipped: 5 %",))
    first, second = classify(clip, checkpoint).warnings
    assert first == "clipped: 5 %"
    assert second.startswith("too short")


def test_samples_that_are_not_finite_are_refused(make_clip, checkpoint):
    samples = make_clip(6.0).samples.copy()
    samples[100_000] = np.nan
    with pytest.raises(AudioError, match=r"^bad\.wav: some samples are not numbers"):
        classify(Clip(samples, RATE, "bad.wav"), checkpoint)
    with pytest.raises(NoSoundError):
        classify(Clip(np.zeros(0, np.float32), RATE), checkpoint)


# Options


def test_overlap_sets_the_distance_of_segments(make_clip, checkpoint):
    clip = make_clip(12.0)
    counts = {overlap: len(classify(clip, checkpoint, overlap=overlap).segment_starts) for overlap in (0.0, 0.5, 0.9)}
    assert counts[0.5] == len(classify(clip, checkpoint).segment_starts)
    assert counts == {0.0: 4, 0.5: 8, 0.9: 30}
    for overlap in (-0.1, 0.96, 1.0, float("nan")):
        with pytest.raises(ValueError, match=r"overlap must lie between 0 and 0\.95"):
            classify(clip, checkpoint, overlap=overlap)


def test_wrong_arguments_are_refused(make_clip, checkpoint):
    with pytest.raises(ValueError, match="no vote 'median'; choose one of"):
        classify(make_clip(3.0), checkpoint, vote="median")
    with pytest.raises(ValueError, match="synthesised 0 has 16000 Hz, the checkpoint tiny needs 22050 Hz"):
        classify(make_clip(3.0, sample_rate=16000), checkpoint)


@pytest.mark.parametrize(
    "spec",
    [
        FeatureSpec(kind="mfcc_delta", hop_length=512, n_mfcc=20, segment_seconds=3.0, segment_hop_seconds=1.5),
        FeatureSpec(hop_length=512, n_mels=64, db_reference="max", segment_seconds=4.0, segment_hop_seconds=4.0),
        FeatureSpec(sample_rate=12000, n_fft=512, hop_length=256, n_mels=96, fmax=6000.0, segment_seconds=29.12),
    ],
    ids=["KTH", "Glenn", "UPC"],
)
def test_checkpoints_of_other_features_classify(make_clip, make_checkpoint, spec):
    prediction = classify(make_clip(9.0, sample_rate=spec.sample_rate), make_checkpoint(spec))
    assert prediction.probabilities.sum() == pytest.approx(1.0)


# The package


def test_public_names_are_there_and_nothing_is_imported_before_they_are_used():
    assert {"load_clip", "load_checkpoint", "classify", "Clip", "Prediction", "AudioError"} <= set(dir(genre_app))
    assert genre_app.classify is classify
    for name in genre_app.__all__:
        assert getattr(genre_app, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'classifier'"):
        _ = genre_app.classifier
    code = "import sys, genre_app; sys.exit(any(m in sys.modules for m in ('torch', 'numpy', 'soundfile')))"
    subprocess.run([sys.executable, "-c", code], check=True)


MEMORY = """
import resource, sys
import numpy as np, torch
from genre_app.audio import Clip
from genre_app.checkpoint import load_checkpoint
from genre_app.predict import classify

torch.set_num_threads(1)
checkpoint = load_checkpoint(sys.argv[1])
block = np.random.default_rng(0).normal(0, 0.1, 5 * 22050).astype(np.float32)


class Stream(Clip):
    def blocks(self):
        for _ in range(self.samples[0]):
            yield block.copy()


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


classify(Stream([24], 22050), checkpoint)  # two minutes
before = peak()
prediction = classify(Stream([360], 22050), checkpoint)  # half an hour: 159 MB of samples
print(len(prediction.segment_starts), peak() - before)
"""


def test_memory_does_not_grow_with_the_length(checkpoint_path):
    pytest.importorskip("resource")  # there is none on Windows
    run = subprocess.run([sys.executable, "-c", MEMORY, checkpoint_path], check=True, capture_output=True, text=True)
    n_segments, grown_megabytes = map(int, run.stdout.split())
    assert n_segments > 1000
    assert grown_megabytes < 40
