"""Augmentation of waveforms: each step follows its settings, and only the samples are changed."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile

from genre_app.audio.synth import music
from genre_app.augment.config import WaveformConfig
from genre_app.augment.waveform import augment_waveform, background_files

RATE = 22050


@pytest.fixture(scope="module")
def samples():
    return music("blues", 4.0)


@pytest.fixture(scope="module")
def noises(tmp_path_factory):
    """A folder with two noises, one of them at another sample rate, and with files that are no noises."""
    folder = tmp_path_factory.mktemp("noises")
    rng = np.random.default_rng(0)
    (folder / "street").mkdir()
    soundfile.write(folder / "street" / "b.wav", 0.1 * rng.standard_normal(5 * RATE), RATE)
    soundfile.write(folder / "a.flac", 0.1 * rng.standard_normal(44100), 44100)
    (folder / "notes.txt").write_text("hello")
    (folder / "._a.flac").write_bytes(b"")
    return folder


def everything(noises):
    return WaveformConfig(
        background_folder=noises,
        **{f"{part}_probability": 0.7 for part in ("pitch", "stretch", "background", "snr", "white_noise", "gain")},
    )


def peak_hz(samples):
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return spectrum.argmax() * RATE / len(samples)


def ratio_db(signal, noise):
    return 10 * np.log10(np.mean(np.square(signal, dtype=float)) / np.mean(np.square(noise, dtype=float)))


def test_without_settings_the_samples_are_returned_themselves(samples):
    assert not WaveformConfig().changes
    assert augment_waveform(samples, RATE, WaveformConfig(), 0) is samples


def test_noise_of_an_amplitude(samples):
    config = WaveformConfig(white_noise_probability=1, white_noise_sigma=(0.004, 0.004))
    noise = augment_waveform(samples, RATE, config, 3) - samples
    assert noise.std() == pytest.approx(0.004, rel=0.02)
    assert abs(np.corrcoef(noise[1:], noise[:-1])[0, 1]) < 0.02


def test_noise_at_a_ratio(samples):
    config = WaveformConfig(snr_probability=1, snr_db=(12.0, 12.0))
    noise = augment_waveform(samples, RATE, config, 3) - samples
    assert ratio_db(samples, noise) == pytest.approx(12.0, abs=0.1)


def test_a_sound_from_a_folder(samples, noises):
    assert [path.name for path in background_files(noises)] == ["a.flac", "b.wav"]
    config = WaveformConfig(background_probability=1, background_folder=noises, background_snr_db=(9.0, 9.0))
    for seed in range(4):  # both files, the short one repeated and resampled
        laid = augment_waveform(samples, RATE, config, seed) - samples
        assert ratio_db(samples, laid) == pytest.approx(9.0, abs=0.1)
        assert np.abs(laid[-RATE // 10 :]).max() > 1e-3


def test_the_order_of_a_folder_does_not_depend_on_the_file_system(noises, monkeypatch):
    rglob = Path.rglob
    for reverse in (False, True):
        background_files.cache_clear()
        monkeypatch.setattr(Path, "rglob", lambda path, what, reverse=reverse: sorted(rglob(path, what), reverse=reverse))
        assert [path.name for path in background_files(noises)] == ["a.flac", "b.wav"]
    background_files.cache_clear()


def test_pitch_moves_and_tempo_stays():
    tone = (0.3 * np.sin(2 * np.pi * 1000 * np.arange(2 * RATE) / RATE)).astype(np.float32)
    config = WaveformConfig(pitch_probability=1, pitch_semitones=4.0)
    peaks = [peak_hz(augment_waveform(tone, RATE, config, seed)) for seed in range(8)]
    semitones = 12 * np.log2(np.array(peaks) / 1000)
    assert np.abs(semitones).max() <= 4.05
    assert semitones.std() > 1.0
    assert len(augment_waveform(tone, RATE, config, 0)) == len(tone)


def test_tempo_changes_and_pitch_stays():
    tone = (0.3 * np.sin(2 * np.pi * 1000 * np.arange(2 * RATE) / RATE)).astype(np.float32)
    config = WaveformConfig(stretch_probability=1, stretch=0.2)
    changed = [augment_waveform(tone, RATE, config, seed) for seed in range(6)]
    ratios = np.array([len(tone) / len(one) for one in changed])
    assert np.abs(ratios - 1).max() <= 0.201
    assert np.ptp(ratios) > 0.1
    assert all(peak_hz(one) == pytest.approx(1000, abs=3) for one in changed)
    assert all(np.abs(one[-200:]).max() > 0.05 for one in changed)  # to the very end, not filled with silence


def test_gain(samples):
    config = WaveformConfig(gain_probability=1, gain_db=(-20.0, -20.0))
    np.testing.assert_allclose(augment_waveform(samples, RATE, config, 0), samples * 0.1, rtol=1e-5)


def test_probabilities_are_kept(samples):
    config = WaveformConfig(gain_probability=0.3, gain_db=(-20.0, -20.0))
    changed = [not np.array_equal(augment_waveform(samples[:100], RATE, config, seed), samples[:100]) for seed in range(400)]
    assert np.mean(changed) == pytest.approx(0.3, abs=0.07)


def test_the_same_seed_gives_the_same_samples_in_any_thread(samples, noises):
    config = everything(noises)
    expected = [augment_waveform(samples, RATE, config, seed) for seed in range(6)]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda seed: augment_waveform(samples, RATE, config, seed % 6), range(12)))
    for seed, one in enumerate(found):
        np.testing.assert_array_equal(one, expected[seed % 6])
    assert len({one.tobytes() for one in expected}) == 6
    assert all(one.dtype == np.float32 and np.isfinite(one).all() for one in expected)


def test_the_samples_given_and_the_global_generators_stay_as_they_are(samples, noises):
    before = samples.copy()
    random.seed(123)
    np.random.seed(123)  # noqa: NPY002
    python, numpy = random.getstate(), repr(np.random.get_state())  # noqa: NPY002
    augment_waveform(samples, RATE, everything(noises), 5)
    assert random.getstate() == python
    assert repr(np.random.get_state()) == numpy  # noqa: NPY002
    np.testing.assert_array_equal(samples, before)


def test_silence_stays_finite(noises):
    for seed in range(4):
        assert np.isfinite(augment_waveform(np.zeros(RATE, np.float32), RATE, everything(noises), seed)).all()


def test_a_folder_that_cannot_be_used_is_named_in_one_sentence(samples, tmp_path):
    def complaint(folder):
        config = WaveformConfig(background_probability=1, background_folder=folder)
        with pytest.raises(ValueError, match="background_folder") as caught:
            augment_waveform(samples, RATE, config, 0)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "is not a folder" in complaint(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "has no WAV" in complaint(tmp_path / "empty")
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "noise.wav").write_text("this is not audio")
    assert "noise.wav in background_folder: this is not an audio file" in complaint(tmp_path / "text")
    (tmp_path / "void").mkdir()
    soundfile.write(tmp_path / "void" / "void.wav", np.zeros(0), RATE)
    assert "holds no audio samples" in complaint(tmp_path / "void")
    (tmp_path / "late").mkdir()
    late = np.zeros(301 * 8000)  # only the first five minutes of a sound are used
    late[-100:] = 0.5
    soundfile.write(tmp_path / "late" / "late.wav", late, 8000)
    assert "late.wav in background_folder: it is silent" in complaint(tmp_path / "late")
