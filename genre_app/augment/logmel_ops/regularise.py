"""Masks, MixStyle and mixup: changes of a batch that no recording has."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from genre_app.augment.logmel_ops.scale import uniform

_LEAST_DEVIATION_DB = 1e-3  # keeps the scale finite where a band is constant


def mask(db: Tensor, bins: int, frames: int, count: int, generator: Generator) -> Tensor:
    """Set ``count`` random stripes of up to ``bins`` bands, and ``count`` of up to ``frames`` frames, to the item's mean.

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


def mix_style(db: Tensor, alpha: float, generator: Generator) -> Tensor:
    """Mix the mean and the standard deviation of each item's bands over time with those of another item.

    Parameters
    ----------
    db : Tensor [b, bins, frames]
    alpha : float
        The item keeps a share of its own statistics that is drawn from Beta(alpha, alpha).
    generator : torch.Generator

    References
    ----------
    Zhou et al. 2021, Domain generalization with MixStyle; Kim et al. 2022, Domain generalization with relaxed instance
    frequency-wise normalization; Schmid et al. 2022, CP-JKU submission to DCASE22 (statistics of bands).
    """
    share = symmetric_beta(alpha, len(db), generator)[:, None, None]
    other = torch.randperm(len(db), generator=generator, device=generator.device)
    deviation, mean = torch.std_mean(db, dim=2, keepdim=True, correction=0)
    deviation = deviation.clamp(min=_LEAST_DEVIATION_DB)
    wanted = torch.lerp(deviation[other], deviation, share)
    return (db - mean) * (wanted / deviation) + torch.lerp(mean[other], mean, share)


def mixup(db: Tensor, targets: Tensor, alpha: float, generator: Generator, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Mix each ``chosen`` [b] item and its targets [b, genres] with another of the batch, by a share from Beta(alpha, alpha).

    References
    ----------
    Zhang et al. 2018, mixup.
    """
    share = symmetric_beta(alpha, len(db), generator)
    other = torch.randperm(len(db), generator=generator, device=generator.device)
    share = torch.where(chosen, torch.maximum(share, 1.0 - share), 1.0)
    mixed = torch.lerp(db[other], db, share[:, None, None])
    return mixed, torch.lerp(targets[other], targets, share[:, None])
