"""Augmentations that exist in both domains change spectrograms alike."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from audiomentations import PitchShift

from genre_app.audio.synth import STYLES, music
from genre_app.augment.config import WaveformConfig
from genre_app.augment.logmel_ops import noise, scale, spectrum
from genre_app.augment.preview import equalise
from genre_app.augment.waveform import augment_waveform
from genre_app.features import FeatureSpec, extract

SPEC = FeatureSpec(hop_length=512, segment_seconds=6.0, top_db=200.0)


RATE = SPEC.sample_rate


@pytest.fixture(scope="module")
def pieces():
    """Six seconds of each style without the fade at their end, float32 [styles, n]."""
    return np.stack([music(style, 7.0, seed=2)[: 6 * RATE] for style in STYLES])


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(3)


def log_mel(samples):
    return extract(torch.from_numpy(np.ascontiguousarray(samples, np.float32)), SPEC)


def band_difference(found, expected):
    """Return the absolute difference of the means over time [styles, bands]."""
    return (found.mean(dim=2) - expected.mean(dim=2)).abs()


def difference_where_it_sounds(found, expected, pieces):
    """Return the same, with 0 for bands in which power is clamped to 1e-10."""
    sounds = log_mel(pieces).amin(dim=2) > -75.0
    assert sounds.float().mean() > 0.8
    return torch.where(sounds, band_difference(found, expected), 0.0)


@pytest.mark.parametrize("snr_db", [5.0, 15.0, 30.0])
def test_noise_at_a_ratio_matches_the_waveform(pieces, snr_db, generator):
    config = WaveformConfig(snr_probability=1, snr_db=(snr_db, snr_db))
    expected = log_mel([augment_waveform(piece, RATE, config, 1) for piece in pieces])
    ratio = torch.full((5,), snr_db)
    found = noise.add_coloured_noise(log_mel(pieces), ratio, torch.zeros(5), SPEC, generator)
    assert band_difference(found, expected).max() < 1.5
    assert band_difference(found, expected).mean() < 0.5


@pytest.mark.parametrize("sigma", [0.001, 0.015])
def test_noise_of_a_sigma_matches_the_waveform(pieces, sigma, generator):
    config = WaveformConfig(white_noise_probability=1, white_noise_sigma=(sigma, sigma))
    expected = log_mel([augment_waveform(piece, RATE, config, 1) for piece in pieces])
    found = noise.add_white_noise(log_mel(pieces), torch.full((5,), sigma), SPEC, generator)
    assert band_difference(found, expected).max() < 1.5
    assert band_difference(found, expected).mean() < 0.25
    # The distribution over the frames agrees too: the lowest and the highest tenth of each band.
    for share in (0.1, 0.9):
        assert (found.quantile(share, dim=2) - expected.quantile(share, dim=2)).abs().mean() < 0.6


def test_gain_matches_the_waveform(pieces):
    config = WaveformConfig(gain_probability=1, gain_db=(-9.0, -9.0))
    expected = log_mel([augment_waveform(piece, RATE, config, 1) for piece in pieces])
    found = spectrum.gain(log_mel(pieces), torch.full((5,), -9.0), SPEC)
    assert difference_where_it_sounds(found, expected, pieces).max() < 0.2


@pytest.mark.parametrize("range_db", [6.0, 12.0])
def test_equaliser_matches_the_waveform(pieces, range_db, generator):
    curves = spectrum.equaliser(5, range_db, 6, SPEC, generator)
    expected = log_mel([equalise(piece, curve[:, 0].numpy(), SPEC) for piece, curve in zip(pieces, curves, strict=True)])
    found = log_mel(pieces) + curves
    assert (curves.amax(dim=1) - curves.amin(dim=1)).mean() > range_db
    difference = difference_where_it_sounds(found, expected, pieces)
    assert difference.mean(dim=0).max() < 0.2
    # A single tone at the edge of its band gets a gain that differs from the one at the centre, more so on steep curves.
    assert difference.max() < 0.2 * max(1.0, range_db / 6.0)


@pytest.mark.parametrize("semitones", [-4.0, -1.5, 3.0, 4.0])
@pytest.mark.parametrize("played", [440.0, 1500.0, 4000.0])
def test_pitch_shift_moves_the_peak_as_the_waveform_does(semitones, played):
    tone = (0.3 * np.sin(2 * np.pi * played * np.arange(3 * RATE) / RATE)).astype(np.float32)
    expected = log_mel(PitchShift(semitones, semitones, p=1.0)(tone, RATE)[None])[0].mean(dim=1)
    found = spectrum.pitch_shift(log_mel(tone[None]), torch.tensor([semitones]), SPEC)[0].mean(dim=1)
    centres = scale.band_centres(SPEC, torch.device("cpu"))
    computed = int((centres - played * 2 ** (semitones / 12)).abs().argmin())
    assert abs(int(found.argmax()) - computed) <= 1
    assert abs(int(found.argmax()) - int(expected.argmax())) <= 1
