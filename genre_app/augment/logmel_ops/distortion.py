"""Clipping and lossy coding of log-mel spectrograms."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Generator, Tensor

from genre_app.augment.logmel_ops.scale import band_centres, band_edges, band_octaves, band_widths, from_power, normal, to_power
from genre_app.features import FeatureSpec

_LINEAR_BINS = 513  # frequencies at which the distortion is computed: an FFT of 1024
_MOST_CREST = 6.0  # clipping further out than 6 standard deviations changes nothing

# A codec's edges, set by hand and steep: bands under its range lose `_RANGE_SLOPE` dB for each dB, bands over its cutoff
# `_CUTOFF_DB` per octave, none more than `_MOST_LOST_DB`.
_RANGE_SLOPE = 3.0
_CUTOFF_DB = 400.0
_MOST_LOST_DB = 60.0


@lru_cache(maxsize=16)
def _linear_axis(spec: FeatureSpec, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return matrices from mel bands to the density at evenly spaced frequencies [bins, linear], and back [linear, bins]."""
    cpu = torch.device("cpu")
    centres, edges, widths = (of(spec, cpu).double().numpy() for of in (band_centres, band_edges, band_widths))
    frequencies = np.linspace(0.0, spec.sample_rate / 2.0, _LINEAR_BINS)
    inside = (frequencies >= edges[0]) & (frequencies <= edges[-1])
    # Interpolation is linear, so its responses to the unit vectors are the rows of its matrix.
    there = np.stack([np.interp(frequencies, centres, unit) for unit in np.eye(len(centres))]) * inside
    back = np.stack([np.interp(centres, frequencies, unit) for unit in np.eye(_LINEAR_BINS)])
    if spec.mel_norm != "slaney":  # a band is then the sum over its width, not the mean
        there, back = there / widths[:, None], back * widths
    return torch.from_numpy(there).float().to(device), torch.from_numpy(back).float().to(device)


def clip(db: Tensor, headroom_db: Tensor, spec: FeatureSpec) -> Tensor:
    """Change log-mel spectrograms as clipping a normally distributed waveform does.

    The more of a frame is clipped, the softer it becomes. The distortion is spread over the frequencies like the third power of
    the waveform: sums and differences of the frequencies that sound.

    Parameters
    ----------
    db : Tensor [b, bins, frames]
    headroom_db : Tensor [b]
        Level of clipping over the RMS of the item: 6 dB clips 5 % of the samples of evenly loud music.
    spec : FeatureSpec

    References
    ----------
    Bussgang 1952, Crosscorrelation functions of amplitude-distorted Gaussian signals; Price 1958, A useful theorem.
    """
    power = to_power(db * (2.0 / spec.power))
    there, back = _linear_axis(spec, db.device)
    density = power.transpose(1, 2) @ there  # [b, frames, linear]
    total = density.sum(dim=2).clamp(min=1e-20)
    ceiling = (total.mean(dim=1) * to_power(headroom_db))[:, None]
    crest = (ceiling / total).sqrt().clamp(max=_MOST_CREST)  # of each frame, in standard deviations
    inside = torch.erf(crest / math.sqrt(2.0))  # gain of the undistorted part
    kept = inside - math.sqrt(2.0 / math.pi) * crest * torch.exp(-crest.square() / 2.0) + crest.square() * (1.0 - inside)
    distortion = (kept - inside.square()).clamp(min=0.0)  # share of the frame's power
    correlation = torch.fft.irfft(density, dim=2)
    correlation = correlation / correlation[:, :, :1].clamp(min=1e-30)
    spread = torch.fft.rfft(correlation.pow(3), dim=2).real.clamp(min=0.0)
    spread = spread / spread.sum(dim=2, keepdim=True).clamp(min=1e-20) * (total * distortion)[:, :, None]
    clipped = power * inside.square()[:, None, :] + (spread @ back).transpose(1, 2)
    return from_power(clipped) * (spec.power / 2.0)


def code(
    db: Tensor, range_db: Tensor, cutoff_hz: Tensor, scatter_db: Tensor, spec: FeatureSpec, generator: Generator
) -> Tensor:
    """Drop what a lossy codec has no bits for, and quantise the rest.

    Parameters
    ----------
    db : Tensor [b, bins, frames]
    range_db : Tensor [b]
        Bands lower than this under the loudest band of their frame are attenuated, more the lower they are.
    cutoff_hz : Tensor [b]
        Frequency above which bands are attenuated.
    scatter_db : Tensor [b]
        Standard deviation of the error of quantisation.
    spec : FeatureSpec
    generator : torch.Generator
    """
    wide = (band_octaves(spec, db.device)[None, :] - torch.log2(cutoff_hz / 1000.0)[:, None]).clamp(min=0.0)
    level = db * (2.0 / spec.power)
    short = (level.amax(dim=1, keepdim=True) - range_db[:, None, None] - level).clamp(min=0.0)
    lost = (_RANGE_SLOPE * short + _CUTOFF_DB * wide[:, :, None]).clamp(max=_MOST_LOST_DB)
    return (level - lost + scatter_db[:, None, None] * normal(tuple(db.shape), generator)) * (spec.power / 2.0)
