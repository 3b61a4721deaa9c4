"""Rooms, recorders and browsers on log-mel spectrograms, against definitions and against the same change of the waveform."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import scipy.signal
import torch

from genre_app.audio.synth import STYLES, music
from genre_app.augment.config import AugmentConfig, LogMelConfig
from genre_app.augment.logmel import apply_chain, augment
from genre_app.augment.logmel_ops import distortion, recorder, room, scale
from genre_app.augment.logmel_ops import noise as noise_ops
from genre_app.features import FeatureSpec, extract
from tests.augment.test_logmel import NothingIsRead

SPEC = FeatureSpec(segment_seconds=6.0, top_db=150.0)
RATE = SPEC.sample_rate
FRAMES = SPEC.segment_frames
SECOND = RATE / SPEC.hop_length
NEW = ("room", "background", "suppress", "gain_control", "limit", "clip", "codec")


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(11)


@pytest.fixture(scope="module")
def pieces():
    """Six seconds of each style, float32 [styles, n]."""
    return np.stack([music(style, 7.0, seed=4)[: 6 * RATE] for style in STYLES])


def log_mel(samples):
    return extract(torch.from_numpy(np.ascontiguousarray(samples, np.float32)), SPEC)


def all_of(size, value):
    return torch.full((size,), float(value))


def test_level_dbfs_is_the_level_of_the_samples(pieces):
    loud = 0.1 * np.random.default_rng(0).standard_normal((1, 6 * RATE))
    assert scale.level_dbfs(log_mel(loud), SPEC).mean() == pytest.approx(-20.0, abs=0.1)
    for fields in ({"power": 1.0}, {"mel_norm": None}, {"mel_scale": "htk", "n_mels": 64, "n_fft": 1024}):
        spec = SPEC.model_copy(update=fields)
        level = scale.level_dbfs(extract(torch.from_numpy(loud.astype(np.float32)), spec), spec)
        assert level.mean() == pytest.approx(-20.0, abs=0.1 if spec.power == 2 else 1.2)
    powers = scale.to_power(scale.level_dbfs(log_mel(pieces), SPEC)).mean(dim=1).numpy()
    np.testing.assert_allclose(10 * np.log10(powers), 10 * np.log10(np.mean(pieces.astype(float) ** 2, axis=1)), atol=0.7)


@pytest.mark.parametrize("depth_db", [4.0, 10.0, 14.0])
def test_a_steady_tone_is_suppressed_within_two_seconds_and_a_decaying_one_is_not(depth_db, generator):
    time = np.arange(6 * RATE) / RATE
    tone = 0.2 * np.sin(2 * np.pi * 1000 * time)
    struck = tone * np.exp(-12.0 * (time % 0.5))
    db = log_mel(np.stack([tone] * 40 + [struck] * 40))
    changed = recorder.suppress(db, all_of(80, depth_db), all_of(80, 12.0), all_of(80, 0.0), all_of(80, 0.0), SPEC, generator)
    band = int(db[0].mean(dim=1).argmax())
    fall = (changed - db)[:40, band]
    assert (fall[:, int(2 * SECOND) : -2] + depth_db).abs().max() < 0.5
    # Suppressors that start with the segment begin without attenuation, the others with all of it.
    assert (fall[:, 0] > -0.1).float().mean() == pytest.approx(0.33, abs=0.2)
    assert (fall[:, 1] < -0.8 * depth_db).any()  # the first frame holds the click at the start of the tone
    power = scale.to_power(changed[40:, band]).mean(dim=1) / scale.to_power(db[40:, band]).mean(dim=1)
    assert (10 * torch.log10(power)).abs().max() < 1.0


def test_the_threshold_wanders_in_all_bands_at_once_and_scatters_between_them(pieces, generator):
    db = log_mel(np.concatenate([pieces] * 8))
    size = len(db)
    steady, wandering, scattering = (
        recorder.suppress(db, all_of(size, 18), all_of(size, 8), *map(partial(all_of, size), minds), SPEC, generator) - db
        for minds in ((0.0, 0.0), (6.0, 0.0), (0.0, 6.0))
    )
    assert wandering.min() >= -18.01
    assert wandering.max() <= 0.01
    swings = [change.median(dim=1).values.std(dim=1).mean() for change in (steady, wandering)]
    assert swings[1] > swings[0] + 0.7
    unlike = [change - change.mean(dim=1, keepdim=True) for change in (steady, wandering, scattering)]
    apart = [bands.reshape(8, -1, *db.shape[1:]).std(dim=0).mean() for bands in unlike]  # of eight draws of the same piece
    assert apart[2] > max(apart[:2]) + 0.7


@pytest.mark.parametrize("seconds", [0.5, 1.0])
def test_gain_control_reaches_its_target_with_its_time_constant(seconds):
    noise = np.random.default_rng(0).standard_normal((1, 6 * RATE))
    noise[:, : 2 * RATE] *= 0.5
    noise[:, 2 * RATE :] *= 0.05
    db = log_mel(noise)
    level = scale.level_dbfs(recorder.control_gain(db, all_of(1, -20), all_of(1, seconds), all_of(1, 30), SPEC), SPEC)[0]
    assert level[int(1.5 * SECOND)] == pytest.approx(-20.0, abs=1.0)
    assert level[-8:-1].mean() == pytest.approx(-20.0, abs=1.0)
    gap = -20.0 - level[int((2 + seconds) * SECOND)]  # one time constant after a fall of 20 dB
    assert gap == pytest.approx(20.0 / np.e, abs=2.0)
    weak = recorder.control_gain(db - 60, all_of(1, -20), all_of(1, seconds), all_of(1, 12), SPEC) - (db - 60)
    assert weak.max() == pytest.approx(12.0, abs=1e-3)


def test_a_limiter_holds_its_threshold_and_releases_at_its_rate():
    db = torch.full((1, 128, FRAMES), -60.0)
    db[:, :, 20:22] = -30.0
    level = scale.level_dbfs(db, SPEC)
    mean = scale.from_power(scale.to_power(level).mean(dim=1))
    changed = recorder.limit(db, all_of(1, 3), all_of(1, 10), SPEC)
    loudest = scale.level_dbfs(changed, SPEC)[0, 20:22]
    torch.testing.assert_close(loudest, (mean + 3.0).expand(2), atol=0.01, rtol=0)
    assert torch.equal(changed[:, :, :20], db[:, :, :20])
    reduction = (db - changed)[0, 0]
    assert reduction[21] - reduction[21 + 13] == pytest.approx(10.0 * 13 / SECOND, abs=0.01)


@pytest.mark.parametrize("headroom_db", [0.0, 3.0, 6.0, 10.0])
def test_clipping_matches_the_waveform(pieces, headroom_db):
    # Pieces of even level and white noise: the model assumes that samples are normally distributed.
    ceiling = np.sqrt(np.mean(pieces.astype(float) ** 2, axis=1, keepdims=True)) * 10 ** (headroom_db / 20)
    before, expected = log_mel(pieces), log_mel(np.clip(pieces, -ceiling, ceiling))
    found = distortion.clip(before, all_of(len(pieces), headroom_db), SPEC)
    sounding = before > before.amax(dim=(1, 2), keepdim=True) - 60
    difference = torch.where(sounding, found - expected, 0.0)
    assert difference.mean().abs() < 1.0
    noise = np.random.default_rng(0).standard_normal((1, 6 * RATE)) * 0.1
    ceiling = 0.1 * 10 ** (headroom_db / 20)
    before, expected = log_mel(noise), log_mel(np.clip(noise, -ceiling, ceiling))
    found = distortion.clip(before, all_of(1, headroom_db), SPEC)
    assert (found.mean(dim=2) - expected.mean(dim=2))[:, 1:-1].abs().mean() < 0.3


def test_clipping_adds_the_spectrum_of_the_third_power():
    time = np.arange(6 * RATE) / RATE
    band = scipy.signal.butter(6, [900, 1100], "bandpass", fs=RATE, output="sos")
    noise = scipy.signal.sosfilt(band, np.random.default_rng(0).standard_normal(len(time)))
    noise = 0.1 * noise / noise.std()
    ceiling = 0.1 * 10 ** (3 / 20)
    before, expected = log_mel(noise[None]), log_mel(np.clip(noise, -ceiling, ceiling)[None])
    found = distortion.clip(before, all_of(1, 3), SPEC)
    centres = scale.band_centres(SPEC, torch.device("cpu"))
    third = int((centres - 3000).abs().argmin())
    assert before[0, third].mean() < -90
    assert expected[0, third].mean() > -50
    assert (found - expected)[0, third].mean() == pytest.approx(0.0, abs=3.0)
    assert found[0, int((centres - 2000).abs().argmin())].mean() < found[0, third].mean() - 20


def tail_of(seconds, direct_db, rng):
    """Return exponentially decaying noise after a direct sound of amplitude 1."""
    tail = rng.standard_normal(int(1.2 * seconds * RATE))
    tail *= np.exp(-np.log(1e3) * np.arange(len(tail)) / RATE / seconds)
    tail *= np.sqrt(10 ** (-direct_db / 10) / np.sum(tail**2))
    tail[0] += 1.0
    return tail


@pytest.mark.parametrize(("direct_db", "seconds"), [(-3.0, 0.45), (-12.0, 0.93)])
def test_a_room_matches_convolution(pieces, direct_db, seconds, generator):
    rng = np.random.default_rng(0)
    db = log_mel(pieces)
    mean = room.reverberate(db, all_of(5, direct_db), all_of(5, seconds), SPEC)
    convolved = []
    for _ in range(6):
        tail = tail_of(seconds, direct_db, rng)
        convolved.append(log_mel(scipy.signal.oaconvolve(pieces, tail[None], axes=1)[:, : pieces.shape[1]]) - mean)
    found = [room.play_in_room(db, all_of(5, direct_db), all_of(5, seconds), SPEC, generator) - mean for _ in range(6)]
    start = int(SECOND)
    sounding = (db[:, :, start:] > db.amax(dim=(1, 2), keepdim=True) - 60).float().mean(dim=2) > 0.8
    for statistic, tolerance in ((torch.mean, 1.0), (torch.std, 1.2)):
        of_both = []
        for differences in (found, convolved):
            values = torch.stack([statistic(one[:, :, start:], dim=2)[sounding].mean() for one in differences])
            of_both.append(values.mean())
        assert float(of_both[0]) == pytest.approx(float(of_both[1]), abs=tolerance), statistic
    # A room amplifies some bands and attenuates others, by some dB.
    colours = [torch.cat([one[:, :, start:].mean(dim=2)[sounding] for one in both]).std() for both in (found, convolved)]
    assert colours[1] > 0.8
    assert float(colours[0]) == pytest.approx(float(colours[1]), abs=0.7)


def test_the_tail_of_a_room_has_the_given_ratio_and_time(generator):
    size = 300
    click = torch.full((size, 128, FRAMES), -150.0)
    click[:, :, 30] = 0.0
    heard = scale.to_power(room.play_in_room(click, all_of(size, -6), all_of(size, 0.6), SPEC, generator)).mean(dim=0)
    centres = scale.band_centres(SPEC, torch.device("cpu"))
    band = int((centres - 1000).abs().argmin())
    assert 10 * torch.log10(heard[band, 30:].sum() - 1.0) == pytest.approx(6.0, abs=0.7)
    fall = 10 * torch.log10(heard[:, 32] / heard[:, 36]) / (4 / SECOND)
    assert fall[band] == pytest.approx(60 / 0.6, rel=0.1)
    assert fall[-1] > 1.15 * fall[band]
    assert fall[band] > 1.1 * fall[5]
    assert heard[:, :30].max() < 1e-12


def test_background_noise_has_the_given_ratio_and_changes_over_time(pieces, generator):
    db = log_mel(np.concatenate([pieces] * 4))
    changed = noise_ops.add_background(db, all_of(20, 12), SPEC, generator)
    added = scale.to_power(changed) - scale.to_power(db)
    ratio = 10 * torch.log10(scale.mean_power(scale.to_power(db), SPEC) / scale.mean_power(added, SPEC))
    torch.testing.assert_close(ratio, all_of(20, 12), atol=0.1, rtol=0)
    silence = torch.full((50, 128, FRAMES), -150.0)
    noise = noise_ops.add_background(silence, all_of(50, -100), SPEC, generator)
    assert noise.std(dim=2).mean() > 5.0
    assert noise.mean(dim=2).std(dim=0).mean() > 8.0  # the spectra differ between items


def test_a_codec_drops_soft_bands_and_high_frequencies(generator):
    db = torch.full((1, 128, FRAMES), -20.0)
    db[:, 40:60] = -55.0
    changed = distortion.code(db, all_of(1, 30), all_of(1, 6000), all_of(1, 0), SPEC, generator)
    centres = scale.band_centres(SPEC, torch.device("cpu"))
    assert torch.equal(changed[:, :40], db[:, :40])
    torch.testing.assert_close(changed[:, 40:60], db[:, 40:60] - 15.0)
    assert (changed - db)[0, centres > 6700].max() <= -60.0 + 1e-3
    strayed = distortion.code(db, all_of(1, 80), all_of(1, 20000), all_of(1, 2), SPEC, generator) - db
    assert strayed.std() == pytest.approx(2.0, rel=0.05)


def test_a_step_without_probability_draws_nothing():
    """Without room, suppressor and codecs, a batch has the values that were recorded before these steps existed."""
    mild = {"pitch_semitones": 3.0, "equaliser_db": 10.0, "coloration_db": 2.0, "coloured_noise_snr_db": (10.0, 45.0)}
    recorded = {"pitch_semitones": 3.0, "equaliser_db": 12.0, "coloration_db": 4.0, "coloured_noise_snr_db": (5.0, 35.0)}
    shares = [
        {"pitch": 0.7, "equaliser": 0.7, "coloration": 0.3, "coloured_noise": 0.3, "gain": 0.5, "floor": 0.3},
        {"pitch": 0.5, "equaliser": 0.7, "coloration": 0.7, "coloured_noise": 0.8, "gain": 0.5, "floor": 0.3},
    ]
    shares[1] |= {"reverb": 0.7, "response": 0.6}
    chains = [
        LogMelConfig(**given, **{f"{name}_probability": share for name, share in of_chain.items()})
        for given, of_chain in zip((mild, recorded), shares, strict=True)
    ]
    others = {"mask_probability": 0.5, "mixup_probability": 0.7, "mixup_alpha": 0.4}
    plain = AugmentConfig(mild_share=0.4, mild=chains[0], recorded_share=0.4, recorded=chains[1], **others)
    db = torch.arange(64 * 128 * 78).float().remainder(97.0).reshape(64, 128, 78) - 90.0
    generator = torch.Generator().manual_seed(2)
    changed, targets = augment(db, torch.eye(64), plain, SPEC, generator)
    assert float(changed.double().mean()) == pytest.approx(-38.457660, abs=1e-4)
    some = changed[[0, 30, 40, 63], [5, 50, 100, 127], [3, 20, 60, 77]]
    torch.testing.assert_close(some, torch.tensor([-77.59984, -23.53658, -79.12988, -53.98949]), atol=1e-3, rtol=0)
    assert float(targets.amax(dim=1).sum()) == pytest.approx(57.783398, abs=1e-3)
    assert float(torch.rand(1, generator=generator)) == pytest.approx(0.48572141, abs=1e-6)


def test_the_chain_repeats_stays_finite_and_never_synchronises(pieces):
    config = LogMelConfig(**{f"{part}_probability": 0.7 for part in NEW})
    for db in (log_mel(np.concatenate([pieces] * 2)), torch.full((10, 128, FRAMES), -100.0), torch.zeros(3, 128, 5)):
        first, again, other = (apply_chain(db, config, SPEC, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)
        assert torch.isfinite(first).all()
        with NothingIsRead():
            apply_chain(db, config, SPEC, torch.Generator().manual_seed(3))


def test_magnitudes_are_changed_as_power_is(pieces):
    db, magnitudes = log_mel(pieces[:2, :RATE]), SPEC.model_copy(update={"power": 1.0})
    for part in ("pitch", "codec", "reverb", "room", "equaliser", "response", "coloured_noise", "background", "gain", "floor"):
        config, generators = LogMelConfig(**{f"{part}_probability": 1.0}), (torch.Generator().manual_seed(1) for _ in range(2))
        expected = apply_chain(db, config, SPEC, next(generators))
        found = apply_chain(db / 2.0, config, magnitudes, next(generators))
        torch.testing.assert_close(2.0 * found, expected, atol=1e-3, rtol=0, msg=part)


@pytest.mark.parametrize("part", NEW)
def test_each_step_changes_the_given_share(part, pieces, generator):
    db = log_mel(pieces[:, : 2 * RATE]).repeat(60, 1, 1)
    loud = {"limit_threshold_db": (-10.0, -9.0), "clip_headroom_db": (-10.0, -9.0), "codec_cutoff_hz": (3000.0, 4000.0)}
    changed = apply_chain(db, LogMelConfig(**{f"{part}_probability": 0.5}, **loud), SPEC, generator)
    share = ((changed - db).abs().amax(dim=(1, 2)) > 0.1).float().mean()
    assert share == pytest.approx(0.5, abs=0.1)
    for fields in ({"hop_length": 512}, {"power": 1.0}, {"n_mels": 40, "mel_norm": None}):
        spec = SPEC.model_copy(update=fields)
        other = extract(torch.from_numpy(pieces[:2, :RATE]), spec)
        assert apply_chain(other, LogMelConfig(**{f"{part}_probability": 1.0}), spec, generator).shape == other.shape
