"""Masked sound: what is kept and what is removed."""

from __future__ import annotations

import numpy as np
import pytest

from genre_app.audio import Clip
from genre_app.explain import Grid, mask_audio

RATE = 22050


def sine(hz: float, seconds: float = 6.0) -> Clip:
    return Clip((0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32), RATE)


def level_db(samples: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64)) + 1e-20))


@pytest.mark.parametrize("hz", [150.0, 900.0, 5000.0])
def test_a_tone_is_kept_within_the_mask_and_removed_without(hz):
    clip, grid = sine(hz), Grid.over(6.0, 11025.0)
    band = grid.bands_of(np.array([hz]))[0]
    mask = np.zeros(grid.shape, bool)
    mask[band] = True
    kept, removed = (mask_audio(clip, grid, mask, keep=keep) for keep in (True, False))
    assert level_db(kept.samples) == pytest.approx(level_db(clip.samples), abs=1.0)
    assert level_db(removed.samples) < level_db(clip.samples) - 20
    np.testing.assert_allclose(kept.samples + removed.samples, clip.samples, atol=1e-5)  # the phase is kept
    assert (len(kept.samples), kept.sample_rate, kept.name) == (len(clip.samples), RATE, clip.name)


def test_a_moment_is_kept():
    clip, grid = sine(440.0), Grid.over(6.0, 11025.0)
    mask = np.zeros(grid.shape, bool)
    mask[:, 2] = True  # 2 s to 3 s
    kept = mask_audio(clip, grid, mask, keep=True).samples
    at = lambda start, end: level_db(kept[round(start * RATE) : round(end * RATE)])  # noqa: E731
    assert at(2.1, 2.9) == pytest.approx(level_db(clip.samples), abs=1.0)
    assert at(0.0, 1.9) < level_db(clip.samples) - 20
    assert at(3.1, 6.0) < level_db(clip.samples) - 20


@pytest.mark.parametrize("seconds", [0.01, 0.05, 0.5])
def test_a_full_mask_changes_nothing_however_short_the_clip(seconds):
    clip, grid = sine(440.0, seconds), Grid.over(seconds, 11025.0)
    kept = mask_audio(clip, grid, np.ones(grid.shape, bool), keep=True)
    np.testing.assert_allclose(kept.samples, clip.samples, atol=1e-5)


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="the grid's shape"):
        mask_audio(sine(440.0), Grid.over(6.0, 11025.0), np.ones((3, 3), bool), keep=True)
