"""Detect speech, which gets no genre.

Speech differs from music in how it changes. Its spectrum changes with each sound of the voice, four to eight times a second;
its level falls between words; and no beat repeats. Features measure this over 5 to 10 s, and a logistic regression weighs them.

References
----------
Scheirer and Slaney (1997), "Construction and evaluation of a robust multifeature speech/music discriminator", ICASSP.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from torchaudio import functional as AF

MIN_SAMPLE_RATE = 16000
"""Hz; below, the upper bands are missing, and nothing is said."""

MIN_SECONDS = 5.0
"""Shorter audio is not judged: its features vary too much."""

_FRAME_SECONDS = 0.0464  # 1024 samples at 22 050 Hz; frames overlap by half
_BANDS = (40, 60.0, 7500.0)  # mel bands: number, lowest and highest Hz
_N_CEPSTRA = 16
_RANGE_DB = 60.0  # below the loud frames: what is softer counts as silence
_LOUD_PERCENTILE = 95.0
_LEAST_DB = -130.0  # level of a band; softer audio is digital silence and rounding errors
_GROUP = 5  # mel bands whose mean level is followed over time
_MODULATION_HZ = (0.3, 1.0, 2.0, 3.0, 4.5, 6.2, 10.0, 20.0)  # edges of the ranges of modulation; syllables are at 2 to 8 Hz
_BEAT_SECONDS = ((0.25, 2.0), (2.0, 4.0))  # lags of beats, and of bars

# Fitted by `python -m tests.speech`; train/RESULTS.md has the command and the results: of held-out sources 99.5 % of 200 clips
# of synthetic speech, 97.8 % of 324 of recorded speech and 0.5 % of 641 of music are rejected.
# fmt: off
WEIGHTS = np.array([
    -0.05253, -0.001964, -0.1385, -0.03542, -0.1147, -0.09616, -0.0531, -0.1202, -0.007227, -0.03811, -0.05313, -0.1661,
    -0.0606, 0.05531, -0.1847, 0.01784, 0.1537, -0.09368, 0.374, 0.1379, 0.1078, 0.1465, -0.03726, 0.0251, -0.2054, -0.1736,
    -0.4905, -0.2073, -0.5187, -0.4034, -0.7111, -0.05402, 0.1296, 0.000218, 0.2802, 0.1339, 0.1452, 0.2661, 0.0577, 0.418,
    0.0478, 0.2159, -0.1596, 0.2919, 0.03223, 0.3272, 0.6255, 3.61, 1.922, 0.4393, 1.316, 0.3205, -0.9667, -1.56, -11.13,
    -10.71, -1.04, 0.2063,
])
# fmt: on
BIAS = 1.105


def is_speech(samples: NDArray[np.float32], sample_rate: int) -> bool | None:
    """Return whether a piece of audio is speech.

    Parameters
    ----------
    samples : numpy.ndarray, float32 [n]
        About 10 s.
    sample_rate : int
        Hz.

    Returns
    -------
    bool or None
        None if there is too little sound, or the sample rate is too low.
    """
    features = speech_features(samples, sample_rate)
    return None if features is None else bool(features @ WEIGHTS + BIAS > 0.0)


def speech_features(samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.float64] | None:
    """Measure how the spectrum changes over time; the level has no influence.

    Parameters
    ----------
    samples : numpy.ndarray, float32 [n]
    sample_rate : int
        Hz.

    Returns
    -------
    numpy.ndarray, float64 [58], or None
        Of the mel cepstrum: mean of coefficients 1 to 15, standard deviation of coefficients 0 to 15 and of their changes over
        two frames. Of the level in groups of bands: share of the variance in each range of `_MODULATION_HZ`, as a logarithm.
        Of the onsets: largest autocorrelation at the lags of beats and of bars, standard deviation, skewness. None if there is
        too little sound, or the sample rate is too low.
    """
    if sample_rate < MIN_SAMPLE_RATE or not np.isfinite(samples).all():
        return None
    db, frame_rate = _sounding_bands(samples, sample_rate)
    if len(db) < (MIN_SECONDS - 2 * _FRAME_SECONDS) * frame_rate:
        return None
    cepstrum = db @ _cosines()
    changes = cepstrum[2:] - cepstrum[:-2]
    onsets = np.maximum(0.0, np.diff(db, axis=0)).mean(axis=1)
    return np.concatenate(
        [
            cepstrum[:, 1:].mean(axis=0),
            cepstrum.std(axis=0),
            changes.std(axis=0),
            _modulation(db, frame_rate),
            _beats(onsets - onsets.mean(), frame_rate),
        ]
    )


def _sounding_bands(samples: NDArray[np.float32], sample_rate: int) -> tuple[NDArray[np.float64], float]:
    """Return levels of mel bands in dB [frames, bands] without silence at both ends, and the number of frames a second."""
    hop = 16 * round(sample_rate * _FRAME_SECONDS / 32)  # a multiple of 16 keeps the FFT fast
    n_fft = 2 * hop
    if len(samples) < n_fft:
        return np.empty((0, _BANDS[0])), sample_rate / hop
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float32, copy=False), n_fft)[::hop]
    window = np.hanning(n_fft + 1)[:-1].astype(np.float32)
    spectra = np.fft.rfft(frames * window)
    # Scaled so that the sample rate has no influence; a sine of amplitude 1 has about 1 / 4 in its largest bin.
    power = (spectra.real**2 + spectra.imag**2) * np.float32(1.0 / hop**2)
    db = 10.0 * np.log10(np.maximum(power @ _filterbank(n_fft, sample_rate), 1e-30)).astype(np.float64)
    loudest = db.max(axis=1)
    floor = max(float(np.percentile(loudest, _LOUD_PERCENTILE)) - _RANGE_DB, _LEAST_DB)
    heard = np.flatnonzero(loudest > floor)
    if not len(heard):
        return np.empty((0, _BANDS[0])), sample_rate / hop
    return np.maximum(db[heard[0] : heard[-1] + 1], floor), sample_rate / hop


def _modulation(db: NDArray[np.float64], frame_rate: float) -> NDArray[np.float64]:
    groups = db.reshape(len(db), -1, _GROUP).mean(axis=2)
    groups = (groups - groups.mean(axis=0)) * np.hanning(len(db))[:, None]
    power = (np.abs(np.fft.rfft(groups, axis=0)) ** 2).mean(axis=1)
    edges = np.searchsorted(np.fft.rfftfreq(len(db), 1.0 / frame_rate), _MODULATION_HZ)
    shares = np.add.reduceat(power[: edges[-1]], edges[:-1]) / max(float(power.sum()), 1e-30)
    return np.asarray(np.log10(shares + 1e-6))


def _beats(onsets: NDArray[np.float64], frame_rate: float) -> NDArray[np.float64]:
    spectrum = np.abs(np.fft.rfft(onsets, 2 * len(onsets))) ** 2
    correlation = np.fft.irfft(spectrum)[: len(onsets)]
    lags = [correlation[round(low * frame_rate) : round(high * frame_rate)].max() for low, high in _BEAT_SECONDS]
    deviation = max(float(onsets.std()), 1e-9)
    return np.array([*(np.array(lags) / max(float(correlation[0]), 1e-9)), deviation, np.mean((onsets / deviation) ** 3)])


@lru_cache(maxsize=8)
def _filterbank(n_fft: int, sample_rate: int) -> NDArray[np.float32]:
    n_bands, lowest, highest = _BANDS
    weights = AF.melscale_fbanks(1 + n_fft // 2, lowest, highest, n_bands, sample_rate, norm="slaney", mel_scale="slaney")
    return np.asarray(weights.numpy(), np.float32) * np.float32(sample_rate / n_fft)


@lru_cache(maxsize=1)
def _cosines() -> NDArray[np.float64]:
    """Return the orthonormal discrete cosine transform [bands, coefficients]."""
    n_bands = _BANDS[0]
    angles = np.pi / n_bands * np.outer(np.arange(n_bands) + 0.5, np.arange(_N_CEPSTRA))
    return np.asarray(np.cos(angles) * np.sqrt(np.where(np.arange(_N_CEPSTRA) == 0, 1.0, 2.0) / n_bands))
