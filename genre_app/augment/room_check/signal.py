"""The test signal: silence, an exponential sine sweep, silence for the reverberation, and music."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import soxr
from numpy.typing import NDArray

from genre_app.audio.synth import music

SAMPLE_RATE = 44100
"""Hz, at which the signal is computed; at another rate it is resampled, so that it sounds the same."""

LEAD_SECONDS = 1.0
"""Silence before the sweep, in which the noise is measured."""

SWEEP_SECONDS = 3.0
GAP_SECONDS = 1.0
"""Silence after the sweep. It is the longest part of an impulse response that the music does not overlap."""

MUSIC_SECONDS = 2.0

LOWEST_HZ = 50.0
HIGHEST_HZ = 19800.0  # just below half of the sample rate, converters and resampling filters attenuate
_RMS = 10.0 ** (-16 / 20)  # that of `genre_app.audio.synth`: sweep and music are equally loud
_FADE_SECONDS = (0.03, 0.005)  # at the start and the end of the sweep, so that it does not click
_STYLE, _SEED = "disco", 0  # tones in all bands, which noise suppression attenuates


def sweep() -> NDArray[np.float64]:
    """Return the exponential sine sweep [n] from `LOWEST_HZ` to `HIGHEST_HZ`, at `SAMPLE_RATE`.

    References
    ----------
    Farina 2000, Simultaneous measurement of impulse response and distortion with a swept-sine technique.
    """
    time = np.arange(round(SWEEP_SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
    growth = np.log(HIGHEST_HZ / LOWEST_HZ) / SWEEP_SECONDS  # per second
    samples: NDArray[np.float64] = np.sqrt(2.0) * _RMS * np.sin(2.0 * np.pi * LOWEST_HZ / growth * np.expm1(growth * time))
    rise, fall = (np.sin(0.5 * np.pi * np.linspace(0, 1, round(s * SAMPLE_RATE))) ** 2 for s in _FADE_SECONDS)
    samples[: len(rise)] *= rise
    samples[len(samples) - len(fall) :] *= fall[::-1]
    return samples


@lru_cache(maxsize=2)
def room_signal(sample_rate: int = SAMPLE_RATE) -> NDArray[np.float32]:
    """Return the samples of the test signal [n]; always the same, and read-only.

    Parameters
    ----------
    sample_rate : int
        Hz.
    """
    lead, gap = (np.zeros(round(seconds * SAMPLE_RATE)) for seconds in (LEAD_SECONDS, GAP_SECONDS))
    piece = music(_STYLE, MUSIC_SECONDS, SAMPLE_RATE, _SEED)
    signal = np.concatenate([lead, sweep(), gap, piece]).astype(np.float32)
    if sample_rate != SAMPLE_RATE:
        signal = np.asarray(soxr.resample(signal, SAMPLE_RATE, sample_rate), np.float32)
    signal.setflags(write=False)  # all callers share it
    return signal
