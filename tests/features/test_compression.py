"""The compression log10(10000 * mel + 1) against librosa, from audio and from stored columns."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import torch

from genre_app.data.cache.rows import log_mel_columns, stated_spec
from genre_app.features import FeatureSpec, cut_columns, extract, segment_start_frames, split
from tests.features.test_features import music

SPEC = FeatureSpec(
    sample_rate=16000, n_fft=512, hop_length=256, n_mels=96, fmax=8000.0, compression="log10_10000",
    segment_seconds=3.0, segment_hop_seconds=1.5,
)  # fmt: skip


@pytest.fixture(scope="module")
def samples():
    return np.concatenate([music(5.0, 16000), np.zeros(16000, np.float32)])  # from loud to digital silence


@pytest.fixture(scope="module")
def expected(samples):
    mel = librosa.feature.melspectrogram(y=samples, sr=16000, n_fft=512, hop_length=256, n_mels=96)
    return np.log10(10000.0 * mel + 1.0)


def test_it_equals_librosa(samples, expected):
    found = extract(torch.from_numpy(samples)[None], SPEC)[0].numpy()
    assert np.ptp(expected) > 4.0
    assert np.abs(found - expected).max() < 1e-3


def test_segments_of_a_mel_cache_equal_librosa(samples, expected):
    # float16 rounds 32 to 64 dB to 1/32 dB, so by 0.0016 at most. The cache's floor, 80 dB under the track's maximum, raises
    # silence by log10(1 + 1e-4 * maximum).
    columns = log_mel_columns([samples], SPEC)
    starts = segment_start_frames(len(columns), SPEC)
    features = cut_columns(columns, starts, SPEC)
    floor = np.log10(1.0 + 10.0 ** (columns.max() / 10.0 - 4.0))
    assert floor < 5e-3
    for start, segment in zip(starts, features.numpy(), strict=True):
        assert np.abs(segment - expected[:, start : start + SPEC.segment_frames]).max() < 2e-3 + floor


def test_it_has_no_floor_of_its_own(samples):
    quiet = samples.copy()
    quiet[24000:] *= 1e-3
    short = SPEC.model_copy(update={"top_db": 10.0})
    for segments in split([quiet], SPEC):
        rows = torch.from_numpy(segments.samples)
        torch.testing.assert_close(extract(rows, short, padded=True), extract(rows, SPEC, padded=True), atol=0, rtol=0)


def test_a_spec_without_the_field_is_in_db_and_columns_never_depend_on_it(samples):
    old = FeatureSpec.model_validate(SPEC.model_dump(exclude={"compression"}))
    assert old.compression == "db"
    assert stated_spec(old) == stated_spec(SPEC)
    np.testing.assert_array_equal(log_mel_columns([samples], old), log_mel_columns([samples], SPEC))
    summary = FeatureSpec(kind="summary", n_fft=2048, hop_length=512)
    assert "compression" not in stated_spec(summary)  # or the tables computed before the field existed would be computed again


@pytest.mark.parametrize("other", [{"kind": "mfcc"}, {"db_reference": "max"}])
def test_other_kinds_and_references_are_refused(other):
    with pytest.raises(ValueError, match="compression log10_10000 needs the kind log_mel and db_reference one"):
        FeatureSpec(compression="log10_10000", **other)
