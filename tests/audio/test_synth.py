"""Synthesised pieces are reproducible, have a sensible level, and differ from each other."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.signal import welch

from genre_app.audio.demos import DEMOS
from genre_app.audio.synth import STYLES, music


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(("sample_rate", "seed"), [(22050, 0), (22050, 7), (8000, 0), (48000, 3)])
def test_a_piece_has_its_length_a_sensible_level_and_no_clipping(style: str, sample_rate: int, seed: int) -> None:
    samples = music(style, 4.0, sample_rate, seed)
    assert samples.dtype == np.float32
    assert len(samples) == 4 * sample_rate
    level_db = 10 * np.log10(np.mean(samples[: 3 * sample_rate] ** 2))
    assert -20 < level_db < -12
    assert 0.3 < np.abs(samples).max() < 0.9
    seconds = samples.reshape(4, -1)
    assert (np.sqrt(np.mean(seconds**2, axis=1)) > 0.02).all()  # it sounds from start to end
    assert abs(samples[-1]) < 1e-3


@pytest.mark.parametrize("style", STYLES)
def test_the_same_arguments_give_the_same_samples_and_another_seed_another_piece(style: str) -> None:
    first = music(style, 2.0, seed=1)
    np.testing.assert_array_equal(first, music(style, 2.0, seed=1))
    other = music(style, 2.0, seed=2)
    assert abs(np.corrcoef(first, other)[0, 1]) < 0.8


def test_styles_differ_in_sound_or_in_rhythm() -> None:
    descriptions = []
    for style in STYLES:
        samples = music(style, 6.0)
        frequencies, power = welch(samples, 22050, nperseg=2048)
        edges = np.searchsorted(frequencies, np.geomspace(40, 10000, 13))
        bands_db = 10 * np.log10([power[low:high].mean() for low, high in pairwise(edges)])
        levels_db = 10 * np.log10(np.add.reduceat(samples**2, np.arange(0, len(samples), 441)) + 1e-9)
        dynamics_db = np.percentile(levels_db[:-30], [10, 50, 90])  # how much it breathes from one moment to the next
        descriptions.append(np.concatenate([bands_db - bands_db.mean(), 2 * (dynamics_db - dynamics_db.mean())]))
    for i, one in enumerate(descriptions):
        for other in descriptions[:i]:
            assert np.sqrt(np.mean((one - other) ** 2)) > 2.5


def test_disco_has_a_beat_of_its_tempo() -> None:
    samples = music("disco", 12.0, seed=0)
    energy = np.add.reduceat(samples**2, np.arange(0, len(samples), 220))  # 10 ms
    onsets = np.maximum(np.diff(energy), 0.0)
    onsets -= onsets.mean()
    likeness = np.correlate(onsets, onsets, "full")[len(onsets) - 1 :]
    lag = 30 + int(np.argmax(likeness[30:75]))
    assert 116 <= 60 / (lag * 220 / 22050) <= 126


def test_an_unknown_style_is_named_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="there is no style 'polka'; choose one of: blues, classical, disco, metal, reggae"):
        music("polka")


@pytest.mark.parametrize("genre", DEMOS)
def test_a_demo_is_the_same_each_time_and_has_a_sensible_level(genre: str) -> None:
    samples = DEMOS[genre](4.0, 22050)
    assert samples.dtype == np.float32
    assert len(samples) == 4 * 22050
    assert -20 < 10 * np.log10(np.mean(samples[: 3 * 22050] ** 2)) < -12
    assert np.abs(samples).max() < 0.9
    np.testing.assert_array_equal(samples, DEMOS[genre](4.0, 22050))
