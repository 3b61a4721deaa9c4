"""Listening conditions: their list, what they have in common, and those made of a user's folders."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import scipy.signal
import soundfile

from genre_app.evaluation.conditions import STANDARD, folder_conditions, generator_for
from genre_app.evaluation.conditions.catalogue import PHONE_SNR_DB, ROOMS
from genre_app.evaluation.conditions.device import phone_band
from genre_app.evaluation.conditions.level import mean_power
from genre_app.evaluation.conditions.noise import white
from tests.evaluation.sounds import RATE, SPEED, change, generator, loudest_hz, sine


@pytest.fixture(scope="module")
def samples(make_clip) -> np.ndarray:
    return make_clip(4.0, 3).samples


def test_the_standard_conditions_are_these():
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
def test_random_conditions_differ_between_tracks_and_fixed_ones_do_not(name, samples):
    assert np.array_equal(change(name, samples), change(name, samples, "rock/b.wav")) == (name not in DRAWN)


def test_the_seed_depends_on_condition_and_track_alone():
    first = {(name, track): generator_for(name, track).integers(1 << 40) for name in ("white-10", "white-5") for track in "ab"}
    assert len(set(first.values())) == 4
    fixed = generator_for("white-10", "rock/a.wav").bit_generator.random_raw()
    assert fixed == 10633107651509281939  # with another seed, old results cannot be repeated
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    change("phone-in-room", sine(440))
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_they_import_nothing_of_augmentation_and_no_slow_library():
    code = (
        "import sys, genre_app.evaluation.conditions\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'librosa', 'audiomentations', 'genre_app.augment')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_phone_in_a_room_has_noise_reverberation_and_the_phones_band():
    burst = np.zeros(4 * RATE, np.float32)
    burst[RATE : 2 * RATE] = white(RATE, RATE, generator())
    heard = change("phone-in-room", burst)
    noise = mean_power(heard[: RATE // 2])
    music = mean_power(heard) - noise
    assert 10 * math.log10(music / noise) == pytest.approx(PHONE_SNR_DB, abs=1.0)
    assert mean_power(heard[2 * RATE : 2 * RATE + RATE // 10]) > 4 * noise  # reverberation
    frequencies, power = scipy.signal.welch(heard[RATE : 2 * RATE], RATE, nperseg=2048)
    middle = power[(frequencies > 800) & (frequencies < 2500)].mean()
    assert power[(frequencies > 20) & (frequencies < 60)].mean() < 0.15 * middle
    assert power[frequencies > 10700].mean() < 0.5 * middle


def test_the_phones_band_has_the_given_edges():
    for hz, expected in ((200, -3.0), (100, -12.3), (8000, -3.0), (1000, 0.0)):
        heard = phone_band(sine(hz), RATE, 200, 8000)[RATE // 4 :]
        assert 10 * math.log10(mean_power(heard) / mean_power(sine(hz))) == pytest.approx(expected, abs=0.3)
    assert mean_power(phone_band(sine(1000), 8000, 200, 8000)) > 0  # the upper edge lies beyond half the sample rate


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
    response[1000], response[1500] = 0.8, 0.4  # a delay, which is left out, and an echo
    soundfile.write(tmp_path / "hall.wav", response, RATE, subtype="FLOAT")
    (condition,) = folder_conditions(rooms=tmp_path).values()
    assert condition.name == "user-room"
    expected = samples.copy()
    expected[500:] += 0.5 * samples[:-500]
    expected *= np.sqrt(mean_power(samples) / mean_power(expected))
    np.testing.assert_allclose(condition.apply(samples, RATE, "a"), expected, atol=1e-4)


@pytest.mark.parametrize("what", ["noise", "rooms"])
def test_unusable_folders_are_refused_with_one_sentence(what, tmp_path):
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
