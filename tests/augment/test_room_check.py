"""The room check against rooms, filters and noise that are known."""

from __future__ import annotations

import numpy as np
import pytest
import scipy

from genre_app.audio import Clip
from genre_app.audio.synth import music
from genre_app.augment import room_check
from genre_app.augment.config import RecordingConfig, WaveformConfig
from genre_app.augment.room_check import SAMPLE_RATE, RoomCheck, check_room, preset_settings, room_settings
from genre_app.augment.waveform_ops.recorder import suppress
from genre_app.errors import AudioError
from genre_app.training import TrainConfig
from tests.rooms import recorded, response


def measured(samples: np.ndarray, **known: bool) -> RoomCheck:
    return check_room(Clip(np.asarray(samples, np.float32), SAMPLE_RATE), **known)


def test_the_signal_is_the_same_each_time_and_at_each_rate():
    signal = room_check.room_signal()
    room_check.room_signal.cache_clear()
    assert np.array_equal(room_check.room_signal(), signal)
    assert len(signal) == 7 * SAMPLE_RATE
    assert not signal[:SAMPLE_RATE].any()
    assert np.abs(signal).max() < 0.95
    sweep, piece = signal[SAMPLE_RATE : 4 * SAMPLE_RATE], signal[5 * SAMPLE_RATE :]
    assert np.mean(sweep**2) == pytest.approx(np.mean(piece**2), rel=0.25)  # equally loud, within 1 dB
    assert len(room_check.room_signal(48000)) == 7 * 48000


@pytest.mark.parametrize("t60", [0.3, 0.8])
@pytest.mark.parametrize("snr_db", [40.0, 15.0])
def test_a_known_reverberation_and_noise(t60, snr_db):
    found = measured(recorded(response(t60, direct_db=-3.0), snr_db))
    assert found.t60_seconds == pytest.approx(t60, rel=0.15)
    assert found.snr_db == pytest.approx(snr_db, abs=1.0)
    assert found.direct_db == pytest.approx(-3.0, abs=2.0)
    assert max(map(abs, found.response_db.values())) < 3.0  # white, apart from chance
    assert not found.is_suppressed
    assert not found.is_clipped


@pytest.mark.parametrize(("low", "high"), [(200.0, 6000.0), (300.0, 3400.0)])
def test_a_known_frequency_band(low, high):
    band = scipy.signal.butter(4, (low, high), "bandpass", fs=SAMPLE_RATE, output="sos")
    found = measured(scipy.signal.sosfilt(band, recorded(response(0.4))))
    assert abs(np.log2(found.low_hz / low)) < 1.0
    assert abs(np.log2(found.high_hz / high)) < 1.0
    assert found.response_db[1000.0] == 0.0
    assert found.response_db[63.0] < -20.0
    assert found.response_db[16000.0] < -20.0
    assert abs(found.response_db[2000.0]) < 2.0


def test_a_cable_changes_nothing_and_another_rate_only_the_highest_band():
    found = measured(recorded())
    assert found.t60_seconds < 0.1
    assert (found.low_hz, found.high_hz) == pytest.approx((50.0, 19800.0))
    assert all(abs(db) < 0.5 for hertz, db in found.response_db.items() if 100 < hertz < 10000)
    half = np.asarray(scipy.signal.resample_poly(recorded(), 1, 2), np.float32)
    slower = check_room(Clip(half, SAMPLE_RATE // 2))
    assert slower.snr_db == pytest.approx(found.snr_db, abs=4.0)  # the noise above 11 kHz is missing
    assert 8000.0 < slower.high_hz < 13000.0
    assert not slower.is_suppressed


def test_noise_suppression_is_heard_or_told_by_the_browser():
    room = recorded(response(0.4), 30.0)
    muffled = suppress(room, SAMPLE_RATE, 18.0, 11.0, 2.0, 3.0, np.random.default_rng(1))
    found = measured(muffled)
    assert found.faded_db > 3.0
    assert found.is_suppressed
    assert measured(room, browser_suppresses=True).is_suppressed
    plain = measured(room, browser_suppresses=False)
    assert plain.faded_db < 1.0
    assert plain.is_suppressed is False


def test_clipping_is_found():
    assert measured(np.clip(8.0 * recorded(), -1.0, 1.0)).is_clipped


NOISE = np.random.default_rng(0).standard_normal(8 * SAMPLE_RATE)


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (np.zeros(8 * SAMPLE_RATE), "Almost nothing was recorded"),
        (1e-4 * recorded(), "Almost nothing was recorded"),
        (np.full(8 * SAMPLE_RATE, np.nan), "Almost nothing was recorded"),
        (0.1 * NOISE, "not in the recording"),
        (music("blues", 8.0, SAMPLE_RATE, 1), "not in the recording"),
        (recorded(response(0.4), -6.0), "too quiet"),
        (recorded()[: 6 * SAMPLE_RATE], "cut off"),
        (recorded()[round(1.3 * SAMPLE_RATE) :], "began too late"),
        (recorded()[: SAMPLE_RATE // 2], "lasts 8 to 60 s"),
        (np.tile(NOISE, 8), "lasts 8 to 60 s"),
    ],
    ids=["silence", "faint", "nan", "noise", "music", "noisy", "cut off", "late", "short", "long"],
)
def test_what_does_not_hold_the_signal_is_refused(samples, words):
    with pytest.raises(AudioError, match=words):
        measured(samples)


ROOM = RoomCheck(0.5, -4.0, {1000.0: 0.0}, 150.0, 9000.0, 24.0, 0.2, False, False)
EXTREME = RoomCheck(30.0, 90.0, {1000.0: 0.0}, 50.0, 19800.0, 80.0, None, True, True)
NOISY = RoomCheck(None, -4.0, {1000.0: 0.0}, 150.0, 9000.0, 3.0, None, None, False)
DRY = RoomCheck(0.05, 30.0, {1000.0: 0.0}, 50.0, 19800.0, 60.0, 0.1, False, False)


@pytest.mark.parametrize("check", [ROOM, EXTREME, NOISY, DRY])
def test_the_preset_is_within_the_bounds_of_both_domains(check):
    settings = room_settings(check)
    RecordingConfig(**settings)
    WaveformConfig(**settings)
    assert set(preset_settings(check)) >= {"augment.recorded_share", "augment.recorded.response_low_hz"}


def test_the_preset_lies_around_the_measured_values():
    settings = room_settings(ROOM)
    for name, value in (
        ("room_t60_seconds", 0.5),
        ("room_direct_db", -4.0),
        ("response_low_hz", 150.0),
        ("response_high_hz", 9000.0),
        ("coloured_noise_snr_db", 24.0),
    ):
        low, high = settings[name]
        assert low < value < high
    assert settings["suppress_probability"] == settings["clip_probability"] == 0.0
    assert room_settings(EXTREME)["suppress_probability"] > 0.0
    assert room_settings(EXTREME)["clip_probability"] > 0.0
    assert room_settings(DRY)["room_probability"] == 0.0
    assert "room_t60_seconds" not in room_settings(NOISY)
    assert TrainConfig(augment={"recorded_share": 0.5, "recorded": settings}).augment.recorded_share == 0.5
