"""Random draws, decibels, mel bands and smoothing over time, which the other operations are made of."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Generator, Tensor

from genre_app.features import FeatureSpec
from genre_app.features.spectrogram import analysis_window, mel_edges, mel_filterbank


def uniform(low: float, high: float, size: tuple[int, ...], generator: Generator) -> Tensor:
    """Draw uniformly from [low, high) on the generator's device."""
    return torch.rand(size, generator=generator, device=generator.device) * (high - low) + low


def normal(size: tuple[int, ...], generator: Generator) -> Tensor:
    """Draw from the standard normal distribution on the generator's device."""
    return torch.randn(size, generator=generator, device=generator.device)


def gamma(shape: Tensor, drawn: Tensor) -> Tensor:
    """Turn standard normal values into gamma variables of mean 1 and variance ``1 / shape``.

    References
    ----------
    Wilson and Hilferty 1931, The distribution of chi-square.
    """
    spread = 1.0 / (9.0 * shape)
    return (1.0 - spread + spread.sqrt() * drawn).clamp(min=0.0).pow(3)


def to_power(db: Tensor) -> Tensor:
    """Convert dB to power."""
    return torch.exp(db * (math.log(10.0) / 10.0))


def from_power(power: Tensor) -> Tensor:
    """Convert power to dB; power is clamped to at least 1e-20."""
    return torch.log(power.clamp(min=1e-20)) * (10.0 / math.log(10.0))


@lru_cache(maxsize=16)
def band_edges(spec: FeatureSpec, device: torch.device) -> Tensor:
    """Return `mel_edges` on a device."""
    return torch.from_numpy(mel_edges(spec)).float().to(device)


def band_centres(spec: FeatureSpec, device: torch.device) -> Tensor:
    """Return the centre frequency of each mel band in Hz [n_mels]."""
    return band_edges(spec, device)[1:-1]


def band_widths(spec: FeatureSpec, device: torch.device) -> Tensor:
    """Return the equivalent width of each mel band in Hz [n_mels]: half the distance of its edges."""
    edges = band_edges(spec, device)
    return (edges[2:] - edges[:-2]) / 2.0


def band_octaves(spec: FeatureSpec, device: torch.device) -> Tensor:
    """Return the centre of each mel band in octaves above 1 kHz [n_mels]."""
    return torch.log2(band_centres(spec, device).clamp(min=20.0) / 1000.0)


def band_weights(spec: FeatureSpec, device: torch.device) -> Tensor:
    """Return weights of the bands [n_mels] with which their power adds up to that of the waveform, up to a factor."""
    widths = band_widths(spec, device)
    return widths if spec.mel_norm == "slaney" else torch.ones_like(widths)  # slaney bands are means over their width


def mean_power(power: Tensor, spec: FeatureSpec) -> Tensor:
    """Return the power [b] of all bands together, averaged over time, of power values [b, bins, frames]."""
    return torch.einsum("bmt,m->b", power, band_weights(spec, power.device)) / power.shape[-1]


def level_dbfs(db: Tensor, spec: FeatureSpec) -> Tensor:
    """Return the mean power of each frame in dB re full scale [b, frames]: 0 for white noise of standard deviation 1."""
    level, _ = white_bands(spec, db.device)
    power = to_power(db * (2.0 / spec.power))
    weights = band_weights(spec, db.device)
    return from_power(torch.einsum("bmt,m->bt", power, weights) / (level * weights).sum())


@lru_cache(maxsize=16)
def white_bands(spec: FeatureSpec, device: torch.device) -> tuple[Tensor, Tensor]:
    """Describe white noise of variance 1 in each mel band.

    Returns
    -------
    level : Tensor [n_mels]
        Mean power of an FFT bin times the total weight of the band; with ``spec.power`` 2 the mean power of the band.
    independent : Tensor [n_mels]
        Number of independent exponential variables whose mean has the variance of the band's power.
    """
    window = analysis_window(spec.n_fft, torch.device("cpu")).double()
    weights = mel_filterbank(spec, torch.device("cpu")).double()  # [n_fft // 2 + 1, n_mels]
    # The spectrum of the squared window is the correlation of neighbouring FFT bins; powers correlate with its square.
    correlation = torch.fft.fft(window.square()).abs().div(window.square().sum()).square()[: len(weights)]
    variance = correlation[0] * weights.square().sum(dim=0)
    for distance in range(1, 4):  # the bins of a Hann window correlate up to a distance of two
        variance = variance + 2.0 * correlation[distance] * (weights[distance:] * weights[:-distance]).sum(dim=0)
    total = weights.sum(dim=0)
    level = window.square().sum() * total.pow(2.0 / spec.power)
    return level.float().to(device), (total.square() / variance.clamp(min=1e-30)).clamp(min=1.0).float().to(device)


def frame_count(seconds: float, spec: FeatureSpec) -> int:
    """Return the number of frames that last ``seconds``, at least 1."""
    return max(1, round(seconds * spec.sample_rate / spec.hop_length))


def smooth(values: Tensor, seconds: Tensor, spec: FeatureSpec) -> Tensor:
    """Smooth values [b, ..., frames] with a one-pole filter of time constants [b], starting at the first value."""
    frames = torch.arange(values.shape[-1], device=values.device)
    lag = (frames[None, :] - frames[:, None]).float()  # [from, to]
    rate = (spec.hop_length / spec.sample_rate / seconds)[:, None, None]
    kernel = torch.where(lag >= 0, torch.exp(-rate * lag.clamp(min=0)), 0.0) * (1.0 - torch.exp(-rate))
    kernel[:, 0] = torch.exp(-rate[:, 0] * frames)  # as if all values before the start equalled the first one
    return torch.bmm(values.reshape(len(values), -1, len(frames)), kernel).reshape(values.shape)


def random_walk(shape: tuple[int, int, int], seconds: Tensor, spec: FeatureSpec, generator: Generator) -> Tensor:
    """Draw smooth noise [b, n, frames] of mean 0 with correlation times [b] (Ornstein-Uhlenbeck processes).

    The first value is not smoothed. So the variance begins at about ``2 * seconds`` in frames, and falls to 1 in about
    two correlation times. The results of the recipes were measured with this start.
    """
    drawn = smooth(normal(shape, generator), seconds, spec)
    return drawn / torch.tanh(spec.hop_length / spec.sample_rate / (2.0 * seconds)).sqrt()[:, None, None]


def over_bands(knots: Tensor, n_bins: int) -> Tensor:
    """Interpolate knots [b, n, frames], which are evenly spaced over the mel axis, to all bands [b, n_bins, frames]."""
    return torch.nn.functional.interpolate(knots.transpose(1, 2), size=n_bins, mode="linear").transpose(1, 2)
