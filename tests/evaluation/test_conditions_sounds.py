"""Listening conditions: the sound of each one, measured."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.signal

from genre_app.evaluation.conditions.catalogue import CLIPPED_SHARE, PHONE_DIRECT_DB, PHONE_T60_SECONDS, ROOMS
from genre_app.evaluation.conditions.level import add_noise, mean_power
from genre_app.evaluation.conditions.noise import babble, pink, white
from genre_app.evaluation.conditions.room import draw_room, impulse_response, reverberate
from tests.evaluation.sounds import (
    RATE,
    SPEED,
    change,
    direct_db,
    generator,
    loudest_hz,
    response_db,
    sine,
    slope_db,
    t60_seconds,
)


@pytest.fixture(scope="module")
def samples(make_clip) -> np.ndarray:
    return make_clip(4.0, 3).samples


# Noise


@pytest.mark.parametrize("snr", [20, 10, 5, 0])
@pytest.mark.parametrize("kind", ["white", "pink", "babble"])
def test_noise_has_the_ratio_of_its_name(kind, snr, samples):
    noise = change(f"{kind}-{snr}", samples).astype(np.float64) - samples
    assert 10 * math.log10(mean_power(samples) / np.mean(noise**2)) == pytest.approx(snr, abs=0.1)


def test_white_is_flat_and_pink_falls_by_3_db_an_octave():
    assert slope_db(white(20 * RATE, RATE, generator())) == pytest.approx(0.0, abs=0.15)
    assert slope_db(pink(20 * RATE, RATE, generator())) == pytest.approx(-3.01, abs=0.15)


def test_babble_is_like_speech():
    talk, hiss = babble(10 * RATE, RATE, generator()), white(10 * RATE, RATE, generator())
    frequencies, power = scipy.signal.welch(talk, RATE, nperseg=2048)
    assert power[(frequencies > 80) & (frequencies < 4000)].sum() > 0.95 * power[frequencies > 20].sum()
    levels = [
        np.sqrt(sound[: len(sound) // 441 * 441].reshape(-1, 441).astype(np.float64) ** 2).mean(axis=1)
        for sound in (talk, hiss)
    ]
    flutter, steady = (level.std() / level.mean() for level in levels)
    assert flutter > 4 * steady  # syllables come and go, but the talkers hardly pause all at once
    assert np.quantile(levels[0], 0.02) > 0.15 * np.median(levels[0])
    modulation = np.abs(np.fft.rfft(levels[0] - levels[0].mean())) ** 2
    rates = np.fft.rfftfreq(len(levels[0]), 441 / RATE)
    assert modulation[(rates > 1) & (rates < 10)].mean() > 3 * modulation[rates > 15].mean()


def test_a_noise_that_is_silent_changes_nothing(samples):
    np.testing.assert_array_equal(add_noise(samples, np.zeros_like(samples), 0), samples)


# Rooms


@pytest.mark.parametrize("name", ROOMS)
def test_rooms_have_their_reverberation_time_and_direct_sound(name):
    room = ROOMS[name]
    for rate in (RATE, 44100):
        response = impulse_response(room, rate, generator())
        assert t60_seconds(response, rate) == pytest.approx(room.t60_seconds, rel=0.15)
        assert direct_db(response) == pytest.approx(room.direct_db, abs=0.2)
        assert int(np.abs(response).argmax()) == 0


def test_drawn_rooms_lie_in_their_ranges():
    drawn, random = [], generator()
    for _ in range(12):
        room = draw_room(random, t60_seconds=PHONE_T60_SECONDS, direct_db=PHONE_DIRECT_DB)
        response = impulse_response(room, RATE, random)
        drawn.append((t60_seconds(response), direct_db(response)))
        assert drawn[-1][0] == pytest.approx(room.t60_seconds, rel=0.15)
        assert all(0 < place < length for place, length in zip(room.microphone, room.size, strict=True))
    t60, direct = np.array(drawn).T
    assert t60.min() > 0.45 * 0.85
    assert t60.max() < 0.95 * 1.15
    assert np.ptp(t60) > 0.15
    assert direct.min() > -12.2
    assert direct.max() < -2.8
    assert np.ptp(direct) > 3


def test_high_frequencies_decay_faster():
    response = impulse_response(ROOMS["living"], RATE, generator())
    late = response[round(0.3 * RATE) :]
    early = response[round(0.02 * RATE) : round(0.1 * RATE)]
    fall = []
    for low, high in ((500, 1000), (5000, 9000)):
        band = scipy.signal.butter(3, [low, high], "bandpass", fs=RATE, output="sos")
        fall.append(
            10 * math.log10(mean_power(scipy.signal.sosfilt(band, early)) / mean_power(scipy.signal.sosfilt(band, late)))
        )
    assert fall[1] > fall[0] + 5


def test_a_room_keeps_start_length_and_power(samples):
    played = np.concatenate([np.zeros(5000, np.float32), samples])
    heard = change("room-stairs", played)
    assert np.abs(heard[:5000]).max() < 1e-3 * np.abs(heard).max()
    assert np.abs(heard[5000:5050]).max() > 0
    assert mean_power(heard) == pytest.approx(mean_power(played), rel=1e-3)
    click = np.zeros(2 * RATE, np.float32)
    click[0] = 1.0
    response = impulse_response(ROOMS["kitchen"], RATE, generator())
    np.testing.assert_allclose(
        reverberate(click, response)[: len(response)], response / np.sqrt(np.sum(response**2)), atol=1e-5
    )


# Devices


def test_a_telephone_keeps_300_to_3400_hz():
    assert response_db("telephone", 150) < -35
    assert response_db("telephone", 5000) < -35
    assert response_db("telephone", 230) < -15
    assert response_db("telephone", 4000) < -15
    for hz in (320, 1000, 3300):
        assert response_db("telephone", hz) == pytest.approx(0.0, abs=0.7)


def test_the_equalisers_are_opposites():
    for hz, db in ((60, 12.0), (693, 0.0), (2000, -5.2), (8000, -12.0)):
        assert response_db("equaliser-dark", hz) == pytest.approx(db, abs=0.3)
        assert response_db("equaliser-bright", hz) == pytest.approx(-db, abs=0.3)


def test_gain_is_exact(samples):
    np.testing.assert_allclose(change("gain-20", samples), samples / 10, rtol=1e-6)


def test_a_share_is_clipped(samples):
    clipped = change("clipping", samples)
    assert np.abs(clipped).max() == 1.0
    assert np.mean(np.abs(clipped) >= 1.0) == pytest.approx(CLIPPED_SHARE, abs=0.001)
    scale = np.median(clipped[samples != 0] / samples[samples != 0])
    inside = np.abs(clipped) < 1.0
    np.testing.assert_allclose(clipped[inside], scale * samples[inside], atol=1e-5)


@pytest.mark.parametrize(("name", "above_db"), [("mp3-64", -12), ("mp3-32", -6)])
def test_mp3_is_aligned_and_loses_more_at_high_frequencies(name, above_db, samples):
    decoded = change(name, samples)
    correlation = scipy.signal.correlate(decoded, samples, method="fft")
    assert int(correlation.argmax()) == len(samples) - 1
    low = scipy.signal.butter(6, 3000, fs=RATE, output="sos")
    before, after = (scipy.signal.sosfilt(low, sound) for sound in (samples, decoded))
    assert np.corrcoef(before, after)[0, 1] > 0.9
    high = scipy.signal.butter(6, 7000, "highpass", fs=RATE, output="sos")
    lost = scipy.signal.sosfilt(high, decoded.astype(np.float64) - samples)
    kept = scipy.signal.sosfilt(high, samples)
    assert 10 * math.log10(mean_power(lost) / mean_power(kept)) > above_db
    assert 10 * math.log10(mean_power(decoded) / mean_power(samples)) == pytest.approx(0.0, abs=0.6)


# Pitch and speed


@pytest.mark.parametrize("name", SPEED)
def test_speed_changes_length_and_pitch_by_its_factor(name):
    faster = change(name, sine(1000))
    assert len(faster) == pytest.approx(2 * RATE / SPEED[name], abs=1)
    assert loudest_hz(faster) == pytest.approx(1000 * SPEED[name], rel=2e-3)


@pytest.mark.parametrize(("name", "semitones"), [("pitch+2", 2), ("pitch-2", -2)])
def test_pitch_moves_at_the_same_length(name, semitones):
    shifted = change(name, sine(1000))
    assert len(shifted) == 2 * RATE
    assert loudest_hz(shifted) == pytest.approx(1000 * 2 ** (semitones / 12), rel=3e-3)
