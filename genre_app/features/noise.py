"""Detect recordings that hold nothing but noise, such as the hiss of a microphone, a fan or a quiet room.

Method
------
Noise of any colour is a stationary Gaussian process. Its energy in a band varies from frame to frame only by chance, and the
variance is known: the logarithm of a sum of ``k`` exponentially distributed values has the variance ``trigamma(k)``. In music,
notes and beats make the energy vary at least ten times as much. A sustained tone does not vary, but forms a peak in the mean
spectrum. A recording with neither variation nor peaks is noise.

Changes common to all bands are removed first, because a swell, a beating fan or a gain control does not turn noise into music.
The level has no influence.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

MIN_SECONDS = 1.5
"""Shorter audio has too few frames."""

# Variation measured in pieces of 5 s. Noise of any colour, also in rooms and in a telephone's band: 0.8 to 1.2. Music: at least
# 5.1, also at -50 dB; 3.8 in a telephone's band; 2.5 recorded across a room with noise 12 dB below it. With pink noise as loud
# as the music it drops to 1.1, and 5 % of the pieces count as noise, but almost never all pieces of a recording.
MOST_VARIATION = 1.5
# A browser's noise suppression makes noise flicker: variation 1.8 to 2.9, and at least 11 with music (measured).
MOST_SUPPRESSED_VARIATION = 4.0
MOST_TONAL = 0.3  # share of the energy; noise has less than 0.02, also in a room (measured)

FRAME_SECONDS = 0.186  # 4096 samples at 22 050 Hz
N_BANDS = 16
LOWEST_HZ = 100.0
HIGHEST_SHARE = 0.45  # of the sample rate; just below it, resampling filters attenuate
LOWEST_TONE_HZ = 200.0  # mains hum and its first overtones are not music
PEAK = 10.0  # a tone has this many times the median power of its neighbouring bins
NEIGHBOURS = 15  # bins on each side
_SILENT_POWER = 1e-10  # mean square, -100 dBFS: digital silence and rounding errors
FAINT = 1e-6  # share of the strongest band's power; weaker bands were emptied by a codec or a resampling filter
_QUANTILES = (0.1, 0.9)
_QUANTILE_DISTANCE = 2.5631  # standard deviations between these quantiles of a normal distribution


def is_noise(samples: NDArray[np.float32], sample_rate: int, *, suppressed: bool = False) -> bool | None:
    """Return whether samples hold nothing but noise.

    Parameters
    ----------
    samples : numpy.ndarray, float32 [n]
        A few seconds.
    sample_rate : int
        Hz.
    suppressed : bool
        The sound went through noise suppression.

    Returns
    -------
    bool or None
        None if there is too little sound.
    """
    power = power_spectra(samples, sample_rate)
    least = 1 + int((MIN_SECONDS / FRAME_SECONDS - 1) * 2)
    if len(power) < least or not np.isfinite(power).all():
        return None
    most = MOST_SUPPRESSED_VARIATION if suppressed else MOST_VARIATION
    return variation(power, sample_rate) < most and tonal_share(power, sample_rate) < MOST_TONAL


def power_spectra(samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.float64]:
    """Return power spectra [frames, bins] of frames that overlap by half; silent frames are left out."""
    n_fft = 1 << round(np.log2(sample_rate * FRAME_SECONDS))
    if len(samples) < n_fft:
        return np.empty((0, 1 + n_fft // 2))
    frames = np.lib.stride_tricks.sliding_window_view(samples, n_fft)[:: n_fft // 2].astype(np.float64)
    frames -= frames.mean(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", over="ignore"):  # the caller handles values that are not finite
        frames = frames[~(np.mean(frames**2, axis=1) < _SILENT_POWER)]
        return np.abs(np.fft.rfft(frames * np.hanning(n_fft))) ** 2


def variation(power: NDArray[np.float64], sample_rate: int) -> float:
    """Return the variance over time of the bands' log energies, relative to that of Gaussian noise.

    The variance is estimated from quantiles, so that a click or a cough has no influence.
    """
    first = _bands(power.shape[1], sample_rate)
    energy = np.add.reduceat(power[:, : first[-1]], first[:-1], axis=1)  # [frames, bands]
    mean = power[:, : first[-1]].mean(axis=0)
    n_bins = np.diff(first)
    total = np.add.reduceat(mean, first[:-1])
    density = total / n_bins
    heard = density > FAINT * density.max()
    # A room or a filter makes some bins of a band stronger; the others then hardly count. `equal_bins` is the number of equally
    # strong bins with the same effect. In a room without direct sound it is half of the bins, so that is its least value.
    equal_bins = (1 + 1 / len(power)) * total**2 / np.maximum(np.add.reduceat(mean**2, first[:-1]), 1e-60)
    expected = _log_variance(np.maximum(equal_bins, n_bins / 2)[heard])
    weights = 1.0 / expected
    logs = np.log(np.maximum(energy[:, heard], 1e-30))
    logs -= (logs @ weights / weights.sum())[:, None]  # changes common to all bands
    low, high = np.quantile(logs, _QUANTILES, axis=0)
    return float(np.mean(((high - low) / _QUANTILE_DISTANCE) ** 2 / expected))


def tonal_share(power: NDArray[np.float64], sample_rate: int) -> float:
    """Return the share of the energy in peaks of the mean spectrum."""
    hz_per_bin = sample_rate / 2 / (power.shape[1] - 1)
    mean = power.mean(axis=0)[round(LOWEST_TONE_HZ / hz_per_bin) : round(HIGHEST_SHARE * sample_rate / hz_per_bin)]
    around = np.lib.stride_tricks.sliding_window_view(np.pad(mean, NEIGHBOURS, mode="reflect"), 2 * NEIGHBOURS + 1)
    peaks = mean > PEAK * np.median(around, axis=1)
    return float(mean[peaks].sum() / max(mean.sum(), 1e-30))


@lru_cache(maxsize=8)
def _bands(n_bins: int, sample_rate: int) -> NDArray[np.intp]:
    """Return the first bin of each band and the end of the last; bands are equally wide on a logarithmic axis."""
    edges = np.geomspace(LOWEST_HZ, HIGHEST_SHARE * sample_rate, N_BANDS + 1) * 2 * (n_bins - 1) / sample_rate
    return np.unique(np.round(edges).astype(np.intp))


def _log_variance(n_bins: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the variance of a band's log energy in Gaussian noise: trigamma of its number of independent values."""
    k = np.maximum(1.0, (n_bins + 0.6) / 1.72)  # fewer than its bins, because a Hann window correlates neighbouring bins
    # Recurrence and asymptotic series (Abramowitz and Stegun 6.4.6, 6.4.12); importing scipy takes longer than all of this.
    tail = 1 / (k + 4) + 1 / (2 * (k + 4) ** 2) + 1 / (6 * (k + 4) ** 3)
    return np.asarray(tail + sum(1.0 / (k + i) ** 2 for i in range(4)))
