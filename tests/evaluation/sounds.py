"""Sounds and measurements for the tests of listening conditions."""

from __future__ import annotations

import math

import numpy as np
import scipy.signal

from genre_app.evaluation.conditions import STANDARD
from genre_app.evaluation.conditions.level import mean_power

RATE = 22050
SPEED = {"speed-0.9": 0.9, "speed-1.1": 1.1}


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
    """Return the gain of a condition for a sine."""
    tone = sine(hz)
    inner = slice(RATE // 4, -RATE // 4)  # without the transients at both ends
    return 10 * math.log10(mean_power(change(name, tone)[inner]) / mean_power(tone[inner]))


def slope_db(noise: np.ndarray, low: float = 100.0, high: float = 6400.0) -> float:
    """Return the slope of a spectrum in dB per octave."""
    frequencies, power = scipy.signal.welch(noise, RATE, nperseg=2048)
    octaves = np.log2(frequencies[1:])
    chosen = (octaves > np.log2(low)) & (octaves < np.log2(high))
    bands = np.linspace(np.log2(low), np.log2(high), 13)
    index = np.digitize(octaves[chosen], bands)
    means = [10 * np.log10(power[1:][chosen][index == k].mean()) for k in range(1, 13)]
    return float(np.polyfit((bands[:-1] + bands[1:]) / 2, means, 1)[0])


def t60_seconds(response: np.ndarray, rate: int = RATE) -> float:
    """Return the reverberation time around 1 kHz: slope of Schroeder's integral between -5 and -25 dB."""
    band = scipy.signal.butter(3, [400, 1600], "bandpass", fs=rate, output="sos")
    left = np.cumsum(scipy.signal.sosfilt(band, response)[::-1] ** 2)[::-1]
    db = 10 * np.log10(left / left[0])
    start, stop = int(np.argmax(db < -5)), int(np.argmax(db < -25))
    return -60.0 / float(np.polyfit(np.arange(start, stop) / rate, db[start:stop], 1)[0])


def direct_db(response: np.ndarray) -> float:
    return 10 * math.log10(response[0] ** 2 / np.sum(response[1:] ** 2))
