"""Music is told from noise by numbers: no music is refused, at any level, and noise of any colour is."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import scipy.signal

from genre_app.audio import Clip
from genre_app.audio.synth import STYLES, music
from genre_app.evaluation.conditions.catalogue import STANDARD
from genre_app.features.noise import (
    MIN_SECONDS,
    MOST_SUPPRESSED_VARIATION,
    MOST_VARIATION,
    NoiseDetector,
    _power,
    is_noise,
    tonal_share,
    variation,
)
from genre_app.predict import classify
from tests.conftest import synthesise

RATE = 22050
COLOURS = {"blue": 3, "white": 0, "pink": -3, "brown": -6}  # dB an octave


def noise(db_per_octave: float, seconds: float = 5.0, seed: int = 0, rate: int = RATE) -> np.ndarray:
    n = round(seconds * rate)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(n))
    spectrum *= np.maximum(np.fft.rfftfreq(n, 1 / rate), 20.0) ** (db_per_octave / 6.02)
    samples = np.fft.irfft(spectrum, n)
    return (0.3 * samples / np.abs(samples).max()).astype(np.float32)


def sixteen_bits(samples: np.ndarray, gain_db: float) -> np.ndarray:
    """Make samples softer and round them as a sound card does."""
    return (np.round(samples * 10 ** (gain_db / 20) * 32767) / 32768).astype(np.float32)


def varies(samples: np.ndarray, rate: int = RATE) -> float:
    return variation(_power(samples, rate), rate)


@pytest.mark.parametrize("colour", COLOURS)
def test_noise_of_any_colour_varies_as_chance_has_it(colour):
    found = [varies(noise(COLOURS[colour], seed=seed)) for seed in range(20)]
    assert np.mean(found) == pytest.approx(1.0, abs=0.1)
    assert max(found) < 1.25 < MOST_VARIATION


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
def test_the_sample_rate_plays_no_part(rate):
    assert is_noise(noise(-3, rate=rate), rate)
    assert not is_noise(synthesise(5.0, sample_rate=rate), rate)


@pytest.mark.parametrize("gain_db", [0, -30, -55])
@pytest.mark.parametrize("colour", ["white", "pink", "brown"])
def test_the_level_of_noise_plays_no_part(colour, gain_db):
    assert is_noise(sixteen_bits(noise(COLOURS[colour]), gain_db), RATE)


@pytest.mark.parametrize("condition", ["room-kitchen", "room-stairs", "telephone", "phone-in-room"])
def test_noise_in_a_room_or_over_a_line_is_noise(condition):
    for seed in range(3):
        samples = STANDARD[condition].apply(noise(-3, 6.0, seed), RATE, str(seed))[RATE:]
        assert varies(samples) < 1.35
        assert is_noise(samples, RATE)


def test_fans_clicks_swells_and_hum_make_no_music():
    time = np.arange(6 * RATE) / RATE
    hiss = noise(-3, 6.0)
    click = hiss.copy()
    click[2 * RATE : 2 * RATE + 200] += 0.9
    edges = scipy.signal.butter(2, [150, 900], "bandpass", fs=RATE, output="sos")
    hum = sum(0.01 / k * np.sin(2 * np.pi * 50 * k * time) for k in range(1, 8))
    for samples in (
        click,
        hiss * (1 + 0.5 * np.sin(2 * np.pi * 6 * time)),
        hiss * (1.2 + np.sin(2 * np.pi * 0.2 * time)),
        scipy.signal.sosfilt(edges, hiss),
        hiss + hum,
    ):
        assert is_noise(samples.astype(np.float32), RATE)


def suppressed_noise() -> np.ndarray:
    """5 s of pink noise as a browser's noise suppression leaves it."""
    generator = np.random.default_rng(0)
    flicker = np.zeros(5 * RATE)
    edges = np.geomspace(100, 10000, 17)
    for low, high in pairwise(edges):  # a gain that wanders, in each band for itself
        band = scipy.signal.sosfilt(scipy.signal.butter(2, [low, high], "bandpass", fs=RATE, output="sos"), noise(-3))
        gain_db = np.interp(np.arange(len(band)) / RATE, np.arange(0, 5.1, 0.3), generator.normal(0, 0.7, 17))
        flicker += band * 10 ** (gain_db / 20)
    return flicker.astype(np.float32)


def test_what_noise_suppression_leaves_of_noise_is_noise_to_who_knows_of_it():
    flicker = suppressed_noise()
    assert MOST_VARIATION < varies(flicker) < MOST_SUPPRESSED_VARIATION
    assert not is_noise(flicker, RATE)
    assert is_noise(flicker, RATE, suppressed=True)
    for style in STYLES:
        assert not is_noise(music(style, 5.0), RATE, suppressed=True)


@pytest.mark.parametrize("style", STYLES)
def test_no_music_is_taken_for_noise(style):
    whole = music(style, 15.0)
    line = STANDARD["telephone"].apply(whole, RATE, style)
    for samples, times in ((whole, 4), (sixteen_bits(whole, -30), 4), (sixteen_bits(whole, -50), 4), (line, 1.5)):
        for start in range(0, 15, 5):
            assert varies(samples[start * RATE : (start + 5) * RATE]) > times * MOST_VARIATION
    assert varies(STANDARD["phone-in-room"].apply(whole, RATE, style)) > 2 * MOST_VARIATION
    assert not is_noise(STANDARD["pink-0"].apply(whole, RATE, style), RATE)


def test_a_chord_that_is_held_is_music():
    time = np.arange(5 * RATE) / RATE
    chord = sum(np.sin(2 * np.pi * hz * time) for hz in (262.0, 330.0, 392.0)) / 10
    samples = (chord + 0.01 * np.random.default_rng(0).standard_normal(len(time))).astype(np.float32)
    assert tonal_share(_power(samples, RATE), RATE) > 0.9
    assert not is_noise(samples, RATE)


def test_too_little_is_not_judged():
    assert is_noise(noise(0, MIN_SECONDS - 0.1), RATE) is None
    assert is_noise(noise(0, MIN_SECONDS + 0.1), RATE)
    assert is_noise(np.zeros(5 * RATE, np.float32), RATE) is None
    assert is_noise(np.full(5 * RATE, np.nan, np.float32), RATE) is None


def test_music_for_a_while_is_enough_and_blocks_make_no_difference():
    hiss, song = noise(-3, 25.0), 0.1 * synthesise(12.0)
    takes = {"noise": hiss, "song": song, "late": np.concatenate([hiss, song]), "early": np.concatenate([song, hiss])}
    for name, samples in takes.items():
        for size in (977, 44100, len(samples)):
            detector = NoiseDetector(RATE)
            for start in range(0, len(samples), size):
                detector.add(samples[start : start + size])
            assert detector.is_noise() == (name == "noise")


def test_a_file_of_noise_gets_a_warning(checkpoint, make_clip):
    prediction = classify(Clip(noise(-3, 12.0), RATE, "hiss.wav"), checkpoint)
    assert prediction.is_noise
    assert sum("no music" in warning for warning in prediction.warnings) == 1
    song = classify(make_clip(12.0), checkpoint)
    assert not song.is_noise
    assert song.warnings == ()
