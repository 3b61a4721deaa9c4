"""Recording steps on waveforms, against definitions and against their counterparts on log-mel spectrograms."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
import soundfile
import torch

from genre_app.audio.synth import STYLES, music
from genre_app.augment.config import WaveformConfig
from genre_app.augment.logmel_ops import distortion, noise
from genre_app.augment.logmel_ops import recorder as logmel_recorder
from genre_app.augment.waveform import augment_waveform, room_files
from genre_app.augment.waveform_ops import recorder, rooms
from genre_app.augment.waveform_ops.codec import round_trip
from genre_app.features import FeatureSpec, extract

RATE = 22050
SPEC = FeatureSpec(segment_seconds=6.0, top_db=150.0)
PARTS = ("codec", "clip", "room", "response", "coloured_noise", "suppress", "gain_control", "limit")


@pytest.fixture(scope="module")
def pieces():
    """Six seconds of each style, float32 [styles, n]."""
    return np.stack([music(style, 7.0, seed=6)[: 6 * RATE] for style in STYLES])


@pytest.fixture
def rng():
    return np.random.default_rng(8)


def tone(hz, seconds=6.0):
    return (0.2 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def level_db(samples):
    return 10 * np.log10(np.mean(np.square(samples, dtype=float)))


def log_mel(samples):
    return extract(torch.from_numpy(np.ascontiguousarray(samples, np.float32)), SPEC)


@pytest.mark.parametrize("depth_db", [4.0, 8.0, 14.0])
def test_a_steady_tone_is_suppressed_within_two_seconds_and_a_decaying_one_is_not(depth_db, rng):
    steady = tone(1000)
    struck = (steady * np.exp(-12 * (np.arange(len(steady)) / RATE % 0.5))).astype(np.float32)
    changed = recorder.suppress(steady, RATE, depth_db, 12.0, 0.0, 0.0, rng)
    assert level_db(changed[: RATE // 20]) - level_db(steady[: RATE // 20]) > -2.0
    for start in (2.0, 4.0):
        part = slice(int(start * RATE), int((start + 1) * RATE))
        assert level_db(changed[part]) - level_db(steady[part]) == pytest.approx(-depth_db, abs=0.5)
    kept = recorder.suppress(struck, RATE, depth_db, 12.0, 0.0, 0.0, rng)
    assert level_db(kept[RATE:]) - level_db(struck[RATE:]) == pytest.approx(0.0, abs=1.0)
    assert len(kept) == len(struck)


def test_a_suppressor_without_depth_changes_nothing(pieces, rng):
    same = recorder.suppress(pieces[0], RATE, 0.0, 3.0, 5.0, 5.0, rng)
    np.testing.assert_allclose(same, pieces[0], atol=1e-5)
    np.testing.assert_array_equal(recorder.suppress(pieces[0][:500], RATE, 9.0, 3.0, 5.0, 5.0, rng), pieces[0][:500])


def test_both_suppressors_agree_roughly(pieces, rng):
    db = log_mel(pieces)
    sounding = db > db.amax(dim=(1, 2), keepdim=True) - 60
    sounding[:, :, :26] = False  # after both have adapted
    settings = (14.0, 4.0, 2.0, 3.0)
    found, expected = [], []
    for seed in range(6):
        rngs = [np.random.default_rng((seed, i)) for i in range(len(pieces))]
        waves = [recorder.suppress(one, RATE, *settings, own) for one, own in zip(pieces, rngs, strict=True)]
        expected.append(log_mel(np.stack(waves)) - db)
        of_items = [torch.full((5,), value) for value in settings]
        found.append(logmel_recorder.suppress(db, *of_items, SPEC, torch.Generator().manual_seed(seed)) - db)
    means = [float(torch.stack(both)[:, sounding].mean()) for both in (found, expected)]
    assert means[1] < -2.0
    assert means[0] == pytest.approx(means[1], abs=1.5)
    averages = [torch.stack(both).mean(dim=0)[sounding] for both in (found, expected)]  # averaged over the random thresholds
    assert torch.corrcoef(torch.stack(averages))[0, 1] > 0.6


@pytest.mark.parametrize("seconds", [0.8, 1.2])
def test_gain_control_reaches_its_target_with_its_time_constant(seconds):
    noise = 0.5 * np.random.default_rng(0).standard_normal(8 * RATE).astype(np.float32)
    noise[3 * RATE :] *= 0.1
    changed = recorder.control_gain(noise, RATE, -20.0, seconds, 40.0)
    assert level_db(changed[2 * RATE : 3 * RATE]) == pytest.approx(-20.0, abs=0.3)
    assert level_db(changed[-RATE:]) == pytest.approx(-20.0, abs=0.7)
    at = int((3.1 + seconds) * RATE)  # one time constant after a fall of 20 dB, which is measured with a delay of 0.1 s
    assert level_db(changed[at - 1000 : at + 1000]) == pytest.approx(-20.0 - 20.0 / np.e, abs=2.0)
    limited = recorder.control_gain(noise * 1e-4, RATE, -20.0, seconds, 12.0)
    assert level_db(limited) - level_db(noise * 1e-4) == pytest.approx(12.0, abs=0.01)


def test_a_limiter_holds_its_threshold_and_releases_at_its_rate():
    samples = tone(500) * np.float32(0.05)
    samples[2 * RATE : 2 * RATE + 2205] *= 20
    changed = recorder.limit(samples, RATE, 3.0, 20.0)
    burst = slice(2 * RATE + 441, 2 * RATE + 1764)
    assert level_db(changed[burst]) == pytest.approx(level_db(samples) + 3.0, abs=0.2)
    np.testing.assert_allclose(changed[: 2 * RATE - 500], samples[: 2 * RATE - 500], rtol=1e-5)
    gains = [level_db(changed[at : at + 441]) - level_db(samples[at : at + 441]) for at in (int(2.15 * RATE), int(2.35 * RATE))]
    assert gains[0] < -3.0
    assert gains[1] - gains[0] == pytest.approx(20.0 * 0.2, abs=0.2)


@pytest.mark.parametrize("share", [0.01, 0.1])
def test_clipping_clips_the_given_share(pieces, share):
    changed = recorder.clip(pieces[0], share)
    ceiling = np.abs(changed).max()
    assert np.mean(np.abs(pieces[0]) >= ceiling) == pytest.approx(share, abs=1e-3)
    below = np.abs(pieces[0]) < ceiling
    np.testing.assert_array_equal(changed[below], pieces[0][below])


@pytest.mark.parametrize("codec", ["mp3", "opus"])
@pytest.mark.parametrize("rate", [16000, 22050, 44100])
def test_a_codec_keeps_length_and_timing(codec, rate):
    samples = music("blues", 3.0, rate)
    back = round_trip(samples, rate, codec, 56)
    assert back.shape == samples.shape
    assert back.dtype == np.float32
    middle = slice(rate, 2 * rate)
    lags = scipy.signal.correlate(back[middle], samples[middle], "same", method="fft")
    assert abs(int(lags.argmax()) - rate // 2) <= 1
    assert np.corrcoef(back[middle], samples[middle])[0, 1] > 0.9
    assert np.abs(back[-rate // 20 :]).max() > 0.2 * np.abs(samples[-rate // 20 :]).max()
    assert len(round_trip(samples[:0], rate, codec, 56)) == 0
    assert np.corrcoef(round_trip(samples, rate, codec, 320)[middle], samples[middle])[0, 1] > 0.9


def test_a_codec_of_few_bits_loses_more(pieces):
    def lost(kilobits):
        return np.mean(np.abs((log_mel(round_trip(pieces[0], RATE, "mp3", kilobits)[None]) - log_mel(pieces[:1])).numpy()))

    assert lost(16) > 2 * lost(56)


@pytest.mark.parametrize(("direct_db", "t60_seconds"), [(-12.0, 0.93), (-3.0, 0.45), (4.0, 0.3)])
def test_a_drawn_room_has_the_given_ratio_and_time(direct_db, t60_seconds):
    energies = 0.0
    for seed in range(12):
        response = rooms.drawn_response(RATE, direct_db, t60_seconds, np.random.default_rng(seed))
        assert np.sum(response**2) == pytest.approx(1.0)
        assert 10 * np.log10(response[0] ** 2 / np.sum(response[1:] ** 2)) == pytest.approx(direct_db, abs=1e-6)
        band = scipy.signal.butter(3, [707, 1414], "bandpass", fs=RATE, output="sos")
        energy = np.square(scipy.signal.sosfiltfilt(band, np.pad(response, (2000, 2000))))[2000:]
        energies = energies + energy[: int(1.2 * t60_seconds * RATE)]
    decay = 10 * np.log10(np.cumsum(energies[::-1])[::-1])  # Schroeder's backward integration
    start, end = (int(share * t60_seconds * RATE) for share in (0.25, 0.65))
    slope = np.polyfit(np.arange(start, end) / RATE, decay[start:end], 1)[0]
    assert -60 / slope == pytest.approx(t60_seconds, rel=0.12)


def test_a_room_from_a_folder_starts_with_its_loudest_sample(tmp_path, pieces):
    click = np.zeros(4000)
    click[1000], click[1800] = 0.5, 0.25
    soundfile.write(tmp_path / "room.wav", click, RATE)
    response = rooms.read_response(tmp_path / "room.wav", RATE)
    assert np.sum(response**2) == pytest.approx(1.0)
    assert response[800] / response[0] == pytest.approx(0.5, abs=1e-3)
    played = rooms.play_in(pieces[0], response)
    expected = response[0] * pieces[0] + response[800] * np.concatenate([np.zeros(800), pieces[0][:-800]])
    np.testing.assert_allclose(played, expected, atol=1e-4)
    config = WaveformConfig(room_probability=1, room_folder=tmp_path)
    changed = [augment_waveform(pieces[0], RATE, config, seed) for seed in range(12)]
    read = [np.allclose(one, played, atol=1e-5) for one in changed]
    assert 2 <= sum(read) <= 10
    (tmp_path / "deep").mkdir()
    soundfile.write(tmp_path / "deep" / "silent.wav", np.zeros(100), RATE)
    with pytest.raises(ValueError, match=r"silent\.wav in room_folder: it is silent"):
        room_files(tmp_path / "deep")


def test_a_missing_folder_of_rooms_is_named(tmp_path, pieces):
    config = WaveformConfig(room_probability=1, room_folder=tmp_path / "none")
    with pytest.raises(ValueError, match=r"room_folder .* is not a folder; name one that holds impulse responses"):
        [augment_waveform(pieces[0][:RATE], RATE, config, seed) for seed in range(8)]  # half of the draws read the folder
    with pytest.raises(ValueError, match="is not a folder"):
        room_files(tmp_path / ("a" * 300))  # longer than a folder's name may be


def test_a_small_device_has_the_given_band_and_curve():
    impulse = np.zeros(2 * RATE, np.float32)
    impulse[RATE] = 1.0
    changed = recorder.respond(impulse, RATE, 300.0, 4000.0, 24.0, np.array([6.0, -3.0, 0.0]))
    response = 20 * np.log10(np.abs(np.fft.rfft(changed)) + 1e-12)
    at = np.fft.rfftfreq(len(changed), 1 / RATE)
    assert int(np.abs(changed).argmax()) == RATE
    middle = np.sqrt(60 * RATE / 2)
    assert np.interp(middle, at, response) == pytest.approx(-3.0, abs=0.1)
    assert np.interp(8000, at, response) - np.interp(4000, at, response) == pytest.approx(-24 + 0.8, abs=0.3)
    assert np.interp(60, at, response) == pytest.approx(6 - 24 * np.log2(5), abs=0.6)


def test_coloured_noise_has_the_given_ratio_and_slope(pieces, rng):
    noise = recorder.add_coloured(pieces[0], RATE, 12.0, -6.0, rng) - pieces[0]
    assert level_db(pieces[0]) - level_db(noise) == pytest.approx(12.0, abs=0.05)
    at, density = scipy.signal.welch(noise, RATE, nperseg=4096)
    band = (at > 200) & (at < 8000)
    assert np.polyfit(np.log2(at[band]), 10 * np.log10(density[band]), 1)[0] == pytest.approx(-6.0, abs=0.3)


@pytest.mark.parametrize("share", [0.02, 0.08])
def test_clipped_pieces_match_their_log_mel_counterpart(pieces, share):
    ceilings = np.quantile(np.abs(pieces), 1 - share, axis=1)
    headroom = 20 * np.log10(ceilings / np.sqrt(np.mean(pieces.astype(float) ** 2, axis=1)))
    db, expected = log_mel(pieces), log_mel(np.stack([recorder.clip(one, share) for one in pieces]))
    found = distortion.clip(db, torch.from_numpy(headroom).float(), SPEC)
    sounding = db > db.amax(dim=(1, 2), keepdim=True) - 50
    assert float((found - expected)[sounding].mean()) == pytest.approx(0.0, abs=0.7)


def everything(**fields):
    return WaveformConfig(**{f"{part}_probability": 0.6 for part in PARTS}, **fields)


def test_the_chain_is_the_same_for_the_same_seed(pieces):
    changed = [augment_waveform(pieces[1], RATE, everything(), seed) for seed in range(5)]
    np.testing.assert_array_equal(augment_waveform(pieces[1], RATE, everything(), 3), changed[3])
    assert len({one.tobytes() for one in changed}) == 5
    for one in changed:
        assert one.shape == pieces[1].shape
        assert one.dtype == np.float32
        assert np.isfinite(one).all()


def test_a_step_without_probability_does_not_change_the_draws_of_others(pieces):
    old = {"snr_probability": 1.0, "gain_probability": 1.0}
    expected = augment_waveform(pieces[0], RATE, WaveformConfig(**old), 3)
    nothing = WaveformConfig(**old, clip_share=(0.1, 0.2), codec_kilobits=(8, 9), room_t60_seconds=(1, 2))
    np.testing.assert_array_equal(augment_waveform(pieces[0], RATE, nothing, 3), expected)
    limited = WaveformConfig(limit_probability=1.0, limit_threshold_db=(-10, -9))
    once = augment_waveform(pieces[0], RATE, limited, 3)
    rarely = limited.model_copy(update={"clip_probability": 1e-9, "suppress_probability": 1e-9})
    np.testing.assert_array_equal(augment_waveform(pieces[0], RATE, rarely, 3), once)


def test_each_step_is_applied_to_the_given_share(pieces):
    short = pieces[0][: RATE // 2]
    for part in ("clip", "room", "response", "coloured_noise", "gain_control"):
        config = WaveformConfig(**{f"{part}_probability": 0.3})
        changed = [not np.array_equal(augment_waveform(short, RATE, config, seed), short) for seed in range(150)]
        assert np.mean(changed) == pytest.approx(0.3, abs=0.12), part


@pytest.mark.parametrize("samples", [np.zeros(RATE, np.float32), np.zeros(1, np.float32), np.ones(700, np.float32)])
def test_silent_and_short_samples_stay_finite(samples):
    for seed in range(4):
        changed = augment_waveform(samples, RATE, everything(), seed)
        assert changed.shape == samples.shape
        assert np.isfinite(changed).all()


def test_pink_noise_is_the_same_in_both_domains(pieces, rng):
    noisy = np.stack([recorder.add_coloured(one, RATE, 10.0, -3.0, rng) for one in pieces])
    ratio, slope = torch.full((5,), 10.0), torch.full((5,), -3.0)
    found = noise.add_coloured_noise(log_mel(pieces), ratio, slope, SPEC, torch.Generator().manual_seed(0))
    difference = (found.mean(dim=2) - log_mel(noisy).mean(dim=2))[:, 4:]
    assert difference.abs().mean() < 0.8
