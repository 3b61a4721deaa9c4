"""Augmentation of log-mel spectrograms, batched, on the device that the batch is on.

Every function takes dB values ``[b, bins, frames]`` with one parameter per item (``[b]``) or draws its own from an explicit
``torch.Generator``, and returns dB values of the same shape. What adds energy (noise, reverberation) adds it as power.
"""

from __future__ import annotations

import math
from functools import lru_cache

import librosa
import torch
from torch import Generator, Tensor

from genre_app.features import FeatureSpec
from genre_app.features.spectrogram import analysis_window, mel_filterbank


def uniform(low: float, high: float, size: tuple[int, ...], generator: Generator) -> Tensor:
    """Draw uniformly from [low, high) on the generator's device."""
    return torch.rand(size, generator=generator, device=generator.device) * (high - low) + low


def normal(size: tuple[int, ...], generator: Generator) -> Tensor:
    """Draw from the normal distribution of variance 1 on the generator's device."""
    return torch.randn(size, generator=generator, device=generator.device)


def to_power(db: Tensor) -> Tensor:
    """Turn dB into power."""
    return torch.exp(db * (math.log(10.0) / 10.0))


def from_power(power: Tensor) -> Tensor:
    """Turn power into dB; what is under 1e-20 counts as 1e-20."""
    return torch.log(power.clamp(min=1e-20)) * (10.0 / math.log(10.0))


@lru_cache(maxsize=16)
def band_edges(spec: FeatureSpec, device: torch.device) -> Tensor:
    """Edges of the mel bands in Hz [n_mels + 2]: band ``k`` rises from edge ``k``, peaks at ``k + 1``, ends at ``k + 2``."""
    htk = spec.mel_scale == "htk"
    edges = librosa.mel_frequencies(spec.n_mels + 2, fmin=spec.fmin, fmax=spec.fmax, htk=htk)
    return torch.from_numpy(edges).float().to(device)


def band_centres(spec: FeatureSpec, device: torch.device) -> Tensor:
    """Centre frequency of each mel band in Hz [n_mels]."""
    return band_edges(spec, device)[1:-1]


def band_octaves(spec: FeatureSpec, device: torch.device) -> Tensor:
    """Centre of each mel band in octaves above 1 kHz [n_mels]."""
    return torch.log2(band_centres(spec, device).clamp(min=20.0) / 1000.0)


def mean_power(power: Tensor, spec: FeatureSpec) -> Tensor:
    """Mean over time of the power of all bands together [b], each band weighted so that white noise counts evenly per Hz."""
    edges = band_edges(spec, power.device)
    widths = (edges[2:] - edges[:-2]) / 2.0
    weights = widths if spec.mel_norm == "slaney" else torch.ones_like(widths)
    return torch.einsum("bmt,m->b", power, weights) / power.shape[-1]


def gain(db: Tensor, gain_db: Tensor) -> Tensor:
    """Change the level of each item by ``gain_db`` [b]."""
    return db + gain_db[:, None, None]


def pitch_shift(db: Tensor, semitones: Tensor, spec: FeatureSpec) -> Tensor:
    """Shift each item by ``semitones`` [b] as a warp of the mel axis; bands with no source become the item's minimum."""
    centres = band_centres(spec, db.device).double()
    wanted = centres / torch.exp2(semitones.double()[:, None] / 12.0)  # where each band's new content comes from [b, bins]
    low = (torch.searchsorted(centres, wanted, right=True) - 1).clamp(min=0, max=len(centres) - 2)
    share = ((wanted - centres[low]) / (centres[low + 1] - centres[low])).to(db.dtype)
    below, above = (db.gather(1, index[:, :, None].expand(-1, -1, db.shape[2])) for index in (low, low + 1))
    outside = (wanted < centres[0]) | (wanted > centres[-1])
    return torch.where(outside[:, :, None], db.amin(dim=(1, 2), keepdim=True), torch.lerp(below, above, share[:, :, None]))


def add_noise(db: Tensor, snr_db: Tensor, slope_db: Tensor, spec: FeatureSpec, generator: Generator) -> Tensor:
    """Add stationary coloured noise as power.

    Parameters
    ----------
    db : Tensor [b, bins, frames]
    snr_db : Tensor [b]
        Mean power of the item over mean power of the noise.
    slope_db : Tensor [b]
        Slope of the noise's spectrum in dB per octave: 0 white, -3 pink, -6 brown.
    spec : FeatureSpec
    generator : torch.Generator
    """
    octaves = band_octaves(spec, db.device)
    edges = band_edges(spec, db.device)
    # A band that holds k bins of the FFT fluctuates like the mean of k exponential variables: about 5.57 dB / sqrt(k) round a
    # mean in dB that lies lower the more it fluctuates, its mean power being that of the noise.
    independent = ((edges[2:] - edges[:-2]) / 2.0 * spec.n_fft / spec.sample_rate).clamp(min=1.0)
    spread_db = (5.57 / independent.sqrt())[:, None]
    flutter = normal(tuple(db.shape), generator) * spread_db - spread_db.square() * (math.log(10.0) / 20.0)
    noise = to_power(slope_db[:, None, None] * octaves[:, None] + flutter)
    power = to_power(db)
    level = mean_power(power, spec) / mean_power(noise, spec) * to_power(-snr_db)
    return from_power(power + noise * level[:, None, None])


@lru_cache(maxsize=16)
def white_bands(spec: FeatureSpec, device: torch.device) -> tuple[Tensor, Tensor]:
    """Describe what white noise of unit variance is in each mel band.

    Returns
    -------
    level : Tensor [n_mels]
        Mean power of a bin of the Fourier transform times the band's total weight; with ``power`` 2 the band's mean power.
    independent : Tensor [n_mels]
        How many independent exponential variables have a mean that fluctuates as the band does.
    """
    window = analysis_window(spec.n_fft, torch.device("cpu")).double()
    weights = mel_filterbank(spec, torch.device("cpu")).double()  # [n_fft // 2 + 1, n_mels]
    # The window's own spectrum says how far neighbouring bins are alike; the power of one varies by the square of its mean.
    alike = torch.fft.fft(window.square()).abs().div(window.square().sum()).square()[: len(weights)]
    variance = alike[0] * weights.square().sum(dim=0)
    for apart in range(1, 4):  # a Hann window's bins are alike up to two bins apart
        variance = variance + 2.0 * alike[apart] * (weights[apart:] * weights[:-apart]).sum(dim=0)
    total = weights.sum(dim=0)
    level = window.square().sum() * total.pow(2.0 / spec.power)
    return level.float().to(device), (total.square() / variance.clamp(min=1e-30)).clamp(min=1.0).float().to(device)


def add_gaussian(db: Tensor, sigma: Tensor, spec: FeatureSpec, generator: Generator) -> Tensor:
    """Do to log-mel columns what adding Gaussian white noise does to the waveform.

    Exact in mean and variance where the band's signal is spread evenly; columns that share samples fluctuate independently
    here, which they do not quite. With ``power`` 1 the expected level is approximate.

    Parameters
    ----------
    db : Tensor [b, bins, frames]
        dB re 1.0 for samples at full scale 1.0.
    sigma : Tensor [b]
        Standard deviation of the noise, in full scales.
    spec : FeatureSpec
    generator : torch.Generator

    References
    ----------
    Wilson and Hilferty 1931, The distribution of chi-square.
    """
    level, independent = white_bands(spec, db.device)
    noise = (sigma.square()[:, None] * level)[:, :, None]  # mean power [b, bins, 1]
    signal = to_power(db * (2.0 / spec.power))
    # Signal and noise add up as complex amplitudes: a noncentral chi-square with two degrees of freedom a bin, which is one
    # normal variable that the signal shifts, squared, and a chi-square of the other degrees.
    one = noise / (2.0 * independent[:, None])  # power of one degree of freedom
    others = 2.0 * independent[:, None] - 1.0
    shifted = (signal.sqrt() + one.sqrt() * normal(tuple(db.shape), generator)).square()
    spread = 2.0 / (9.0 * others)
    rest = others * (1.0 - spread + spread.sqrt() * normal(tuple(db.shape), generator)).clamp(min=0.0).pow(3)
    return from_power(shifted + one * rest) * (spec.power / 2.0)


def reverberate(db: Tensor, direct_db: Tensor, t60_seconds: Tensor, spec: FeatureSpec) -> Tensor:
    """Smear each item's power over time with an exponentially decaying tail.

    Parameters
    ----------
    db : Tensor [b, bins, frames]
    direct_db : Tensor [b]
        Direct-to-reverberant energy ratio.
    t60_seconds : Tensor [b]
        Time in which the tail falls by 60 dB.
    spec : FeatureSpec
    """
    n_frames = db.shape[2]
    frames = torch.arange(n_frames, device=db.device)
    lag = (frames[None, :] - frames[:, None]).float()  # [from, to]
    rate = math.log(1e6) * spec.hop_length / spec.sample_rate / t60_seconds  # nepers of power per frame, [b]
    tail = torch.where(lag >= 0, torch.exp(-rate[:, None, None] * lag.clamp(min=0)), 0.0)
    tail = tail * ((1.0 - torch.exp(-rate)) * to_power(-direct_db))[:, None, None]
    return from_power(torch.bmm(to_power(db), tail + torch.eye(n_frames, device=db.device)))


def equaliser(size: int, range_db: float, knots: int, spec: FeatureSpec, generator: Generator) -> Tensor:
    """Draw smooth responses in dB [size, bins, 1]: ``knots`` values within ± ``range_db`` joined over the mel axis."""
    values = uniform(-range_db, range_db, (size, 1, knots), generator)
    return torch.nn.functional.interpolate(values, size=spec.n_mels, mode="linear", align_corners=True).transpose(1, 2)


def colour(size: int, spread_db: float, spec: FeatureSpec, generator: Generator) -> Tensor:
    """Draw rough random frequency responses in dB [size, bins, 1]: what a room does, each band for itself."""
    return spread_db * uniform(0.0, 1.0, (size, 1, 1), generator) * normal((size, spec.n_mels, 1), generator)


def band_limit(low_hz: Tensor, high_hz: Tensor, slope_db: Tensor, spec: FeatureSpec) -> Tensor:
    """Responses in dB [b, bins, 1] that fall by ``slope_db`` [b] per octave under ``low_hz`` and over ``high_hz`` [b]."""
    octaves = band_octaves(spec, low_hz.device)[None, :]
    below = (torch.log2(low_hz / 1000.0)[:, None] - octaves).clamp(min=0.0)
    above = (octaves - torch.log2(high_hz / 1000.0)[:, None]).clamp(min=0.0)
    return (-slope_db[:, None] * (below + above))[:, :, None]


def mask(db: Tensor, bins: int, frames: int, count: int, generator: Generator) -> Tensor:
    """Replace ``count`` random stripes of up to ``bins`` bands, and as many of up to ``frames`` frames, with the item's mean.

    References
    ----------
    Park et al. 2019, SpecAugment.
    """
    mean = db.mean(dim=(1, 2), keepdim=True)
    size = db.shape[0]
    for axis, widest in ((1, bins), (2, frames)):
        length = db.shape[axis]
        index = torch.arange(length, device=db.device)
        for _ in range(count):
            width = uniform(0, widest + 1, (size, 1), generator).floor()
            start = (uniform(0, 1, (size, 1), generator) * (length - width + 1)).floor()
            hidden = (index >= start) & (index < start + width)  # [b, length]
            db = torch.where(hidden[:, :, None] if axis == 1 else hidden[:, None, :], mean, db)
    return db


def symmetric_beta(alpha: float, size: int, generator: Generator) -> Tensor:
    """Draw from Beta(alpha, alpha) [size] on the generator's device.

    References
    ----------
    Devroye 1996, Random variate generation in one line of code: a symmetric beta from a Student t by Bailey's formula.
    """
    first, second = uniform(0.0, 1.0, (2, size), generator)
    cosine = torch.cos(2.0 * math.pi * second)
    t_squared = torch.expm1(-torch.log(first) / alpha) * cosine.square()  # over the degrees of freedom
    return 0.5 + 0.5 * torch.sign(cosine) / torch.sqrt(1.0 + 1.0 / t_squared)


def mixup(
    db: Tensor, targets: Tensor, alpha: float, generator: Generator, chosen: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Blend each item and its targets [b, genres] with another of the batch, the share drawn from Beta(alpha, alpha).

    Items that are not ``chosen`` [b] stay as they are.

    References
    ----------
    Zhang et al. 2018, mixup.
    """
    share = symmetric_beta(alpha, len(db), generator)
    other = torch.randperm(len(db), generator=generator, device=generator.device)
    share = torch.maximum(share, 1.0 - share)
    if chosen is not None:
        share = torch.where(chosen, share, 1.0)
    mixed = torch.lerp(db[other], db, share[:, None, None])
    return mixed, torch.lerp(targets[other], targets, share[:, None])
