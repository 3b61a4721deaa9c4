"""Features against librosa, and segments against the whole clip."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from genre_app.features import FeatureSpec, cut_columns, extract, finish, segment_start_frames, split
from genre_app.features.spectrogram import floored
from tests.librosa_mel import log_mel

LOG_MEL = FeatureSpec()
# The default, and every set of parameters of the published systems.
SPECS = {
    "default log-mel": LOG_MEL,
    "KTH 20 MFCC, 3 s": FeatureSpec(kind="mfcc", hop_length=512, n_mfcc=20, segment_seconds=3.0, segment_hop_seconds=1.5),
    "KTH 60 MFCC, 3 s": FeatureSpec(kind="mfcc_delta", hop_length=512, n_mfcc=20, segment_seconds=3.0, segment_hop_seconds=1.5),
    "KTH 60 MFCC, 30 s": FeatureSpec(
        kind="mfcc_delta", hop_length=512, n_mfcc=20, segment_seconds=30.0, segment_hop_seconds=30
    ),
    "UMass 128 mels": FeatureSpec(hop_length=512, n_mels=128, segment_seconds=3.0),
    "Glenn 64 mels re max": FeatureSpec(hop_length=512, n_mels=64, db_reference="max", segment_seconds=4.0),
    "UPC 96 mels, 12 kHz": FeatureSpec(
        sample_rate=12000, n_fft=512, hop_length=256, n_mels=96, fmax=6000.0, segment_seconds=29.12, segment_hop_seconds=29.12
    ),
    "magnitude, HTK": FeatureSpec(hop_length=512, power=1.0, mel_scale="htk", mel_norm=None, fmin=60.0, fmax=8000.0),
}


def music(seconds: float, sample_rate: int, seed: int = 0) -> np.ndarray:
    """A gliding chord with beats over noise, from loud to faint: float32 [n]."""
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    tones = sum(np.sin(2 * np.pi * f * time * (1 + 0.01 * time)) / (i + 1) for i, f in enumerate((110, 277, 440, 1320, 3520)))
    samples = 0.2 * tones * np.exp(-3 * (time % 0.5)) + random.normal(0, 0.02, len(time))
    return (samples * np.linspace(1.0, 0.02, len(time))).astype(np.float32)


def reference(samples: np.ndarray, spec: FeatureSpec) -> np.ndarray:
    """Return librosa's features, float32 [bins, frames]."""
    db = log_mel(samples, spec)
    if spec.kind == "log_mel":
        return db
    mfcc = librosa.feature.mfcc(S=db, n_mfcc=spec.n_mfcc)
    if spec.kind == "mfcc":
        return mfcc
    return np.concatenate([mfcc, librosa.feature.delta(mfcc), librosa.feature.delta(mfcc, order=2)])


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_extract_equals_librosa(spec):
    samples = music(spec.segment_seconds, spec.sample_rate)
    found = extract(torch.from_numpy(samples)[None], spec)
    assert found.dtype == torch.float32
    assert found.shape == (1, spec.n_bins, spec.segment_frames)
    expected = reference(samples, spec)
    # Deltas are small beside the coefficients, so each third is held to its own scale.
    thirds = 3 if spec.kind == "mfcc_delta" else 1
    for part, expected_part in zip(np.split(found[0].numpy(), thirds), np.split(expected, thirds), strict=True):
        assert relative_error(part, expected_part) < 1e-3


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_batch_equals_its_singles(spec):
    samples = torch.from_numpy(np.stack([music(4.0, spec.sample_rate, seed) * 10.0**-seed for seed in range(3)]))
    batch = extract(samples, spec)
    singles = torch.cat([extract(one[None], spec) for one in samples])
    torch.testing.assert_close(batch, singles, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_segments_are_columns_of_the_whole_clip(spec):
    """Each segment equals librosa's spectrogram of the whole clip at the same frames, also at both ends."""
    samples = music(2.7 * spec.segment_seconds, spec.sample_rate)
    columns = spec.model_copy(update={"kind": "log_mel", "db_reference": "one", "top_db": 200.0})
    whole = reference(samples, columns)
    for segments in split([samples], spec):
        found = extract(torch.from_numpy(segments.samples), columns, padded=True).numpy()
        for start, segment in zip(segments.start_frames, found, strict=True):
            assert relative_error(segment, whole[:, start : start + spec.segment_frames]) < 1e-3


@settings(max_examples=40, deadline=None)
@given(
    n_samples=st.integers(1, 40_000),
    cuts=st.lists(st.integers(0, 40_000), max_size=12),
    segment_seconds=st.floats(0.2, 1.0),
    segment_hop_seconds=st.floats(0.05, 1.5),
    batch_size=st.integers(1, 7),
    n_fft=st.sampled_from([512, 511]),
)
def test_split_does_not_depend_on_the_blocks(n_samples, cuts, segment_seconds, segment_hop_seconds, batch_size, n_fft):
    spec = FeatureSpec(
        sample_rate=8000, n_fft=n_fft, hop_length=200, fmax=4000, n_mels=8,
        segment_seconds=segment_seconds, segment_hop_seconds=segment_hop_seconds,
    )  # fmt: skip
    samples = np.arange(1, n_samples + 1, dtype=np.float32)  # each value is the position of its sample
    blocks = np.split(samples, sorted(min(cut, n_samples) for cut in cuts))
    batches = list(split(blocks, spec, batch_size=batch_size))
    starts = [start for batch in batches for start in batch.start_frames]
    assert starts == segment_start_frames(1 + n_samples // spec.hop_length, spec)
    assert all(len(batch.start_frames) == len(batch.samples) <= batch_size for batch in batches)
    padding = np.zeros(spec.n_fft // 2 + spec.segment_samples + spec.n_fft, np.float32)
    if len(starts) == 1 and 1 + n_samples // spec.hop_length < spec.segment_frames:
        samples = np.resize(samples, spec.segment_samples + spec.n_fft - spec.n_fft // 2)
    padded = np.concatenate([padding[: spec.n_fft // 2], samples, padding])
    found = np.concatenate([batch.samples for batch in batches])
    for start, segment in zip(starts, found, strict=True):
        at = start * spec.hop_length
        np.testing.assert_array_equal(segment, padded[at : at + spec.n_fft + spec.segment_samples])


@given(n_frames=st.integers(1, 3000), segment_seconds=st.floats(0.5, 10.0), segment_hop_seconds=st.floats(0.05, 10.0))
def test_segments_cover_the_clip(n_frames, segment_seconds, segment_hop_seconds):
    hop = min(segment_seconds, segment_hop_seconds)
    spec = FeatureSpec(segment_seconds=segment_seconds, segment_hop_seconds=hop)
    starts = segment_start_frames(n_frames, spec)
    covered = {frame for start in starts for frame in range(start, start + spec.segment_frames)}
    assert covered.issuperset(range(n_frames))
    assert len(set(starts)) == len(starts)
    if n_frames >= spec.segment_frames:
        assert starts[0] == 0
        assert starts[-1] == n_frames - spec.segment_frames
        assert set(np.diff(starts[:-1])) <= {spec.segment_hop_frames}
    else:
        assert starts == [0]


def test_segments_cover_a_clip_of_30_seconds():
    spec = FeatureSpec(hop_length=512, segment_seconds=3.0, segment_hop_seconds=1.5)
    n_frames = 1 + 30 * 22050 // 512
    starts = segment_start_frames(n_frames, spec)
    assert (n_frames, spec.segment_frames, spec.segment_hop_frames) == (1292, 130, 65)
    assert starts == [*range(0, 1162, 65), 1162]
    assert spec.seconds(starts[-1]) == pytest.approx(26.98, abs=0.01)


def test_a_short_clip_is_repeated_to_fill_one_segment():
    samples = music(1.0, 22050)
    (segments,) = split([samples], LOG_MEL)
    assert segments.start_frames == [0]
    half = LOG_MEL.n_fft // 2
    np.testing.assert_array_equal(segments.samples[0, half : half + len(samples)], samples)
    assert not segments.samples[0, :half].any()
    np.testing.assert_array_equal(segments.samples[0, half + len(samples) : half + 2 * len(samples)], samples)
    assert np.abs(segments.samples[0, -half:]).max() > 0.001  # to the very end
    assert extract(torch.from_numpy(segments.samples), LOG_MEL, padded=True).shape == (1, 128, LOG_MEL.segment_frames)


@pytest.mark.parametrize(
    "spec",
    [LOG_MEL, SPECS["KTH 60 MFCC, 3 s"], SPECS["Glenn 64 mels re max"], LOG_MEL.model_copy(update={"n_fft": 2047})],
    ids=["log_mel", "mfcc", "max", "odd n_fft"],
)
def test_stored_columns_give_the_same_features_as_audio(spec):
    samples = music(4.3 * spec.segment_seconds, spec.sample_rate)
    samples *= np.linspace(0.02, 1.0, len(samples), dtype=np.float32)  # level throughout: the store's floor is the clip's
    columns = spec.model_copy(update={"kind": "log_mel", "db_reference": "one", "top_db": 200.0})
    stored = extract(torch.from_numpy(samples)[None], columns)[0].T.numpy()
    starts = segment_start_frames(len(stored), spec)
    found = cut_columns(stored, starts, spec)
    (segments,) = split([samples], spec)
    assert starts == segments.start_frames
    torch.testing.assert_close(found, extract(torch.from_numpy(segments.samples), spec, padded=True), rtol=1e-4, atol=1e-3)


def test_stored_columns_of_a_short_clip_are_repeated():
    columns = np.repeat(np.arange(10)[:, None] - 20.0, 128, axis=1)
    starts = segment_start_frames(len(columns), LOG_MEL)
    features = cut_columns(columns, starts, LOG_MEL)
    assert starts == [0]
    assert features.shape == (1, 128, LOG_MEL.segment_frames)
    assert features[0, 5].tolist() == [index % 10 - 20.0 for index in range(LOG_MEL.segment_frames)]


def test_a_tone_lies_in_its_band_at_its_level():
    """A sine of amplitude a has the power (a * sum(window) / 2) ** 2 in its bin."""
    spec = FeatureSpec(hop_length=512, mel_norm=None, segment_seconds=1.0)
    bin_hz = spec.sample_rate / spec.n_fft
    time = np.arange(spec.sample_rate) / spec.sample_rate
    peaks = [librosa.mel_frequencies(130, fmin=0.0, fmax=11025.0)[band + 1] for band in (20, 60, 100)]
    for band, peak in zip((20, 60, 100), peaks, strict=True):
        tone = 0.1 * np.sin(2 * np.pi * round(peak / bin_hz) * bin_hz * time)
        db = extract(torch.from_numpy(tone.astype(np.float32))[None], spec)[0]
        middle = db[:, db.shape[1] // 2]
        assert abs(int(middle.argmax()) - band) <= 1
        # The filterbank's triangles share a bin between neighbours and the Hann window spreads it over three: 1 + 2 / 4.
        total = 10 * np.log10(np.sum(10 ** (middle.numpy() / 10)))
        assert total == pytest.approx(10 * np.log10((0.1 * spec.n_fft / 4) ** 2 * 1.5), abs=1.0)


def test_doubling_the_amplitude_adds_six_db():
    samples = torch.from_numpy(music(2.0, 22050))[None]
    difference = extract(2.0 * samples, LOG_MEL) - extract(samples, LOG_MEL)
    torch.testing.assert_close(difference, torch.full_like(difference, 20 * np.log10(2.0)), rtol=1e-4, atol=1e-3)


def test_reference_and_floor_by_hand():
    db = torch.tensor([[[0.0, 20.0, -100.0]], [[-100.0, -120.0, -30.0]]])
    expected = [[[0.0, 20.0, -60.0]], [[-100.0, -110.0, -30.0]]]
    torch.testing.assert_close(floored(db, LOG_MEL), torch.tensor(expected))  # each item has its own floor
    expected = [[[-20.0, 0.0, -80.0]], [[-70.0, -80.0, 0.0]]]
    torch.testing.assert_close(floored(db, FeatureSpec(db_reference="max")), torch.tensor(expected))


def test_mfcc_and_deltas_of_a_ramp():
    spec = FeatureSpec(kind="mfcc_delta", n_mels=8, n_mfcc=2, hop_length=512, segment_seconds=1.0)
    ramp = torch.arange(20.0).expand(1, 8, 20)  # the same in each band, 1 dB more in each column
    features = finish(ramp, spec)
    assert features.shape == (1, 6, 20)
    torch.testing.assert_close(features[0, 0], torch.arange(20.0) * 8**0.5)  # an orthonormal DCT of a constant
    for row, value in ((1, 0.0), (2, 8**0.5), (3, 0.0), (4, 0.0), (5, 0.0)):
        torch.testing.assert_close(features[0, row], torch.full((20,), value), rtol=0, atol=1e-4)


def test_silence_is_finite():
    for spec in SPECS.values():
        assert extract(torch.zeros(1, 30000), spec).isfinite().all()


def test_features_can_be_trained_on():
    features = extract(torch.from_numpy(music(1.0, 22050))[None], LOG_MEL)
    weight = torch.ones(128, requires_grad=True)
    (features.sum(dim=2) * weight).sum().backward()
    assert weight.grad is not None


@pytest.mark.parametrize(
    ("samples", "message"),
    [(torch.zeros(5), "matrix"), (torch.zeros(1, 5, dtype=torch.float64), "float64"), (torch.zeros(1, 2, 3), "matrix")],
)
def test_extract_refuses_what_is_no_float32_matrix(samples, message):
    with pytest.raises(ValueError, match=message):
        extract(samples, LOG_MEL)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"fmax": 12000.0}, "fmin < fmax <= sample_rate / 2"),
        ({"fmin": 500.0, "fmax": 400.0}, "fmin < fmax"),
        ({"kind": "mfcc", "n_mfcc": 200}, "cannot exceed n_mels"),
        ({"kind": "mfcc_delta", "segment_seconds": 0.1}, "at least 9 frames"),
        ({"kind": "chroma"}, "kind"),
        ({"center": False}, "center"),
        ({"window": "hann"}, "Extra inputs"),
        ({"segment_seconds": float("nan")}, "segment_seconds"),
        ({"hop_length": 16, "segment_seconds": 120.0}, "may have"),
        ({"hop_length": 16, "n_fft": 4096}, "n_fft may be 128 times hop_length"),
        ({"segment_hop_seconds": 1e-6}, "segment_hop_seconds"),
        ({"kind": "mfcc_delta", "n_fft": 64, "hop_length": 64, "segment_seconds": 30.0}, "may have"),
    ],
)
def test_a_spec_that_cannot_be_computed_is_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        FeatureSpec(**fields)


def test_a_spec_survives_json():
    for spec in SPECS.values():
        assert FeatureSpec.model_validate_json(spec.model_dump_json()) == spec


def test_segments_start_at_least_one_frame_apart():
    assert LOG_MEL.segment_hop_frames == round(2.5 * 22050 / 1709)
    assert LOG_MEL.model_copy(update={"segment_hop_seconds": 0.005}).segment_hop_frames == 1
