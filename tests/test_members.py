"""Checkpoints of several members: joined probabilities, streams, files, and the live listener."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import soundfile
import soxr
import torch

from genre_app.audio import Clip, open_audio
from genre_app.checkpoint import Checkpoint, Member, load_checkpoint, save_checkpoint
from genre_app.errors import AudioError
from genre_app.features import FeatureSpec, extract, own_starts
from genre_app.predict import classify
from genre_app.ui.live.listener import HOP_SECONDS, Listener
from genre_app.vote import vote
from tests.ui.live.stream import play

RATE = 22050
SAME = FeatureSpec(
    sample_rate=16000, n_fft=512, hop_length=400, n_mels=32, fmax=8000.0, segment_seconds=3.0, segment_hop_seconds=1.5
)
SHORT = SAME.model_copy(update={"kind": "mfcc", "segment_seconds": 1.0, "segment_hop_seconds": 1.0})
LONG = FeatureSpec(hop_length=1024, n_mels=32, segment_seconds=5.0, segment_hop_seconds=5.0)
WEIGHTS = (0.5, 0.3, 0.2)


@pytest.fixture(scope="module")
def parts(checkpoint, make_checkpoint) -> list[Checkpoint]:
    return [checkpoint, make_checkpoint(SHORT, 1), make_checkpoint(LONG, 2)]


@pytest.fixture(scope="module")
def joined(parts) -> Checkpoint:
    members = tuple(Member(part.model, part.spec, weight) for part, weight in zip(parts, WEIGHTS, strict=True))
    return replace(parts[0], members=members, name="joined")


def at_rate(clip: Clip, rate: int) -> np.ndarray:
    return clip.samples if rate == clip.sample_rate else soxr.resample(clip.samples, clip.sample_rate, rate, quality="HQ")


def own_rows(part: Checkpoint, clip: Clip, starts: list[int]) -> np.ndarray:
    """Probabilities of one network for segments that start at these frames, each computed by itself."""
    spec, half = part.spec, part.spec.n_fft // 2
    padded = np.pad(at_rate(clip, spec.sample_rate), (half, spec.n_fft + spec.segment_samples))
    cut = [padded[start * spec.hop_length :][: spec.segment_samples + 2 * half] for start in starts]
    return part.probabilities(extract(torch.from_numpy(np.stack(cut)), spec, padded=True))


def test_the_answer_is_the_weighted_mean_of_the_members(make_clip, parts, joined):
    clip = make_clip(11.0)
    found, alone = classify(clip, joined), classify(clip, parts[0])
    np.testing.assert_array_equal(found.segment_starts, alone.segment_starts)
    np.testing.assert_array_equal(found.segment_sounds, alone.segment_sounds)
    assert joined.sample_rate == RATE
    for start, row in zip(found.segment_starts, found.segment_probabilities, strict=True):
        # Three segments of 1 s cover 3 s; one segment of 5 s is centred on them, within the clip.
        short = [round(second * 16000 / 400) for second in (start, start + 1, start + 2)]
        long = min(max(0, round((start - 1) * RATE / 1024)), 1 + len(clip.samples) // 1024 - LONG.segment_frames)
        last = 1 + 11 * 16000 // 400 - SHORT.segment_frames
        expected = [
            own_rows(parts[0], clip, [round(start * RATE / 1709)])[0],
            own_rows(parts[1], clip, [min(frame, last) for frame in short]).mean(axis=0),
            own_rows(parts[2], clip, [long])[0],
        ]
        np.testing.assert_allclose(row, np.average(expected, axis=0, weights=WEIGHTS), atol=2e-5)
    np.testing.assert_allclose(found.probabilities, vote(found.segment_probabilities, "mean"))


def test_a_member_with_segments_of_the_same_length_answers_as_it_does_alone(make_clip, checkpoint, make_checkpoint):
    clip, other = make_clip(9.0), make_checkpoint(SAME, 3)
    both = replace(checkpoint, members=(Member(checkpoint.model, checkpoint.spec), Member(other.model, other.spec)))
    assert [member.weight for member in both.members] == [0.5, 0.5]
    first, second = classify(clip, checkpoint), classify(Clip(at_rate(clip, 16000), 16000), other)
    found = classify(clip, both).segment_probabilities
    # The frames of the two differ, so starts differ by up to half a frame of 25 ms.
    assert own_starts(38, checkpoint.spec, SAME) == [round(38 * 1709 / RATE * 16000 / 400)]
    np.testing.assert_allclose(found[0], (first.segment_probabilities[0] + second.segment_probabilities[0]) / 2, atol=2e-5)


@pytest.mark.parametrize("seconds", [0.7, 2.0, 4.0, 13.0])
def test_a_stream_gives_the_answer_of_the_clip(make_clip, joined, seconds, tmp_path):
    clip = make_clip(seconds)

    class Stream(Clip):
        def blocks(self):
            for start in range(0, len(self.samples), 7001):
                yield self.samples[start : start + 7001]

    expected = classify(clip, joined)
    assert classify(Stream(clip.samples, RATE, clip.name), joined).to_dict() == expected.to_dict()
    soundfile.write(tmp_path / "clip.wav", clip.samples, RATE, subtype="FLOAT")
    with open_audio(tmp_path / "clip.wav", sample_rate=joined.sample_rate) as stream:
        np.testing.assert_array_equal(classify(stream, joined).probabilities, expected.probabilities)


def test_the_first_member_sets_the_times_also_where_another_has_the_highest_rate(make_clip, parts):
    clip = make_clip(9.0)
    turned = replace(parts[1], members=tuple(Member(part.model, part.spec) for part in (parts[1], parts[0])))
    assert turned.sample_rate == RATE
    found = classify(clip, turned)
    np.testing.assert_allclose(found.segment_starts[:-1], np.arange(len(found.segment_starts) - 1), atol=0.03)
    assert found.duration_seconds == 9.0
    # For a segment of 1 s, one of 3 s is centred on it.
    start = found.segment_starts[4]
    expected = [
        own_rows(parts[1], clip, [round(start * 40)])[0],
        own_rows(parts[0], clip, [round((start - 1) * RATE / 1709)])[0],
    ]
    np.testing.assert_allclose(found.segment_probabilities[4], np.mean(expected, axis=0), atol=2e-5)


def test_a_member_has_a_temperature(make_clip, checkpoint):
    (member,) = checkpoint.members
    warm = (replace(checkpoint, members=(replace(member, temperature=t),)) for t in (1.0, 2.0))
    plain, hot = (classify(make_clip(6.0), one).segment_probabilities for one in warm)
    roots = np.sqrt(plain)
    np.testing.assert_allclose(hot, roots / roots.sum(axis=1, keepdims=True), atol=1e-6)


def test_the_mean_of_the_members_has_a_temperature(make_clip, joined):
    clip = make_clip(6.0)
    plain, sharp = (classify(clip, replace(joined, temperature=t)).segment_probabilities for t in (1.0, 0.5))
    np.testing.assert_allclose(sharp, plain**2 / (plain**2).sum(axis=1, keepdims=True), atol=1e-6)


def test_samples_that_are_not_finite_are_refused(joined):
    samples = np.ones(6 * RATE, np.float32)
    samples[100_000] = np.nan
    with pytest.raises(AudioError, match="some samples are not numbers"):
        classify(Clip(samples, RATE), joined)


def test_memory_does_not_grow_with_the_stream(joined):
    from genre_app.members import MemberStream

    streams = [MemberStream(joined, index, joined.spec, "clip") for index in range(3)]
    block = np.random.default_rng(0).normal(0, 0.1, 5 * RATE).astype(np.float32)
    for stream in streams:
        for _ in range(8):
            stream.add(block)
        assert len(stream._cutter._held._samples) < 12 * stream.sample_rate
        assert len(stream._cutter._waiting) <= 34


# Files


def test_members_are_stored(joined, make_clip, tmp_path):
    members = (replace(joined.members[0], temperature=1.5), *joined.members[1:])
    stored = replace(joined, members=members, sure=joined.sure.model_copy(update={"probability": 0.625}), temperature=0.75)
    save_checkpoint(stored, tmp_path / "joined.safetensors")
    loaded = load_checkpoint(tmp_path / "joined.safetensors")
    assert [(member.model.name, member.spec, member.weight) for member in loaded.members] == [
        (member.model.name, member.spec, member.weight) for member in joined.members
    ]
    assert ([member.temperature for member in loaded.members], loaded.sure) == ([1.5, 1.0, 1.0], stored.sure)
    assert loaded.temperature == 0.75
    clip = make_clip(4.0)
    assert classify(clip, loaded).to_dict() == classify(clip, stored).to_dict() | {"checkpoint": "joined"}
    save_checkpoint(loaded, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "joined.safetensors").read_bytes()


# The live listener


@pytest.mark.parametrize("seconds", [2, 4, 12.5])
def test_the_listener_asks_all_members(make_clip, joined, seconds):
    samples = make_clip(seconds).samples
    listener = Listener(joined)
    play(listener, samples)
    found = listener.result().prediction
    expected = classify(Clip(samples, RATE), joined, overlap=1 - HOP_SECONDS / joined.spec.segment_seconds)
    np.testing.assert_allclose(found.segment_starts, expected.segment_starts)
    # The resampler holds the last samples back, which changes the last segments a little.
    np.testing.assert_allclose(found.segment_probabilities, expected.segment_probabilities, atol=0.02)
    np.testing.assert_allclose(found.segment_probabilities[:-3], expected.segment_probabilities[:-3], atol=1e-4)


def test_the_listener_holds_few_samples_of_each_rate(make_clip, joined):
    listener = Listener(joined)
    samples = make_clip(20.0).samples
    for _ in range(3):
        play(listener, samples)
    assert listener._streams.keys() == {RATE, 16000}
    assert all(len(held._samples) < 12 * rate for rate, held in listener._streams.items())
