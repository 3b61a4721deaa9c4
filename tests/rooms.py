"""Recordings of the room check's test signal in rooms whose properties are known."""

from __future__ import annotations

import numpy as np
import scipy

from genre_app.augment.room_check import SAMPLE_RATE, room_signal

SWEEP = slice(round(1.5 * SAMPLE_RATE), round(4.5 * SAMPLE_RATE))
"""Where the sweep is in a recording, without the reverberation."""


def response(t60: float, direct_db: float = 0.0, seed: int = 1) -> np.ndarray:
    """An impulse response [n]: direct sound, and noise that decays exponentially in all bands."""
    time = np.arange(round(1.3 * t60 * SAMPLE_RATE)) / SAMPLE_RATE
    tail = np.random.default_rng(seed).standard_normal(len(time)) * np.exp(-np.log(1e3) * time / t60)
    tail *= np.sqrt(10 ** (-direct_db / 10) / np.sum(tail**2))
    tail[0] += 1.0
    return tail


def recorded(room: np.ndarray | None = None, snr_db: float = 50.0, gain: float = 0.3, seed: int = 0) -> np.ndarray:
    """Record the signal from half a second before it until a second after it, with white noise."""
    samples = gain * np.pad(room_signal().astype(np.float64), (SAMPLE_RATE // 2, SAMPLE_RATE))
    if room is not None:
        samples = scipy.signal.oaconvolve(samples, room)[: len(samples)]
    power = np.mean(samples[SWEEP] ** 2)
    noise = np.random.default_rng(seed).standard_normal(len(samples))
    return (samples + noise * np.sqrt(power * 10 ** (-snr_db / 10))).astype(np.float32)
