"""Every format against the samples it was made from."""

from __future__ import annotations

import numpy as np
import pytest

from genre_app.audio import base as audio_base
from genre_app.audio import load_clip
from genre_app.audio.synth import music
from tests.audio.files import FORMATS, RATE, clip_from_array, encode, error_db, write


@pytest.mark.parametrize("name", FORMATS)
def test_a_healthy_file_of_each_format_gives_the_samples_it_was_made_from(name: str, stereo: np.ndarray) -> None:
    make, allowed_db = FORMATS[name]
    rate = 48000 if "opus" in name or "webm" in name else RATE
    samples = stereo if rate == RATE else np.stack([music("disco", 3.0, rate, seed=1)] * 2, axis=1)
    expected = clip_from_array(samples, rate).samples
    clip = load_clip(make(samples), name=name)
    assert clip.warnings == ()
    assert clip.samples.dtype == np.float32
    assert clip.sample_rate == 22050
    assert clip.duration_seconds == pytest.approx(3.0, abs=0.1)
    if allowed_db < 0:
        assert error_db(clip, expected) < allowed_db  # which also says that nothing is shifted
    else:
        level = np.sqrt(np.mean(clip.samples**2)) / np.sqrt(np.mean(expected**2))
        assert level == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 32000, 44100, 48000, 88200, 96000, 192000])
@pytest.mark.parametrize("channels", [1, 2, 5, 8])
def test_a_sine_is_resampled_and_mixed_to_its_closed_form(rate: int, channels: int) -> None:
    gains = np.linspace(1.0, 0.2, channels)
    time = np.arange(round(0.7 * rate)) / rate
    samples = 0.5 * np.sin(2 * np.pi * 997.0 * time)[:, None] * gains
    clip = load_clip(write(samples, rate, "WAV", "DOUBLE"))
    assert len(clip.samples) == pytest.approx(0.7 * 22050, abs=1)
    expected = 0.5 * gains.mean() * np.sin(2 * np.pi * 997.0 * np.arange(len(clip.samples)) / 22050)
    inner = slice(1100, -1100)  # the ends ring, as the sine begins and stops there
    assert 10 * np.log10(np.mean((clip.samples - expected)[inner] ** 2) / np.mean(expected[inner] ** 2)) < -125


def test_resampling_removes_only_frequencies_above_the_target_rates_limit() -> None:
    time = np.arange(RATE) / RATE
    for frequency, low_db, high_db in ((50, -0.1, 0.1), (9900, -0.1, 0.1), (11300, -300, -120), (15000, -300, -120)):
        clip = clip_from_array(np.sin(2 * np.pi * frequency * time), RATE)
        level_db = 20 * np.log10(np.sqrt(2) * np.std(clip.samples[1100:-1100]) + 1e-15)
        assert low_db < level_db < high_db, f"{frequency} Hz"


@pytest.mark.parametrize(
    ("container", "codec", "channels"), [("ipod", "aac", 8), ("ipod", "aac", 6), ("flac", "flac", 3), ("webm", "libopus", 6)]
)
def test_compressed_files_of_many_channels_are_mixed_by_their_mean(container: str, codec: str, channels: int) -> None:
    time = np.arange(48000) / 48000
    samples = np.tile(0.2 * np.sin(2 * np.pi * 440 * time)[:, None], channels).astype(np.float32)
    samples[:, channels // 2] *= -1.0  # a mean of absolute values, or one channel alone, would be larger
    clip = load_clip(encode(samples, 48000, container, codec, {}))
    expected = (channels - 2) / channels * 0.2 / np.sqrt(2)
    # A low-frequency channel loses what lies above its range.
    assert np.std(clip.samples[2000:20000]) == pytest.approx(expected, rel=0.06 if codec == "flac" else 0.35)


@pytest.mark.parametrize("rate", [8000, 11025, 12000, 16000, 22050, 24000, 32000, 48000])
@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
def test_mp3_of_every_rate_has_its_length_and_no_warning(rate: int, mode: str) -> None:
    samples = music("blues", 1.5, rate)[:, None]
    clip = load_clip(write(samples, rate, "MP3", "MPEG_LAYER_III", bitrate_mode=mode))
    assert clip.warnings == ()
    assert clip.duration_seconds == pytest.approx(1.5, abs=0.01)
    assert error_db(clip, clip_from_array(samples, rate).samples) < -8


def test_the_mean_of_the_channels_is_exact() -> None:
    samples = np.array([[0.5, -0.25], [1.0, 0.5], [-1.0, 0.0]] * 10000, np.float32)
    clip = clip_from_array(samples, 22050)
    np.testing.assert_array_equal(clip.samples, np.array([0.125, 0.75, -0.5] * 10000, np.float32))


@pytest.mark.parametrize("name", ["wav 16", "mp3", "webm", "flac 24"])
def test_samples_and_warnings_do_not_depend_on_the_block_size(
    name: str, stereo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = FORMATS[name][0](np.clip(8.0 * stereo, -1, 1))
    clips = []
    for size in (1 << 17, 4099, 3001):
        monkeypatch.setattr(audio_base, "BLOCK_VALUES", size)
        clips.append(load_clip(data))
    for clip in clips[1:]:
        np.testing.assert_array_equal(clip.samples, clips[0].samples)
        assert clip.warnings == clips[0].warnings
        assert any(warning.startswith("clipped") for warning in clip.warnings)
