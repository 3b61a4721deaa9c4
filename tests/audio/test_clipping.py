"""Clipping is detected, and loud masters are not reported as clipped."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from genre_app.audio import base as audio_base
from genre_app.audio import load_clip
from genre_app.audio.synth import music
from tests.audio.files import RATE, clip_from_array, write


def test_a_run_at_full_scale_is_detected_across_blocks(stereo: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write(np.clip(8.0 * stereo[60_000:90_000], -1, 1), RATE, "WAV", "PCM_16")
    whole = load_clip(data)
    monkeypatch.setattr(audio_base, "BLOCK_VALUES", 4)
    assert load_clip(data).warnings == whole.warnings != ()


def limited(samples: np.ndarray, gain: float) -> np.ndarray:
    """Apply a limiter with 2 ms look-ahead and peaks at full scale, as in loud masters."""
    loud, ahead = gain * samples / np.abs(samples).max(), 88
    peaks = np.maximum(maximum_filter1d(np.abs(loud), 2 * ahead + 1, axis=0), 1.0)
    return np.clip(loud * uniform_filter1d(1.0 / peaks, ahead, axis=0), -1, 1)


@pytest.mark.parametrize("style", ["blues", "classical", "disco", "metal", "reggae"])
def test_clipped_peaks_are_distinguished_from_loud_masters(style: str) -> None:
    samples = music(style, 4.0, RATE)
    samples = (samples / np.abs(samples).max())[:, None]

    def clipped(data: bytes) -> bool:
        return any(warning.startswith("clipped") for warning in load_clip(data).warnings)

    for container, subtype in (
        ("WAV", "PCM_16"),
        ("WAV", "FLOAT"),
        ("FLAC", "PCM_24"),
        ("MP3", "MPEG_LAYER_III"),
        ("OGG", "VORBIS"),
    ):
        assert not clipped(write(samples, RATE, container, subtype))
        assert not clipped(write(limited(samples, 2.0), RATE, container, subtype))
        assert clipped(write(np.clip(4.0 * samples, -1, 1), RATE, container, subtype))
    assert clipped(write(np.clip(2.0 * samples, -1, 1), RATE, "WAV", "PCM_16"))
    assert not clipped(write(limited(samples, 8.0), RATE, "WAV", "PCM_16"))
    assert not clipped(write(1.3 * samples, RATE, "WAV", "FLOAT"))  # a float mix beyond full scale is not clipped


def test_clipping_of_one_channel_counts_and_is_measured_before_resampling() -> None:
    samples = np.zeros((RATE, 2), np.float32)
    samples[:, 0] = np.clip(1.5 * np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE), -1, 1)
    clip = clip_from_array(samples, RATE)
    assert np.abs(clip.samples).max() < 0.6
    at_full_scale = np.mean(np.abs(samples) == 1.0)
    (warning,) = clip.warnings
    assert float(warning.split("clipped: ")[1].split("%")[0]) / 100 == pytest.approx(at_full_scale, abs=0.02)
