"""What loudspeakers, microphones and the processing of speech behind them do to a waveform.

The counterparts of `genre_app.augment.spectrogram_recording`, which say more of each and where it comes from.
"""

from __future__ import annotations

import librosa
import numpy as np
import scipy  # whose parts load when they are first used: scipy.signal takes a second
from numpy.random import Generator
from numpy.typing import NDArray

from genre_app.augment import suppressor

Samples = NDArray[np.float32]

_BLOCK_SECONDS = 0.01  # in which levels are measured
_LOUDNESS_SECONDS = 0.1  # over which gain control takes the mean
_WINDOW_SECONDS = 0.046  # of the suppressor
_SUPPRESS_BANDS = 64  # of the mel axis; it decides by the mean of three
_LEVEL_SECONDS = 0.05  # time constant with which their levels are followed
_SILENCE = 1e-12  # power


def respond(
    samples: Samples, sample_rate: int, low_hz: float, high_hz: float, slope_db: float, curve_db: NDArray[np.float64]
) -> Samples:
    """Filter by the response of a small loudspeaker or microphone; without delay.

    Parameters
    ----------
    samples : numpy.ndarray, float32 [n]
    sample_rate : int
        Hz.
    low_hz, high_hz : float
        Under and over which it falls.
    slope_db : float
        By how much, per octave.
    curve_db : numpy.ndarray [k]
        Its unevenness, at frequencies from 60 Hz to half the sample rate that are evenly spaced in octaves.
    """
    padded = scipy.fft.next_fast_len(len(samples) + sample_rate // 4, real=True)  # the end must not ring into the beginning
    octaves = np.log2(np.maximum(scipy.fft.rfftfreq(padded, 1 / sample_rate), 20.0))
    knots = np.linspace(np.log2(60.0), np.log2(sample_rate / 2), len(curve_db))
    gain_db = np.interp(octaves, knots, curve_db)
    gain_db -= slope_db * (np.maximum(np.log2(low_hz) - octaves, 0.0) + np.maximum(octaves - np.log2(high_hz), 0.0))
    spectrum = scipy.fft.rfft(samples, padded) * (10.0 ** (gain_db / 20.0)).astype(np.float32)
    return np.asarray(scipy.fft.irfft(spectrum, padded)[: len(samples)], dtype=np.float32)


def add_coloured(samples: Samples, sample_rate: int, snr_db: float, slope_db: float, rng: Generator) -> Samples:
    """Add noise that falls or rises by ``slope_db`` per octave over 20 Hz, ``snr_db`` under the samples in mean power."""
    padded = scipy.fft.next_fast_len(max(2, len(samples)), real=True)
    spectrum = scipy.fft.rfft(rng.standard_normal(padded, dtype=np.float32))
    octaves = np.log2(np.maximum(scipy.fft.rfftfreq(padded, 1 / sample_rate), 20.0) / 1000.0)
    noise = scipy.fft.irfft(spectrum * 10.0 ** (slope_db * octaves / 20.0), padded)[: len(samples)]
    level = np.sqrt(_power(samples) / max(_power(noise), _SILENCE) * 10.0 ** (-snr_db / 10.0))
    return np.asarray(samples + level * noise, dtype=np.float32)


def clip(samples: Samples, share: float) -> Samples:
    """Cut off the peaks, so that ``share`` of the samples lie at the edge."""
    ceiling = float(np.quantile(np.abs(samples), 1.0 - share)) if len(samples) else 0.0
    return np.asarray(np.clip(samples, -ceiling, ceiling), dtype=np.float32) if ceiling > 0 else samples


def limit(samples: Samples, sample_rate: int, threshold_db: float, release_db: float) -> Samples:
    """Turn down what is ``threshold_db`` over the mean level, at once, and up again by ``release_db`` a second."""
    power = _blocks(samples, sample_rate)
    over = np.maximum(_db(power) - _db(power.mean()) - threshold_db, 0.0)
    fall = release_db * _BLOCK_SECONDS * np.arange(len(over))
    return _with_gain(samples, sample_rate, np.asarray(fall - np.maximum.accumulate(over + fall)))


def control_gain(samples: Samples, sample_rate: int, target_dbfs: float, seconds: float, most_db: float) -> Samples:
    """Bring the level to a target with a time constant, by no more than ``most_db``."""
    level = _db(_followed(_blocks(samples, sample_rate), _LOUDNESS_SECONDS / _BLOCK_SECONDS))
    wanted = np.clip(target_dbfs - level, -most_db, most_db)
    return _with_gain(samples, sample_rate, _followed(wanted, seconds / _BLOCK_SECONDS))


def suppress(
    samples: Samples,
    sample_rate: int,
    depth_db: float,
    excess_db: float,
    wander_db: float,
    scatter_db: float,
    rng: Generator,
) -> Samples:
    """Push down by ``depth_db`` what is steady: less than ``excess_db`` over the lower quartile of the last seconds' levels.

    That threshold wanders, with a standard deviation of ``wander_db`` for all frequencies at once and besides with one of
    ``scatter_db`` for each part of the spectrum. The suppressor is switched on with the first sample.
    """
    window = 2 * round(_WINDOW_SECONDS * sample_rate / 2)
    if len(samples) < 2 * window:
        return samples
    hop = window // 4
    _, _, spectrum = scipy.signal.stft(samples, sample_rate, nperseg=window, noverlap=window - hop)  # [bins, frames]
    step_seconds = hop / sample_rate
    filters = librosa.filters.mel(sr=sample_rate, n_fft=window, n_mels=_SUPPRESS_BANDS)
    power = filters @ np.square(np.abs(spectrum))
    level = _db(_followed(power, _LEVEL_SECONDS / step_seconds))  # a window's levels fluctuate, those of some windows less
    steps = min(round(suppressor.HISTORY_SECONDS / step_seconds), level.shape[1] - 1)
    history = np.concatenate([level[:, steps:0:-1], level], axis=1)  # what was before the start, played backwards
    windows = np.lib.stride_tricks.sliding_window_view(history, steps + 1, axis=1)
    lower_quartile = windows.mean(axis=2) - suppressor.LOWER_QUARTILE * windows.std(axis=2)
    mind = wander_db * _wander(1, level.shape[1], suppressor.WANDER_SECONDS / step_seconds, rng)
    parts = scatter_db * _wander(suppressor.SCATTER_KNOTS, level.shape[1], suppressor.SCATTER_SECONDS / step_seconds, rng)
    places = np.linspace(0.0, suppressor.SCATTER_KNOTS - 1.0, _SUPPRESS_BANDS)
    apart = scipy.interpolate.interp1d(np.arange(suppressor.SCATTER_KNOTS), parts, axis=0)(places)
    excess = scipy.ndimage.uniform_filter1d(level - lower_quartile, 3, axis=0) - excess_db - mind - apart
    adapted = 1.0 - np.exp(-step_seconds * np.arange(level.shape[1]) / suppressor.ADAPTED_SECONDS)
    gain_db = -depth_db * adapted * scipy.special.expit(-excess / suppressor.SLOPE_DB)
    centres = librosa.mel_frequencies(n_mels=_SUPPRESS_BANDS + 2, fmax=sample_rate / 2)[1:-1]
    hz = np.linspace(0.0, sample_rate / 2, len(spectrum)).clip(centres[0], centres[-1])
    spectrum *= 10.0 ** (scipy.interpolate.interp1d(centres, gain_db, axis=0)(hz) / 20.0)
    _, changed = scipy.signal.istft(spectrum, sample_rate, nperseg=window, noverlap=window - hop)
    return np.asarray(changed[: len(samples)], dtype=np.float32)


def _power(samples: NDArray[np.floating]) -> float:
    return float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0


def _db(power: NDArray[np.floating] | np.floating) -> NDArray[np.float64]:
    return np.asarray(10.0 * np.log10(np.maximum(power, _SILENCE)), dtype=np.float64)


def _blocks(samples: Samples, sample_rate: int) -> NDArray[np.float64]:
    """Mean power of each block, the last one filled up with its like."""
    block = max(1, round(_BLOCK_SECONDS * sample_rate))
    count = -(-len(samples) // block)
    padded = np.pad(samples.astype(np.float64), (0, count * block - len(samples)), mode="symmetric" if count > 1 else "edge")
    return np.asarray(np.square(padded).reshape(count, block).mean(axis=1))


def _followed(values: NDArray[np.float64], steps: float) -> NDArray[np.float64]:
    """Follow values [..., n] with a time constant of so many, from the first on."""
    kept = float(np.exp(-1.0 / steps))
    start = values[..., :1] * kept
    return np.asarray(scipy.signal.lfilter([1.0 - kept], [1.0, -kept], values, zi=start)[0])


def _wander(count: int, length: int, steps: float, rng: Generator) -> NDArray[np.float64]:
    """Draw processes [count, length] of mean 0 and variance 1 that forget with a time constant of so many steps."""
    drawn = _followed(rng.standard_normal((count, length + round(5 * steps))), steps)[:, -length:]
    return drawn / float(np.sqrt(np.tanh(0.5 / steps)))


def _with_gain(samples: Samples, sample_rate: int, gain_db: NDArray[np.float64]) -> Samples:
    """Change samples by a gain that is given for each block, at its centre."""
    block = max(1, round(_BLOCK_SECONDS * sample_rate))
    gains = np.interp(np.arange(len(samples)), (np.arange(len(gain_db)) + 0.5) * block, gain_db)
    return (samples * 10.0 ** (gains / 20.0)).astype(np.float32)
