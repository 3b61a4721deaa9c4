"""Impulse response by deconvolution of the sweep; response by band and reverberation time from it."""

from __future__ import annotations

import numpy as np
import scipy  # its submodules are imported at first use; scipy.signal takes a second
from numpy.typing import NDArray

from genre_app.augment.room_check.signal import GAP_SECONDS, HIGHEST_HZ, LOWEST_HZ, SAMPLE_RATE, sweep

Array = NDArray[np.float64]

_REGULARISATION = 1e-6  # of the sweep's largest power; its power at 20 kHz is 2.5e-3
_DIRECT_SHARE = 0.1  # of the highest peak: an earlier peak of this height is the direct sound
_DIRECT_REACH_SECONDS = 0.02  # the direct sound precedes the strongest reflection by less (7 m)
_BEFORE_SECONDS = 0.005  # of the impulse response before the direct sound, where filters ring
_KEPT_SECONDS = 0.95 * GAP_SECONDS
_NOISE_SECONDS = (0.30, 0.05)  # before the direct sound; harmonic distortion comes earlier
_DIRECT_SECONDS = 0.0025  # after the direct sound, which count as direct
_SMOOTHING_SECONDS = 0.03  # of the decay, to find where it meets the noise
_ABOVE_NOISE = 4.0  # 6 dB: power ratio at which the decay is cut
# Ends of the decay that is fitted, and how far the noise must be below the peak for it: T20 of ISO 3382-1, and half of it.
_DECAYS_DB = ((-5.0, -25.0, 35.0), (-5.0, -15.0, 25.0))
_SHORTEST_SECONDS = 0.05  # the octave filters ring this long


class ImpulseResponse:
    """Impulse response of loudspeaker, room and microphone, with the noise before it.

    Parameters
    ----------
    recording : numpy.ndarray [n]
        At `SAMPLE_RATE`.

    Attributes
    ----------
    start : int
        Sample of the recording at which the sweep's direct sound begins.
    peak_db : float
        Level of the highest peak over the median; high only if the recording holds the sweep.
    """

    def __init__(self, recording: Array) -> None:
        self._all = _deconvolve(recording)
        power = self._all**2
        highest = int(power.argmax())
        first = max(0, highest - round(_DIRECT_REACH_SECONDS * SAMPLE_RATE))
        early = np.flatnonzero(power[first : highest + 1] >= _DIRECT_SHARE**2 * power[highest])
        self.start = first + int(early[0])
        self.peak_db = float(10.0 * np.log10(power[highest] / max(float(np.median(power)), 1e-60)))

    @property
    def samples(self) -> Array:
        """The response [n] from 5 ms before the direct sound until the music begins."""
        return self._part(self.start - self._n(_BEFORE_SECONDS), self._n(_BEFORE_SECONDS + _KEPT_SECONDS))

    @property
    def lead(self) -> int:
        """Samples of `samples` before the direct sound."""
        return self._n(_BEFORE_SECONDS)

    def band_db(self, low_hz: float, high_hz: float) -> float:
        """Return the mean power gain in a band in dB, without that of the noise."""
        seconds = _BEFORE_SECONDS + _KEPT_SECONDS
        noise = self._noise()
        power = _band_power(self.samples, low_hz, high_hz)
        hiss = _band_power(noise, low_hz, high_hz) * seconds * SAMPLE_RATE / len(noise)
        width = (high_hz - low_hz) / SAMPLE_RATE
        return float(10.0 * np.log10(max(power - hiss, 0.1 * power, 1e-20) / width))

    def t60(self, centre_hz: float) -> float | None:
        """Return the reverberation time in an octave band in seconds, by a decay of 20 dB, or of 10 dB if noise hides the rest.

        None if the noise is less than 25 dB below the response. The response is filtered backwards, so that the filter's own
        decay does not lengthen a short one.

        References
        ----------
        Schroeder 1965, New method of measuring reverberation time. ISO 3382-1: T20, noise correction by the decay's tail.
        """
        band = scipy.signal.butter(3, (centre_hz / 2**0.5, centre_hz * 2**0.5), "bandpass", fs=SAMPLE_RATE, output="sos")
        energy, noise = (scipy.signal.sosfilt(band, part[::-1])[::-1] ** 2 for part in (self.samples, self._noise()))
        floor = max(float(np.mean(noise[self.lead : -self.lead])), 1e-30)
        smooth = scipy.ndimage.uniform_filter1d(energy, self._n(_SMOOTHING_SECONDS))
        peak = int(smooth.argmax())
        range_db = 10.0 * np.log10(max(float(smooth[peak]), 1e-30) / floor)
        ends = next(((begin, until) for begin, until, least in _DECAYS_DB if range_db >= least), None)
        if ends is None:
            return None
        below = np.flatnonzero(smooth[peak:] < _ABOVE_NOISE * floor)
        end = peak + int(below[0]) if len(below) else len(energy)
        decay = np.maximum(energy[:end], 0.0) - floor
        tail, seconds = 0.0, None
        for _ in range(2):  # the second time with the energy after the cut, which follows from the first
            curve = np.cumsum(decay[::-1])[::-1] + tail
            seconds = _decay_seconds(curve, ends)
            if seconds is None:
                return None
            tail = float(max(smooth[end - 1] - floor, 0.0)) * seconds / np.log(1e6) * SAMPLE_RATE
        return seconds

    @property
    def direct_db(self) -> float:
        """Direct-to-reverberant energy ratio in dB."""
        energy = self.samples**2
        floor = float(np.mean(self._noise() ** 2))
        border = self.lead + self._n(_DIRECT_SECONDS)
        direct, rest = energy[:border].sum(), energy[border:].sum() - floor * (len(energy) - border)
        return float(10.0 * np.log10(max(direct, 1e-30) / max(rest, 1e-6 * direct, 1e-30)))

    def _noise(self) -> Array:
        before, until = _NOISE_SECONDS
        return self._part(self.start - self._n(before), self._n(before - until))

    def _part(self, start: int, length: int) -> Array:
        begin = max(0, start)
        return self._all[begin : start + length]

    def _n(self, seconds: float) -> int:
        return round(seconds * SAMPLE_RATE)


def _deconvolve(recording: Array) -> Array:
    """Divide the spectrum of the recording by that of the sweep, within the sweep's band."""
    played = sweep()
    n_padded = scipy.fft.next_fast_len(len(recording) + len(played), real=True)
    spectrum = scipy.fft.rfft(played, n_padded)
    power = np.abs(spectrum) ** 2
    hertz = scipy.fft.rfftfreq(n_padded, 1 / SAMPLE_RATE)
    inside = np.clip(np.log2(np.maximum(hertz, 1.0) / LOWEST_HZ) * 4.0 + 1.0, 0.0, 1.0)  # edges of a quarter of an octave
    inside *= np.clip(np.log2(HIGHEST_HZ / np.maximum(hertz, 1.0)) * 20.0 + 1.0, 0.0, 1.0)
    inverse = np.conj(spectrum) / (power + _REGULARISATION * power.max()) * inside
    return np.asarray(scipy.fft.irfft(scipy.fft.rfft(recording, n_padded) * inverse, n_padded)[: len(recording)])


def _band_power(samples: Array, low_hz: float, high_hz: float) -> float:
    """Return the energy of samples in a band."""
    n_padded = scipy.fft.next_fast_len(max(len(samples), SAMPLE_RATE), real=True)
    power = np.abs(scipy.fft.rfft(samples, n_padded)) ** 2
    hertz = scipy.fft.rfftfreq(n_padded, 1 / SAMPLE_RATE)
    return float(power[(hertz >= low_hz) & (hertz < high_hz)].sum() / n_padded)


def _decay_seconds(curve: Array, ends: tuple[float, float]) -> float | None:
    """Return the time in which a backward-integrated decay falls by 60 dB; None if it does not fall to both ends."""
    db = 10.0 * np.log10(np.maximum(curve / curve[0], 1e-12))
    begin, end = (int(np.argmax(db <= level)) if (db <= level).any() else -1 for level in ends)
    if begin < 0 or end < 0:
        return None
    if end - begin < 2:
        return _SHORTEST_SECONDS
    slope = np.polyfit(np.arange(begin, end) / SAMPLE_RATE, db[begin:end], 1)[0]
    return float(max(-60.0 / slope, _SHORTEST_SECONDS))
