"""Tell speech from music, so that an answer about speech comes with a warning.

Speech differs from music in how its level changes: it pauses between words, all bands of the spectrum rise and fall together with
the syllables, no beat repeats, and there is little energy below 90 Hz. Seven numbers measure this over a piece of about 10 s, and a
logistic regression weighs them.

References
----------
Scheirer and Slaney (1997), "Construction and evaluation of a robust multifeature speech/music discriminator", ICASSP.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MIN_SAMPLE_RATE = 16000
"""Hz; below, the upper bands of `BAND_EDGES_HZ` are missing, and nothing is said."""

MIN_FRAMES = 50
"""About 5 s; the features of less vary too much."""

BAND_EDGES_HZ = np.geomspace(100.0, 7000.0, 17)
_RANGE_DB = 40.0  # below the loud frames: what is softer is the noise of the room, not the pause's depth
_LOUD_PERCENTILE = 95.0
_LOW_HZ = 90.0  # under the fundamental of nearly all voices
_BEAT_FRAMES = (3, 35)  # lags of 0.3 to 3.2 s

# Fitted, with the threshold, by `python -m tests.speech MUSIC SPEECH`; the command prints these lines.
WEIGHTS = np.zeros(7)
BIAS = 0.0


def is_speech(power: NDArray[np.float64], sample_rate: int) -> bool | None:
    """Tell whether a piece of audio is speech.

    Parameters
    ----------
    power : numpy.ndarray, float64 [frames, bins]
        Power spectra of frames of 0.186 s, each overlapping the next by half, as `genre_app.features.noise` computes them.
    sample_rate : int
        Hz.

    Returns
    -------
    bool or None
        None if there are too few frames, or the sample rate is too low.
    """
    if len(power) < MIN_FRAMES or sample_rate < MIN_SAMPLE_RATE:
        return None
    return bool(speech_features(power, sample_rate) @ WEIGHTS + BIAS > 0.0)


def speech_features(power: NDArray[np.float64], sample_rate: int) -> NDArray[np.float64]:
    """Measure how level and bands change over time.

    Parameters
    ----------
    power : numpy.ndarray, float64 [frames, bins]
    sample_rate : int
        Hz.

    Returns
    -------
    numpy.ndarray, float64 [7]
        Standard deviation of the level, its range from the 10th to the 90th percentile, and its mean change from frame to frame, in
        dB; standard deviation of the bands in dB; share of the first principal component in the variance of the bands; largest
        autocorrelation of the onsets at the lags of a beat; level below 90 Hz against the whole, in dB.
    """
    hz_per_bin = sample_rate / 2 / (power.shape[1] - 1)
    edges = np.unique(np.round(BAND_EDGES_HZ / hz_per_bin).astype(np.intp))
    energy = np.add.reduceat(power[:, : edges[-1]], edges[:-1], axis=1)  # [frames, bands]
    level = _floored_db(energy.sum(axis=1))
    bands = _floored_db(energy)
    covariance = np.cov(bands.T)
    onsets = np.maximum(0.0, np.diff(bands, axis=0)).mean(axis=1)
    onsets -= onsets.mean()
    autocorrelation = np.correlate(onsets, onsets, "full")[len(onsets) - 1 :]
    mean = power[:, : edges[-1]].mean(axis=0)
    low = mean[: round(_LOW_HZ / hz_per_bin)].sum() / max(float(mean.sum()), 1e-30)
    return np.array(
        [
            level.std(),
            np.subtract(*np.percentile(level, [90.0, 10.0])),
            np.abs(np.diff(level)).mean(),
            bands.std(axis=0).mean(),
            np.linalg.eigvalsh(covariance)[-1] / max(float(np.trace(covariance)), 1e-9),
            autocorrelation[slice(*_BEAT_FRAMES)].max() / max(float(autocorrelation[0]), 1e-9),
            10.0 * np.log10(max(float(low), 1e-6)),
        ]
    )


def _floored_db(energy: NDArray[np.float64]) -> NDArray[np.float64]:
    db = 10.0 * np.log10(np.maximum(energy, 1e-30))
    return np.maximum(db, np.percentile(db, _LOUD_PERCENTILE, axis=0) - _RANGE_DB)
