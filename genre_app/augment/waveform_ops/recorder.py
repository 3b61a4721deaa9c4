"""Devices and level processing of recorders and browsers on waveforms.

The counterparts in `genre_app.augment.logmel_ops` describe the models and cite their sources.
"""

from __future__ import annotations

import librosa
import numpy as np
import scipy  # its submodules are imported at first use; scipy.signal takes a second
from numpy.random import Generator
from numpy.typing import NDArray

from genre_app.augment import suppressor

Samples = NDArray[np.float32]

_LOWEST_HZ = 20.0  # below it responses and noise are flat: lowest audible frequency
_CURVE_FROM_HZ = 60.0  # frequency of the first point of a device's response
_BLOCK_SECONDS = 0.01  # length of the blocks that levels are measured in
_LOUDNESS_SECONDS = 0.1  # time constant of the level that gain control measures
_WINDOW_SECONDS = 0.046  # STFT window of the suppressor: about 1024 samples at 22050 Hz
_SUPPRESS_BANDS = 64  # mel bands of the suppressor
_NEIGHBOURS = 3  # bands that a decision is averaged over
_LEVEL_SECONDS = 0.05  # time constant of a band's level
_SILENCE = 1e-12  # power that silence is clamped to


def respond(
    samples: Samples, sample_rate: int, low_hz: float, high_hz: float, slope_db: float, curve_db: NDArray[np.float64]
) -> Samples:
    """Filter by the response of a small loudspeaker or microphone, with zero phase.

    Parameters
    ----------
    samples : numpy.ndarray, float32 [n]
    sample_rate : int
        Hz.
    low_hz, high_hz : float
        Edges of the device's band.
    slope_db : float
        Attenuation per octave outside the band.
    curve_db : numpy.ndarray [k]
        Gain at ``k`` frequencies from 60 Hz to half the sample rate, evenly spaced in octaves.
    """
    padded = scipy.fft.next_fast_len(len(samples) + sample_rate // 4, real=True)  # the end must not wrap around
    octaves = np.log2(np.maximum(scipy.fft.rfftfreq(padded, 1 / sample_rate), _LOWEST_HZ))
    knots = np.linspace(np.log2(_CURVE_FROM_HZ), np.log2(sample_rate / 2), len(curve_db))
    gain_db = np.interp(octaves, knots, curve_db)
    gain_db -= slope_db * (np.maximum(np.log2(low_hz) - octaves, 0.0) + np.maximum(octaves - np.log2(high_hz), 0.0))
    spectrum = scipy.fft.rfft(samples, padded) * (10.0 ** (gain_db / 20.0)).astype(np.float32)
    return np.asarray(scipy.fft.irfft(spectrum, padded)[: len(samples)], dtype=np.float32)


def add_coloured(samples: Samples, sample_rate: int, snr_db: float, slope_db: float, rng: Generator) -> Samples:
    """Add Gaussian noise with a spectral slope.

    Parameters
    ----------
    samples : numpy.ndarray, float32 [n]
    sample_rate : int
        Hz.
    snr_db : float
        Mean power of the samples over mean power of the noise.
    slope_db : float
        Slope of the noise's spectrum per octave above 20 Hz: 0 white, -3 pink, -6 brown.
    rng : numpy.random.Generator
    """
    padded = scipy.fft.next_fast_len(max(2, len(samples)), real=True)
    spectrum = scipy.fft.rfft(rng.standard_normal(padded, dtype=np.float32))
    octaves = np.log2(np.maximum(scipy.fft.rfftfreq(padded, 1 / sample_rate), _LOWEST_HZ) / 1000.0)
    noise = scipy.fft.irfft(spectrum * 10.0 ** (slope_db * octaves / 20.0), padded)[: len(samples)]
    level = np.sqrt(_power(samples) / max(_power(noise), _SILENCE) * 10.0 ** (-snr_db / 10.0))
    return np.asarray(samples + level * noise, dtype=np.float32)


def clip(samples: Samples, share: float) -> Samples:
    """Clip the peaks at the level that ``share`` of the samples exceed."""
    ceiling = float(np.quantile(np.abs(samples), 1.0 - share)) if len(samples) else 0.0
    return np.asarray(np.clip(samples, -ceiling, ceiling), dtype=np.float32) if ceiling > 0 else samples


def limit(samples: Samples, sample_rate: int, threshold_db: float, release_db: float) -> Samples:
    """Attenuate levels above a threshold at once, and release the attenuation by ``release_db`` a second.

    The threshold lies ``threshold_db`` over the mean level.
    """
    power = _blocks(samples, sample_rate)
    over = np.maximum(_db(power) - _db(power.mean()) - threshold_db, 0.0)
    fall = release_db * _BLOCK_SECONDS * np.arange(len(over))
    return _with_gain(samples, sample_rate, np.asarray(fall - np.maximum.accumulate(over + fall)))


def control_gain(samples: Samples, sample_rate: int, target_dbfs: float, seconds: float, max_db: float) -> Samples:
    """Move the level to ``target_dbfs`` with a time constant of ``seconds``, by at most ``max_db``."""
    level = _db(_smooth(_blocks(samples, sample_rate), _LOUDNESS_SECONDS / _BLOCK_SECONDS))
    wanted = np.clip(target_dbfs - level, -max_db, max_db)
    return _with_gain(samples, sample_rate, _smooth(wanted, seconds / _BLOCK_SECONDS))


def suppress(
    samples: Samples, sample_rate: int, depth_db: float, excess_db: float, wander_db: float, scatter_db: float, rng: Generator
) -> Samples:
    """Attenuate steady sound, as the noise suppression of a browser does to music; it starts with the first sample.

    Parameters
    ----------
    samples, sample_rate
        As for `respond`.
    depth_db : float
        Largest attenuation.
    excess_db : float
        Mean threshold: half of the depth is reached where a band's level exceeds its lower quartile by this.
    wander_db, scatter_db : float
        Standard deviation of the threshold over time: of the part that all bands share, and of the parts that differ.
    rng : numpy.random.Generator
    """
    window = 2 * round(_WINDOW_SECONDS * sample_rate / 2)
    if len(samples) < 2 * window:
        return samples
    hop = window // 4
    _, _, spectrum = scipy.signal.stft(samples, sample_rate, nperseg=window, noverlap=window - hop)  # [bins, frames]
    step_seconds = hop / sample_rate
    filters = librosa.filters.mel(sr=sample_rate, n_fft=window, n_mels=_SUPPRESS_BANDS)
    power = filters @ np.square(np.abs(spectrum))
    level = _db(_smooth(power, _LEVEL_SECONDS / step_seconds))
    steps = min(round(suppressor.HISTORY_SECONDS / step_seconds), level.shape[1] - 1)
    history = np.concatenate([level[:, steps:0:-1], level], axis=1)  # reflect what lies before the start
    windows = np.lib.stride_tricks.sliding_window_view(history, steps + 1, axis=1)
    lower_quartile = windows.mean(axis=2) - suppressor.LOWER_QUARTILE * windows.std(axis=2)
    common = wander_db * _random_walk(1, level.shape[1], suppressor.WANDER_SECONDS / step_seconds, rng)
    knots = scatter_db * _random_walk(suppressor.SCATTER_KNOTS, level.shape[1], suppressor.SCATTER_SECONDS / step_seconds, rng)
    places = np.linspace(0.0, suppressor.SCATTER_KNOTS - 1.0, _SUPPRESS_BANDS)
    of_bands = scipy.interpolate.interp1d(np.arange(suppressor.SCATTER_KNOTS), knots, axis=0)(places)
    excess = scipy.ndimage.uniform_filter1d(level - lower_quartile, _NEIGHBOURS, axis=0) - excess_db - common - of_bands
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
    """Return the mean power of each block; the last block is padded by reflection."""
    block = round(_BLOCK_SECONDS * sample_rate)
    count = -(-len(samples) // block)
    padded = np.pad(samples.astype(np.float64), (0, count * block - len(samples)), mode="symmetric" if count > 1 else "edge")
    return np.asarray(np.square(padded).reshape(count, block).mean(axis=1))


def _smooth(values: NDArray[np.float64], steps: float) -> NDArray[np.float64]:
    """Smooth values [..., n] with a one-pole filter of time constant ``steps``, starting at the first value."""
    kept = float(np.exp(-1.0 / steps))
    start = values[..., :1] * kept
    return np.asarray(scipy.signal.lfilter([1.0 - kept], [1.0, -kept], values, zi=start)[0])


def _random_walk(count: int, length: int, steps: float, rng: Generator) -> NDArray[np.float64]:
    """Draw smooth noise [count, length] of mean 0 and variance 1 with a correlation time of ``steps``."""
    drawn = _smooth(rng.standard_normal((count, length + round(5 * steps))), steps)[:, -length:]
    return drawn / float(np.sqrt(np.tanh(0.5 / steps)))


def _with_gain(samples: Samples, sample_rate: int, gain_db: NDArray[np.float64]) -> Samples:
    """Apply a gain in dB [blocks] that holds at the centre of each block and is interpolated between."""
    block = round(_BLOCK_SECONDS * sample_rate)
    gains = np.interp(np.arange(len(samples)), (np.arange(len(gain_db)) + 0.5) * block, gain_db)
    return (samples * 10.0 ** (gains / 20.0)).astype(np.float32)
