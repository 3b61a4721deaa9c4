"""A score: sounds added up on a time line, and the instruments that play them."""

from __future__ import annotations

import numpy as np
import scipy  # not scipy.signal, which takes a second to import; scipy loads it at its first use
from numpy.typing import NDArray

Sound = NDArray[np.float64]
"""Samples of a sound, float64 [n]."""


_BLOCK = 256  # samples; about the square root of a tone's length, for which both matrices are smallest


def _hz(midi: float) -> float:
    return float(440.0 * 2.0 ** ((midi - 69) / 12))


class Score:
    """A sum of sounds on a time line, and the instruments that make them at its sample rate."""

    def __init__(self, seconds: float, sample_rate: int, seed: int) -> None:
        self.seconds, self.rate = seconds, sample_rate
        self.rng = np.random.default_rng(seed)
        self.out: Sound = np.zeros(round(seconds * sample_rate))
        self._tones: dict[tuple[float, ...], Sound] = {}

    def add(self, at: float, sound: Sound, level: float) -> None:
        """Add a sound at ``at`` seconds, at random a little louder or softer than ``level``, as players do."""
        start = round(at * self.rate)
        if 0 <= start < len(self.out):
            length = min(len(sound), len(self.out) - start)
            self.out[start : start + length] += level * self.rng.uniform(0.85, 1.1) * sound[:length]

    def layer(self) -> Score:
        """Return an empty score of the same length, for sounds that share an effect."""
        return Score(self.seconds, self.rate, int(self.rng.integers(1 << 31)))

    def time(self, seconds: float) -> Sound:
        """Return the times of the samples of a sound, in seconds."""
        return np.arange(round(seconds * self.rate)) / self.rate

    def tone(self, midi: float, seconds: float, *, slope: float = 1.0, decay: float = 0.0, attack: float = 0.005) -> Sound:
        """Return a harmonic tone: partial ``k`` has the level ``k ** -slope`` and decays at ``decay * sqrt(k)`` per second."""
        key = (midi, seconds, slope, decay, attack)
        if key not in self._tones:
            time, fundamental = self.time(seconds), _hz(midi)
            partials = np.arange(1.0, 1 + max(1, min(40, int(0.45 * self.rate / fundamental))))
            phases = self.rng.uniform(0, 2 * np.pi, len(partials))
            stretched = fundamental * partials * np.sqrt(1 + 1e-4 * partials**2)  # strings are slightly inharmonic
            rates = 2j * np.pi * stretched - decay * np.sqrt(partials)
            levels = partials**-slope * np.exp(1j * phases)
            # exp(rate * (start + step)) = exp(rate * start) * exp(rate * step): a product of two matrices sums the partials.
            blocks = levels * np.exp(np.outer(time[::_BLOCK], rates))
            sound = (blocks @ np.exp(np.outer(rates, time[:_BLOCK]))).imag.ravel()[: len(time)]
            rise = np.minimum(1.0, time / attack) * np.minimum(1.0, (seconds - time) / 0.02)
            self._tones[key] = sound * rise
        return self._tones[key]

    def noise(self, seconds: float, low_hz: float, high_hz: float, decay: float) -> Sound:
        """Return band-passed noise that decays at ``decay`` per second."""
        time = self.time(seconds)
        return self._band(self.rng.standard_normal(len(time)), low_hz, high_hz) * np.exp(-decay * time)

    def _band(self, sound: Sound, low_hz: float, high_hz: float) -> Sound:
        high_hz = min(high_hz, 0.49 * self.rate)
        band = scipy.signal.butter(2, [min(low_hz, 0.6 * high_hz), high_hz], "bandpass", fs=self.rate, output="sos")
        return np.asarray(scipy.signal.sosfilt(band, sound))

    def kick(self) -> Sound:
        """Return a bass drum: a sine that falls in pitch."""
        time = self.time(0.3)
        return np.sin(2 * np.pi * (48 * time + 110 / 30 * (1 - np.exp(-30 * time)))) * np.exp(-11 * time)

    def snare(self) -> Sound:
        """Return a snare drum: noise and a short tone."""
        return 0.9 * self.noise(0.25, 900, 9000, 18) + 0.5 * self.tone(54, 0.25, slope=2, decay=20)

    def hat(self, *, open_: bool = False) -> Sound:
        """Return a hi-hat, closed or open: high noise."""
        return self.noise(0.3 if open_ else 0.08, 6000, 16000, 12 if open_ else 60)

    def pluck(self, midi: float, seconds: float) -> Sound:
        """Return a plucked string: a burst of noise in a low-pass delay loop (Karplus and Strong, 1983)."""
        period = max(2, round(self.rate / _hz(midi) - 0.5))
        burst = np.zeros(round(seconds * self.rate))
        burst[:period] = self.rng.uniform(-1, 1, min(period, len(burst)))
        loop = np.zeros(period + 2)
        loop[0], loop[period:] = 1.0, -0.4985
        return np.asarray(scipy.signal.lfilter([1.0], loop, burst)) * np.minimum(1.0, (seconds - self.time(seconds)) / 0.02)

    def filtered(self, low_hz: float, high_hz: float) -> Sound:
        """Return the sum of all sounds, band-passed."""
        return self._band(self.out, low_hz, high_hz)

    def reverberate(self, seconds: float, level: float) -> None:
        """Add the reverberation of a room, with a reverberation time of ``seconds``, to all sounds so far."""
        time = self.time(seconds)
        room = self.rng.standard_normal(len(time)) * np.exp(-6.9 * time / seconds) / np.sqrt(self.rate * seconds / 14)
        self.out += level * scipy.signal.fftconvolve(self.out, room)[: len(self.out)]
