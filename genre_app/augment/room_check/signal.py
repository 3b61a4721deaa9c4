"""The test signal: silence, an exponential sine sweep, silence for the reverberation, and music."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from genre_app.audio.synth import music

LEAD_SECONDS = 1.0
"""Silence before the sweep, in which the noise is measured."""

SWEEP_SECONDS = 3.0
GAP_SECONDS = 1.0
"""Silence after the sweep. It is the longest part of an impulse response that the music does not overlap."""

MUSIC_SECONDS = 2.0
SIGNAL_SECONDS = LEAD_SECONDS + SWEEP_SECONDS + GAP_SECONDS + MUSIC_SECONDS

LOWEST_HZ = 50.0
_HIGHEST_HZ = 20000.0
_HIGHEST_SHARE = 0.45  # of the sample rate; just below half of it, converters and resampling filters attenuate
_RMS = 10.0 ** (-16 / 20)  # that of `genre_app.audio.synth`: sweep and music are equally loud
_FADE_SECONDS = (0.03, 0.005)  # at the start and the end of the sweep, so that it does not click
_STYLE, _SEED = "disco", 0  # tones in all bands, which noise suppression attenuates


def highest_hz(sample_rate: int) -> float:
    """Return the frequency at which the sweep ends, in Hz."""
    return min(_HIGHEST_HZ, _HIGHEST_SHARE * sample_rate)


def sweep(sample_rate: int) -> NDArray[np.float64]:
    """Return the exponential sine sweep [n] from 50 Hz to `highest_hz`.

    References
    ----------
    Farina 2000, Simultaneous measurement of impulse response and distortion with a swept-sine technique.
    """
    time = np.arange(round(SWEEP_SECONDS * sample_rate)) / sample_rate
    growth = np.log(highest_hz(sample_rate) / LOWEST_HZ) / SWEEP_SECONDS  # per second
    samples: NDArray[np.float64] = np.sqrt(2.0) * _RMS * np.sin(2.0 * np.pi * LOWEST_HZ / growth * np.expm1(growth * time))
    rise, fall = (np.sin(0.5 * np.pi * np.linspace(0, 1, round(s * sample_rate))) ** 2 for s in _FADE_SECONDS)
    samples[: len(rise)] *= rise
    samples[len(samples) - len(fall) :] *= fall[::-1]
    return samples


def test_signal(sample_rate: int) -> NDArray[np.float32]:
    """Return the samples of the test signal [n]; the same for each call.

    Parameters
    ----------
    sample_rate : int
        Hz.
    """
    lead, gap = (np.zeros(round(seconds * sample_rate)) for seconds in (LEAD_SECONDS, GAP_SECONDS))
    piece = music(_STYLE, MUSIC_SECONDS, sample_rate, _SEED)
    return np.concatenate([lead, sweep(sample_rate), gap, piece]).astype(np.float32)
