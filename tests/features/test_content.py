"""Noise and speech are detected in pieces; one piece with music is enough to be music."""

from __future__ import annotations

import numpy as np
import pytest

from genre_app.audio import Clip
from genre_app.audio.synth import STYLES, music
from genre_app.features.content import PIECE_SECONDS, ContentDetector
from genre_app.features.speech import BIAS, WEIGHTS, is_speech, speech_features
from genre_app.predict import SPEECH_WARNING, classify
from tests import espeak
from tests.conftest import synthesise
from tests.features.test_noise import RATE, noise


def talker(seconds: float, seed: int = 0, rate: int = RATE) -> np.ndarray:
    """Syllables of a voice with three formants, some of them hissed, in phrases with pauses between them: float32 [n]."""
    random = np.random.default_rng(seed)
    samples = 1e-4 * random.standard_normal(round(seconds * rate))
    harmonics = np.arange(1, 40)[:, None]
    start = 0.0
    while start < seconds:
        for _ in range(random.integers(4, 9)):
            length, pitch = random.uniform(0.09, 0.22), random.uniform(100, 160)
            time = np.arange(round(length * rate)) / rate
            formants = random.uniform([300, 900, 2200], [800, 1800, 3200])
            weights = sum(np.exp(-(((harmonics * pitch - formant) / 120.0) ** 2)) for formant in formants) + 0.003
            syllable = (weights * np.sin(2 * np.pi * harmonics * pitch * time)).sum(axis=0)
            if random.random() < 0.4:
                syllable = 0.2 * syllable + 0.5 * random.standard_normal(len(time))
            at = round(start * rate)
            part = samples[at : at + len(time)]
            part += 0.2 * (syllable * np.hanning(len(time)))[: len(part)]
            start += length * random.uniform(0.9, 1.3)
        start += random.uniform(0.2, 0.7)
    return (0.3 * samples / np.abs(samples).max()).astype(np.float32)


def detected(samples: np.ndarray, size: int = 44100) -> ContentDetector:
    detector = ContentDetector(RATE)
    for start in range(0, len(samples), size):
        detector.add(samples[start : start + size])
    detector.finish()
    return detector


def test_one_piece_of_music_is_enough_and_the_size_of_blocks_has_no_influence():
    hiss, song = noise(-3, 25.0), 0.1 * synthesise(12.0)
    takes = {"noise": hiss, "song": song, "late": np.concatenate([hiss, song]), "early": np.concatenate([song, hiss])}
    for name, samples in takes.items():
        for size in (977, 44100, len(samples)):
            assert detected(samples, size).is_noise == (name == "noise")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("seconds", [8.0, 25.0])
def test_a_talker_is_speech(seconds, seed):
    found = detected(talker(seconds, seed))
    assert found.is_speech
    assert not found.is_noise


@pytest.mark.parametrize("style", STYLES)
def test_music_is_not_speech(style):
    assert not detected(music(style, 20.0, RATE)).is_speech


def test_speech_before_music_is_music():
    assert not detected(np.concatenate([talker(PIECE_SECONDS), music("disco", 12.0, RATE)])).is_speech


def test_level_and_sample_rate_have_little_influence():
    loud, soft, faint = (speech_features(gain * talker(10.0), RATE) for gain in (1.0, 0.5, 0.01))
    np.testing.assert_allclose(soft, loud, rtol=1e-3, atol=1e-3)
    assert faint @ WEIGHTS + BIAS > 0
    for rate in (16000, 44100, 48000):
        assert is_speech(talker(10.0, rate=rate), rate)
        assert not is_speech(music("disco", 10.0, rate), rate)


def test_too_little_and_low_sample_rates_are_not_judged():
    assert is_speech(talker(4.0), RATE) is None
    assert is_speech(np.concatenate([talker(4.0), np.zeros(6 * RATE, np.float32)]), RATE) is None  # silence does not count
    assert is_speech(np.zeros(10 * RATE, np.float32), RATE) is None
    assert is_speech(np.full(10 * RATE, np.nan, np.float32), RATE) is None
    assert is_speech(talker(10.0, rate=8000), 8000) is None


def test_a_click_or_a_tone_is_not_speech():
    click = np.zeros(10 * RATE, np.float32)
    click[5 * RATE] = 0.5
    assert is_speech(click, RATE) is None
    assert not is_speech((0.1 * np.sin(0.1 * np.arange(10 * RATE))).astype(np.float32), RATE)


def test_a_file_of_speech_has_no_genre(checkpoint):
    prediction = classify(Clip(talker(12.0), RATE, "talk.wav"), checkpoint)
    assert (prediction.genre, prediction.rejected) == (None, "speech")
    assert set(prediction.votes.values()) == {None}
    assert not prediction.is_sure
    assert prediction.warnings == (SPEECH_WARNING,)
    assert prediction.guess in checkpoint.genres


@pytest.mark.skipif(espeak.PROGRAM is None, reason="needs espeak-ng")
@pytest.mark.parametrize("language", ["cmn", "de", "en-us", "hi", "pt-br", "ru"])
def test_espeak_is_speech(language):
    samples, rate = espeak.speak(espeak.Speaker(language, "f2"), 10.0, np.random.default_rng(0))
    assert is_speech(samples, rate)
