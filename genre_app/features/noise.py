"""Whether a recording holds anything but noise: a microphone that hears no music hears its own hiss, a fan, the room.

Conventions
-----------
Noise of any colour is a Gaussian process that does not change. The energy of a band then varies from frame to frame by no
more than chance, and that much is known: the logarithm of a sum of ``k`` exponentially distributed values has the variance
``trigamma(k)``. Notes and beats move the energy from band to band and let it vary ten times as much and more. A tone that is
held does not vary at all, but stands out of its neighbourhood in the mean spectrum. What does neither is noise.

What all bands do together is left out: a swell, a fan that beats, or a gain control make no music of noise, and the level
plays no part.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

PIECE_SECONDS = 10.0
"""Audio is judged by such pieces; one with music in it is enough."""

MIN_SECONDS = 1.5
"""Shorter audio has too few frames to be judged."""

# Measured in pieces of 5 s. Noise of any colour, in rooms and a telephone's band too: variation 0.8 to 1.2. Real music: 5.1 at
# least, at -50 dB too; 3.8 in a telephone's band; 2.5 across a room with a phone and with noise 12 dB under it. With pink noise
# as strong as the music it comes down to 1.1, and 5 % of the pieces pass for noise, but hardly ever all pieces of a take.
MOST_VARIATION = 1.5
# What a browser's noise suppression leaves of noise flickers: 1.8 to 2.9, with music in it 11 at least.
MOST_SUPPRESSED_VARIATION = 4.0
MOST_TONAL = 0.3  # share of the energy; noise has under 0.02, in a room too

FRAME_SECONDS = 0.186  # 4096 samples at 22 050 Hz
N_BANDS = 16
LOWEST_HZ = 100.0
LOWEST_TONE_HZ = 200.0  # mains hum and its first overtones make no music
PEAK = 10.0  # power over the median of the neighbourhood that makes a tone
NEIGHBOURS = 15  # bins to either side
_SILENT_POWER = 1e-10  # mean square; -100 dBFS, where digital silence and rounding are
FAINT = 1e-6  # of the strongest band's power: what a codec or the decoder's filter has emptied


class NoiseDetector:
    """Listens to consecutive samples until it hears music.

    Parameters
    ----------
    sample_rate : int
        Hz.
    suppressed : bool
        The sound has gone through noise suppression, as a browser's microphone has when it is set up for speech.
    """

    def __init__(self, sample_rate: int, *, suppressed: bool = False) -> None:
        self._rate, self._suppressed = sample_rate, suppressed
        self._held: list[NDArray[np.float32]] = []
        self._n_held = 0
        self._music = self._judged = False

    def add(self, block: NDArray[np.float32]) -> None:
        """Take the next samples, float32 [n]; how they are cut into blocks makes no difference."""
        width = round(PIECE_SECONDS * self._rate)
        while not self._music and len(block):
            taken, block = block[: width - self._n_held], block[width - self._n_held :]
            self._held.append(taken)
            self._n_held += len(taken)
            if self._n_held == width:
                self._judge()

    def is_noise(self) -> bool:
        """Whether there was enough to judge by, and all of it was noise; asked once, at the end."""
        # The end of a longer recording is as short as it happens to be, and the rest is known.
        if not self._music and self._n_held >= (PIECE_SECONDS / 2 if self._judged else MIN_SECONDS) * self._rate:
            self._judge()
        return self._judged and not self._music

    def _judge(self) -> None:
        verdict = is_noise(np.concatenate(self._held), self._rate, suppressed=self._suppressed)
        self._held, self._n_held = [], 0
        self._judged |= verdict is not None
        self._music |= verdict is False


def is_noise(samples: NDArray[np.float32], sample_rate: int, *, suppressed: bool = False) -> bool | None:
    """Tell whether samples are noise and nothing else.

    Parameters
    ----------
    samples : numpy.ndarray, float32 [n]
        Some seconds.
    sample_rate : int
        Hz.
    suppressed : bool
        The sound has gone through noise suppression.

    Returns
    -------
    bool or None
        None if there is too little sound to tell.
    """
    power = _power(samples, sample_rate)
    least = 1 + int((MIN_SECONDS / FRAME_SECONDS - 1) * 2)
    if len(power) < least or not np.isfinite(power).all():
        return None
    most = MOST_SUPPRESSED_VARIATION if suppressed else MOST_VARIATION
    return variation(power, sample_rate) < most and tonal_share(power, sample_rate) < MOST_TONAL


def _power(samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.float64]:
    """Power spectra [frames, bins] of the frames that are not silent, each overlapping the next by half."""
    n_fft = 1 << round(np.log2(sample_rate * FRAME_SECONDS))
    if len(samples) < n_fft:
        return np.empty((0, 1 + n_fft // 2))
    frames = np.lib.stride_tricks.sliding_window_view(samples, n_fft)[:: n_fft // 2].astype(np.float64)
    frames -= frames.mean(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is for the caller to see
        frames = frames[~(np.mean(frames**2, axis=1) < _SILENT_POWER)]
        return np.abs(np.fft.rfft(frames * np.hanning(n_fft))) ** 2


def variation(power: NDArray[np.float64], sample_rate: int) -> float:
    """Variation of the bands' log energies over time, in units of what it is for noise.

    Quantiles stand for the variance, so that a click or a cough does not count.
    """
    first = _bands(power.shape[1], sample_rate)
    energy = np.add.reduceat(power[:, : first[-1]], first[:-1], axis=1)  # [frames, bands]
    mean = power[:, : first[-1]].mean(axis=0)
    n_bins = np.diff(first)
    total = np.add.reduceat(mean, first[:-1])
    density = total / n_bins
    heard = density > FAINT * density.max()
    # A room or a filter leaves some bins of a band stronger than others, and those decide alone, as if there were fewer. In a
    # room without any direct sound it is half of them; a tone would leave one, but is no noise.
    equal_bins = (1 + 1 / len(power)) * total**2 / np.maximum(np.add.reduceat(mean**2, first[:-1]), 1e-60)
    expected = _log_variance(np.maximum(equal_bins, n_bins / 2)[heard])
    weights = 1.0 / expected
    logs = np.log(np.maximum(energy[:, heard], 1e-30))
    logs -= (logs @ weights / weights.sum())[:, None]  # what all bands do together
    low, high = np.quantile(logs, [0.1, 0.9], axis=0)
    return float(np.mean(((high - low) / 2.5631) ** 2 / expected))  # that many standard deviations lie between them


def tonal_share(power: NDArray[np.float64], sample_rate: int) -> float:
    """Share of the energy that lies in bins which stand out of their neighbourhood in the mean spectrum."""
    hz_per_bin = sample_rate / 2 / (power.shape[1] - 1)
    mean = power.mean(axis=0)[round(LOWEST_TONE_HZ / hz_per_bin) : round(0.45 * sample_rate / hz_per_bin)]
    around = np.lib.stride_tricks.sliding_window_view(np.pad(mean, NEIGHBOURS, mode="reflect"), 2 * NEIGHBOURS + 1)
    peaks = mean > PEAK * np.median(around, axis=1)
    return float(mean[peaks].sum() / max(mean.sum(), 1e-30))


@lru_cache(maxsize=8)
def _bands(n_bins: int, sample_rate: int) -> NDArray[np.intp]:
    """First bin of each band, and the one after the last: equally wide on a logarithmic axis."""
    edges = np.geomspace(LOWEST_HZ, 0.45 * sample_rate, N_BANDS + 1) * 2 * (n_bins - 1) / sample_rate
    return np.unique(np.round(edges).astype(np.intp))


def _log_variance(n_bins: NDArray[np.float64]) -> NDArray[np.float64]:
    """Variance of the logarithm of a band's energy in Gaussian noise: trigamma of the number of independent values in it."""
    k = np.maximum(1.0, (n_bins + 0.6) / 1.72)  # neighbouring bins of a Hann window hang together
    # By the recurrence and the asymptotic series; scipy takes longer to import than all of this takes.
    tail = 1 / (k + 4) + 1 / (2 * (k + 4) ** 2) + 1 / (6 * (k + 4) ** 3)
    return np.asarray(tail + sum(1.0 / (k + i) ** 2 for i in range(4)))
