"""Operations on log-mel spectrograms against closed forms and against the same change of the waveform."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import torch

from genre_app.augment.logmel_ops import noise as noise_ops
from genre_app.augment.logmel_ops import regularise, room, scale, spectrum
from genre_app.features import FeatureSpec, extract

SPEC = FeatureSpec(hop_length=512, segment_seconds=3.0, top_db=120.0)


RATE = SPEC.sample_rate


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(5)


@pytest.fixture(scope="module")
def chord():
    """Three seconds of a decaying chord with harmonics over the whole band, [1, n]."""
    t = np.arange(3 * RATE) / RATE
    rng = np.random.default_rng(3)
    wave = sum(np.sin(2 * np.pi * 110 * k * t + rng.uniform(0, 6)) / k for k in range(1, 90))
    return torch.from_numpy((0.1 * wave * np.exp(-(t % 0.5))).astype(np.float32))[None]


def filled(size, *values):
    return torch.tensor(values or (0.0,)).float().expand(size).clone()


def test_decibels_are_the_inverse_of_power():
    db = torch.linspace(-150.0, 60.0, 50)
    torch.testing.assert_close(scale.from_power(scale.to_power(db)), db, atol=1e-3, rtol=0)


def test_gain_equals_a_louder_waveform(chord):
    changed = spectrum.gain(extract(chord, SPEC), torch.tensor([-12.0]), SPEC)
    expected = extract(chord * 10 ** (-12 / 20), SPEC)
    above_floor = expected > -95.0  # power under 1e-10 counts as 1e-10
    assert above_floor.float().mean() > 0.5
    assert (changed - expected)[above_floor].abs().max() < 0.01


@pytest.mark.parametrize("snr_db", [0.0, 10.0, 20.0])
def test_noise_matches_white_noise_on_the_waveform(chord, snr_db, generator):
    rng = np.random.default_rng(0)
    noise = rng.normal(size=chord.shape[1])
    noise *= np.sqrt(float(chord.square().mean()) / np.mean(noise**2) / 10 ** (snr_db / 10))
    expected = extract(chord + torch.from_numpy(noise.astype(np.float32)), SPEC)
    changed = noise_ops.add_coloured_noise(extract(chord, SPEC), filled(1, snr_db), filled(1), SPEC, generator)
    # The lowest bands hold one or two bins of the FFT: so their mean in dB has a large random error.
    difference = (changed.mean(dim=2) - expected.mean(dim=2))[0, 8:]
    assert difference.abs().mean() < 0.5
    assert difference.abs().max() < 1.5


def test_noise_has_the_given_ratio(chord, generator):
    db = extract(chord, SPEC).expand(2, -1, -1)
    for slope in (0.0, -3.0, -6.0):
        noisy = noise_ops.add_coloured_noise(db, torch.tensor([10.0, 20.0]), filled(2, slope), SPEC, generator)
        signal = scale.mean_power(scale.to_power(db), SPEC)
        added = scale.mean_power(scale.to_power(noisy) - scale.to_power(db), SPEC)
        ratio = 10 * torch.log10(signal / added)
        torch.testing.assert_close(ratio, torch.tensor([10.0, 20.0]), atol=0.05, rtol=0)


def test_coloured_noise_has_its_slope(generator):
    silence = torch.full((1, 128, 200), -100.0)
    noisy = noise_ops.add_coloured_noise(silence, filled(1, -60.0), filled(1, -6.0), SPEC, generator)
    noisy = scale.from_power(scale.to_power(noisy)[0].mean(dim=1))
    octaves = scale.band_octaves(SPEC, torch.device("cpu"))
    slope = np.polyfit(octaves[30:].numpy(), noisy[30:].numpy(), 1)[0]
    assert slope == pytest.approx(-6.0, abs=0.15)
    sums = SPEC.model_copy(update={"mel_norm": None})  # a band is then the sum over its width, not the mean
    noisy = noise_ops.add_coloured_noise(silence, filled(1, -60.0), filled(1, -6.0), sums, generator)
    widths_db = scale.from_power(scale.band_widths(SPEC, torch.device("cpu")))
    noisy = scale.from_power(scale.to_power(noisy)[0].mean(dim=1)) - widths_db
    assert np.polyfit(octaves[30:].numpy(), noisy[30:].numpy(), 1)[0] == pytest.approx(-6.0, abs=0.15)


@pytest.mark.parametrize("semitones", [-4.0, -1.5, 2.0, 4.0])
def test_pitch_shift_moves_the_peak_as_computed(semitones):
    t = np.arange(3 * RATE) / RATE
    played = 1500.0
    tone = torch.from_numpy(np.sin(2 * np.pi * played * t).astype(np.float32))[None]
    shifted = spectrum.pitch_shift(extract(tone, SPEC), filled(1, semitones), SPEC)[0].mean(dim=1)
    centres = scale.band_centres(SPEC, torch.device("cpu"))
    wanted = int((centres - played * 2 ** (semitones / 12)).abs().argmin())
    assert abs(int(shifted.argmax()) - wanted) <= 1


def test_pitch_shift_interpolates_between_bands(chord, generator):
    db = extract(chord, SPEC).expand(8, -1, -1)
    semitones = torch.cat([torch.tensor([-12.0, -4.0, 4.0, 12.0]), torch.rand(4, generator=generator) * 8 - 4])
    shifted = spectrum.pitch_shift(db, semitones, SPEC).numpy()
    centres = scale.band_centres(SPEC, torch.device("cpu")).double().numpy()
    least = float(db.min())
    for found, item, shift in zip(shifted, db.numpy(), semitones.double().numpy(), strict=True):
        source = centres / 2 ** (shift / 12)
        for frame in range(0, item.shape[1], 10):
            expected = np.interp(source, centres, item[:, frame], left=least, right=least)
            np.testing.assert_allclose(found[:, frame], expected, atol=1e-4)


def test_no_pitch_shift_is_the_identity(chord):
    db = extract(chord, SPEC)
    torch.testing.assert_close(spectrum.pitch_shift(db, filled(1), SPEC), db, atol=1e-4, rtol=0)


def test_band_centres_are_those_of_librosa():
    expected = librosa.mel_frequencies(130, fmin=0.0, fmax=11025.0)[1:-1]
    np.testing.assert_allclose(scale.band_centres(SPEC, torch.device("cpu")).numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("direct_db", [-6.0, 0.0, 12.0])
def test_the_tail_has_the_given_energy_and_falls_by_60_db_in_t60(direct_db):
    spec = SPEC.model_copy(update={"segment_seconds": 6.0})
    impulse = torch.full((1, 128, 250), -200.0)
    impulse[:, :, 10] = 0.0
    power = scale.to_power(room.reverberate(impulse, filled(1, direct_db), filled(1, 1.5), spec))[0, 60]
    tail = power.clone()
    tail[10] -= 1.0  # the direct sound
    assert 10 * torch.log10(1.0 / tail[10:].sum()) == pytest.approx(direct_db, abs=0.1)
    frames = 1.5 * RATE / spec.hop_length
    fall = 10 * torch.log10(tail[12] / tail[12 + 64]) * frames / 64
    assert fall == pytest.approx(60.0, abs=0.5)
    assert power[:10].max() < 1e-15  # nothing before the impulse


def test_equaliser_stays_in_range_and_is_smooth(generator):
    curve = spectrum.equaliser(500, 9.0, 6, SPEC, generator)
    assert curve.shape == (500, 128, 1)
    assert 8.0 < curve.abs().max() <= 9.0
    assert curve.diff(dim=1).abs().max() <= 18.0 / (127 / 5) + 1e-4


def test_band_limits_have_the_given_slope_and_keep_the_middle():
    response = spectrum.band_limit(filled(1, 200.0), filled(1, 4000.0), filled(1, 12.0), SPEC)[0, :, 0]
    centres = scale.band_centres(SPEC, torch.device("cpu"))
    assert response[(centres > 210) & (centres < 3900)].abs().max() < 1e-4
    assert np.interp(8000.0, centres, response) == pytest.approx(-12.0, abs=0.1)
    assert np.interp(100.0, centres, response) == pytest.approx(-12.0, abs=1.0)


def test_masks_hide_stripes_with_the_mean(generator):
    db = torch.randn(64, 128, 65)
    masked = regularise.mask(db, 20, 10, 1, generator)
    changed = masked != db
    assert changed.any(dim=(1, 2)).float().mean() > 0.9
    mean = db.mean(dim=(1, 2), keepdim=True).expand_as(db)
    torch.testing.assert_close(masked[changed], mean[changed])
    full_rows, full_columns = changed.all(dim=2).sum(dim=1), changed.all(dim=1).sum(dim=1)
    assert full_rows.max() <= 20
    assert full_columns.max() <= 10
    assert full_rows.max() > 12


def test_mixup_mixes_input_and_target_with_the_same_share(generator):
    targets = torch.eye(8)
    db = targets[:, :, None].expand(-1, -1, 5) * 10.0
    mixed, blended = regularise.mixup(db, targets, 1.0, generator, torch.ones(8, dtype=torch.bool))
    torch.testing.assert_close(mixed[:, :, 0] / 10.0, blended)
    torch.testing.assert_close(blended.sum(dim=1), torch.ones(8))
    assert (blended.argmax(dim=1) == torch.arange(8)).all()
    assert (blended.amax(dim=1) < 0.999).any()


@pytest.mark.parametrize("alpha", [0.1, 0.3, 1.0, 4.0])
def test_mixing_shares_are_beta_distributed(alpha, generator):
    shares = regularise.symmetric_beta(alpha, 200_000, generator).double()
    assert shares.min() >= 0
    assert shares.max() <= 1
    assert shares.mean().item() == pytest.approx(0.5, abs=0.005)
    assert shares.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.01)
    fourth = 3 / (16 * (2 * alpha + 1) * (2 * alpha + 3))
    assert (shares - 0.5).pow(4).mean().item() == pytest.approx(fourth, rel=0.02)


def test_mixup_keeps_the_items_that_are_not_chosen(generator):
    db, targets = torch.randn(16, 4, 5, generator=generator), torch.eye(16)
    chosen = torch.arange(16) % 2 == 0
    mixed, blended = regularise.mixup(db, targets, 1.0, generator, chosen)
    assert torch.equal(mixed[~chosen], db[~chosen])
    assert torch.equal(blended[~chosen], targets[~chosen])
    assert (blended[chosen].amax(dim=1) < 0.999).sum() >= 4


def test_mix_style_gives_the_bands_the_statistics_of_another_item(generator):
    scale_db, level_db = torch.rand(2, 12, 4, 1, generator=generator) * torch.tensor([9.0, 60.0])[:, None, None, None]
    db = torch.randn(12, 4, 50, generator=generator) * (scale_db + 1.0) - level_db
    either = regularise.mix_style(db, 1e-6, generator)  # the share of an item's own statistics is 0 or 1
    stats, before = (torch.cat(torch.std_mean(items, dim=2, correction=0), dim=1) for items in (either, db))
    distance, other = (stats[:, None] - before[None]).abs().amax(dim=2).min(dim=1)
    assert distance.max() < 1e-4
    assert 3 <= (other != torch.arange(12)).sum() <= 9
    standard = (db - db.mean(dim=2, keepdim=True)) / db.std(dim=2, keepdim=True)
    torch.testing.assert_close((either - either.mean(dim=2, keepdim=True)) / either.std(dim=2, keepdim=True), standard)


def test_mix_style_keeps_constant_bands_constant(generator):
    db = torch.tensor([-100.0, -20.0])[:, None, None].repeat(3, 4, 10)
    mixed = regularise.mix_style(db, 1.0, generator)
    torch.testing.assert_close(mixed, mixed[:, :, :1].expand_as(db))
    assert ((mixed > -100.0 - 1e-3) & (mixed < -20.0 + 1e-3)).all()
    assert ((mixed > -99.0) & (mixed < -21.0)).any()


@pytest.mark.parametrize("sigma", [0.001, 0.004, 0.015])
def test_white_noise_matches_noise_on_the_waveform(chord, sigma, generator):
    noise = np.random.default_rng(0).normal(0, sigma, chord.shape)
    expected = extract(chord + torch.from_numpy(noise.astype(np.float32)), SPEC)
    changed = noise_ops.add_white_noise(extract(chord, SPEC), filled(1, sigma), SPEC, generator)
    difference = (changed.mean(dim=2) - expected.mean(dim=2))[0]
    assert difference.abs().mean() < 0.25
    assert difference.abs().max() < 1.5


@pytest.mark.parametrize("fields", [{}, {"mel_norm": None, "n_mels": 64}, {"mel_scale": "htk", "n_fft": 1024}, {"power": 1.0}])
def test_white_noise_on_silence_has_the_level_and_fluctuation_of_noise(fields, generator):
    spec = SPEC.model_copy(update={"hop_length": 2048, "top_db": 200.0, **fields})
    noise = np.random.default_rng(1).normal(0, 0.01, (1, 2048 * 1500)).astype(np.float32)
    expected = scale.to_power(extract(torch.from_numpy(noise), spec)[0, :, 1:-1])
    silence = torch.full((1, spec.n_mels, expected.shape[1]), -100.0 * spec.power)
    found = scale.to_power(noise_ops.add_white_noise(silence, filled(1, 0.01), spec, generator)[0])
    full = expected.mean(dim=1) > 1e-9  # narrow bands between two FFT bins are empty
    ratio_db = 10 * torch.log10(found.mean(dim=1) / expected.mean(dim=1))[full]
    # The mean of 1500 frames of two independent values has an error of 2 %, 0.1 dB; with power 1 the level is approximate.
    assert ratio_db.abs().max() < (0.45 if spec.power == 2 else 0.6)
    assert abs(ratio_db.mean()) < (0.05 if spec.power == 2 else 0.5)
    spreads = [(power.std(dim=1) / power.mean(dim=1))[full] for power in (found, expected)]
    assert abs(spreads[0].mean() / spreads[1].mean() - 1) < 0.03
    torch.testing.assert_close(spreads[0], spreads[1], rtol=0.15, atol=0)
