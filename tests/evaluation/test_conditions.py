"""Conditions of an evaluation: each does to samples what its name says, always the same, with nothing of training in it."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import scipy.signal
import soundfile

from genre_app.evaluation.conditions import STANDARD, folder_conditions, generator_for
from genre_app.evaluation.conditions.catalogue import CLIPPED_SHARE, PHONE_DIRECT_DB, PHONE_SNR_DB, PHONE_T60_SECONDS, ROOMS
from genre_app.evaluation.conditions.device import phone_band
from genre_app.evaluation.conditions.level import add_noise, mean_power
from genre_app.evaluation.conditions.noise import babble, pink, white
from genre_app.evaluation.conditions.room import draw_room, impulse_response, reverberate

RATE = 22050
SPEED = {"speed-0.9": 0.9, "speed-1.1": 1.1}


@pytest.fixture(scope="module")
def samples(make_clip) -> np.ndarray:
    return make_clip(4.0, 3).samples


def generator() -> np.random.Generator:
    return np.random.default_rng(11)


def change(name: str, samples: np.ndarray, track_id: str = "rock/a.wav") -> np.ndarray:
    return STANDARD[name].apply(samples, RATE, track_id)


def sine(hz: float, seconds: float = 2.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def loudest_hz(samples: np.ndarray) -> float:
    middle = samples[len(samples) // 4 : 3 * len(samples) // 4]
    power = np.abs(np.fft.rfft(middle * np.hanning(len(middle)), 8 * len(middle)))
    return float(power.argmax() * RATE / (8 * len(middle)))


def response_db(name: str, hz: float) -> float:
    """Change of the level of a sine."""
    tone = sine(hz)
    inner = slice(RATE // 4, -RATE // 4)  # without what switching on and off does
    return 10 * math.log10(mean_power(change(name, tone)[inner]) / mean_power(tone[inner]))


def slope_db(noise: np.ndarray, low: float = 100.0, high: float = 6400.0) -> float:
    """Slope of a spectrum in dB per octave."""
    frequencies, power = scipy.signal.welch(noise, RATE, nperseg=2048)
    octaves = np.log2(frequencies[1:])
    chosen = (octaves > np.log2(low)) & (octaves < np.log2(high))
    bands = np.linspace(np.log2(low), np.log2(high), 13)
    index = np.digitize(octaves[chosen], bands)
    means = [10 * np.log10(power[1:][chosen][index == k].mean()) for k in range(1, 13)]
    return float(np.polyfit((bands[:-1] + bands[1:]) / 2, means, 1)[0])


# All of them


def test_the_list_is_what_it_is_said_to_be():
    noises = [f"{kind}-{snr}" for kind in ("white", "pink", "babble") for snr in (20, 10, 5, 0)]
    rooms = [f"room-{name}" for name in ROOMS]
    devices = ["telephone", "mp3-64", "mp3-32", "clipping", "equaliser-dark", "equaliser-bright", "gain-20"]
    tempi = ["pitch+2", "pitch-2", "speed-0.9", "speed-1.1"]
    assert list(STANDARD) == [*noises, *rooms, *devices, *tempi, "phone-in-room"]
    assert len(rooms) == 3
    assert all(condition.name == name and condition.description for name, condition in STANDARD.items())


@pytest.mark.parametrize("name", STANDARD)
def test_each_changes_a_copy_and_keeps_type_and_length(name, samples):
    given = samples.copy()
    changed = change(name, given)
    np.testing.assert_array_equal(given, samples)
    assert changed.dtype == np.float32
    assert len(changed) == round(len(samples) / SPEED.get(name, 1.0))
    assert np.isfinite(changed).all()
    assert len(changed) != len(samples) or not np.allclose(changed, samples, atol=1e-3)
    np.testing.assert_array_equal(changed, change(name, samples))


@pytest.mark.parametrize("name", STANDARD)
def test_silence_stays_silent_and_short_clips_pass(name):
    silence = np.zeros(RATE, np.float32)
    assert np.abs(change(name, silence)).max() < 1e-4
    assert np.isfinite(change(name, sine(440, 0.1))).all()


DRAWN = [name for name in STANDARD if name.startswith(("white", "pink", "babble", "phone"))]


@pytest.mark.parametrize("name", STANDARD)
def test_what_is_drawn_differs_per_track_and_what_is_fixed_does_not(name, samples):
    assert np.array_equal(change(name, samples), change(name, samples, "rock/b.wav")) == (name not in DRAWN)


def test_seeds_are_of_the_name_and_the_track():
    first = {(name, track): generator_for(name, track).integers(1 << 40) for name in ("white-10", "white-5") for track in "ab"}
    assert len(set(first.values())) == 4
    fixed = generator_for("white-10", "rock/a.wav").bit_generator.random_raw()
    assert fixed == 10633107651509281939  # with others, results cannot be compared with those of before
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    change("phone-in-room", sine(440))
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_they_need_nothing_of_trainings_and_load_late():
    code = (
        "import sys, genre_app.evaluation.conditions\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'librosa', 'audiomentations', 'genre_app.augment')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Noise


@pytest.mark.parametrize("snr", [20, 10, 5, 0])
@pytest.mark.parametrize("kind", ["white", "pink", "babble"])
def test_noise_has_its_ratio(kind, snr, samples):
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
    assert flutter > 4 * steady  # syllables come and go, and yet there is hardly a pause of all
    assert np.quantile(levels[0], 0.02) > 0.15 * np.median(levels[0])
    modulation = np.abs(np.fft.rfft(levels[0] - levels[0].mean())) ** 2
    rates = np.fft.rfftfreq(len(levels[0]), 441 / RATE)
    assert modulation[(rates > 1) & (rates < 10)].mean() > 3 * modulation[rates > 15].mean()


def test_a_noise_that_is_silent_changes_nothing(samples):
    np.testing.assert_array_equal(add_noise(samples, np.zeros_like(samples), 0), samples)


# Rooms


def t60_seconds(response: np.ndarray, rate: int = RATE) -> float:
    """Reverberation time round 1 kHz, from the slope of Schroeder's integral between -5 and -25 dB."""
    band = scipy.signal.butter(3, [400, 1600], "bandpass", fs=rate, output="sos")
    left = np.cumsum(scipy.signal.sosfilt(band, response)[::-1] ** 2)[::-1]
    db = 10 * np.log10(left / left[0])
    start, stop = int(np.argmax(db < -5)), int(np.argmax(db < -25))
    return -60.0 / float(np.polyfit(np.arange(start, stop) / rate, db[start:stop], 1)[0])


def direct_db(response: np.ndarray) -> float:
    return 10 * math.log10(response[0] ** 2 / np.sum(response[1:] ** 2))


@pytest.mark.parametrize("name", ROOMS)
def test_rooms_have_their_reverberation_and_direct_sound(name):
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


def test_high_frequencies_die_away_sooner():
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
def test_mp3_is_aligned_and_loses_more_at_the_top(name, above_db, samples):
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


# Everything together


def test_a_phone_in_a_room_is_all_of_it():
    burst = np.zeros(4 * RATE, np.float32)
    burst[RATE : 2 * RATE] = white(RATE, RATE, generator())
    heard = change("phone-in-room", burst)
    noise = mean_power(heard[: RATE // 2])
    music = mean_power(heard) - noise
    assert 10 * math.log10(music / noise) == pytest.approx(PHONE_SNR_DB, abs=1.0)
    assert mean_power(heard[2 * RATE : 2 * RATE + RATE // 10]) > 4 * noise  # the room rings on
    frequencies, power = scipy.signal.welch(heard[RATE : 2 * RATE], RATE, nperseg=2048)
    middle = power[(frequencies > 800) & (frequencies < 2500)].mean()
    assert power[(frequencies > 20) & (frequencies < 60)].mean() < 0.15 * middle
    assert power[frequencies > 10700].mean() < 0.5 * middle


def test_the_phones_band_ends_where_it_is_told():
    for hz, expected in ((200, -3.0), (100, -12.3), (8000, -3.0), (1000, 0.0)):
        heard = phone_band(sine(hz), RATE, 200, 8000)[RATE // 4 :]
        assert 10 * math.log10(mean_power(heard) / mean_power(sine(hz))) == pytest.approx(expected, abs=0.3)
    assert mean_power(phone_band(sine(1000), 8000, 200, 8000)) > 0  # over half the sample rate nothing is left to cut


# A user's folders


def test_user_noises_have_their_ratio_and_come_from_the_folder(samples, tmp_path):
    (tmp_path / "deep").mkdir()
    for name, hz in (("a.wav", 500), ("deep/b.flac", 4000)):
        tone = np.sin(2 * np.pi * hz * np.arange(16000) / 16000)
        soundfile.write(tmp_path / name, np.stack([tone, tone], axis=1), 16000)  # another rate, stereo, shorter than the clip
    (tmp_path / ".hidden.wav").write_text("no sound")
    found = folder_conditions(tmp_path)
    assert list(found) == ["user-noise-20", "user-noise-10", "user-noise-5", "user-noise-0"]
    heard = set()
    for track in range(12):
        noise = found["user-noise-5"].apply(samples, RATE, str(track)) - samples
        assert 10 * math.log10(mean_power(samples) / mean_power(noise)) == pytest.approx(5.0, abs=0.1)
        heard.add(round(loudest_hz(noise), -2))
    assert heard == {500.0, 4000.0}


def test_a_user_room_is_convolved_from_its_direct_sound_on(samples, tmp_path):
    response = np.zeros(3000)
    response[1000], response[1500] = 0.8, 0.4  # a delay that is left out, and an echo
    soundfile.write(tmp_path / "hall.wav", response, RATE, subtype="FLOAT")
    (condition,) = folder_conditions(rooms=tmp_path).values()
    assert condition.name == "user-room"
    expected = samples.copy()
    expected[500:] += 0.5 * samples[:-500]
    expected *= np.sqrt(mean_power(samples) / mean_power(expected))
    np.testing.assert_allclose(condition.apply(samples, RATE, "a"), expected, atol=1e-4)


@pytest.mark.parametrize("what", ["noise", "rooms"])
def test_folders_that_cannot_be_used_are_refused_in_a_sentence(what, tmp_path):
    with pytest.raises(ValueError, match=r"folder .*nowhere is not a folder; name one"):
        folder_conditions(**{what: tmp_path / "nowhere"})
    with pytest.raises(ValueError, match="has no WAV, FLAC"):
        folder_conditions(**{what: tmp_path})
    soundfile.write(tmp_path / "a.wav", np.zeros(100), RATE)
    with pytest.raises(ValueError, match=r"a\.wav in \w+ folder: it is silent; remove it"):
        folder_conditions(**{what: tmp_path})
    (tmp_path / "a.wav").write_text("no music")
    with pytest.raises(ValueError, match=r"a\.wav in \w+ folder: this is not an audio file"):
        folder_conditions(**{what: tmp_path})
