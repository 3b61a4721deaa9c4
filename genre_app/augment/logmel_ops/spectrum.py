"""Level, pitch, and frequency responses of log-mel spectrograms."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from genre_app.augment.logmel_ops.scale import band_centres, band_octaves, normal, uniform
from genre_app.features import FeatureSpec


def gain(db: Tensor, gain_db: Tensor, spec: FeatureSpec) -> Tensor:
    """Change the level of each item by ``gain_db`` [b]."""
    return db + gain_db[:, None, None] * (spec.power / 2.0)


def floor(db: Tensor, range_db: Tensor, spec: FeatureSpec) -> Tensor:
    """Raise values that are more than ``range_db`` [b] under the item's maximum to this floor."""
    return torch.maximum(db, db.amax(dim=(1, 2), keepdim=True) - range_db[:, None, None] * (spec.power / 2.0))


def pitch_shift(db: Tensor, semitones: Tensor, spec: FeatureSpec) -> Tensor:
    """Shift the pitch of each item by ``semitones`` [b] by warping the mel axis.

    Bands whose source lies outside the mel range get the item's minimum.
    """
    centres = band_centres(spec, db.device).double()
    source = centres / torch.exp2(semitones.double()[:, None] / 12.0)  # frequency that moves to each band [b, bins]
    low = (torch.searchsorted(centres, source, right=True) - 1).clamp(min=0, max=len(centres) - 2)
    share = ((source - centres[low]) / (centres[low + 1] - centres[low])).to(db.dtype)
    below, above = (db.gather(1, index[:, :, None].expand(-1, -1, db.shape[2])) for index in (low, low + 1))
    outside = (source < centres[0]) | (source > centres[-1])
    return torch.where(outside[:, :, None], db.amin(dim=(1, 2), keepdim=True), torch.lerp(below, above, share[:, :, None]))


def equaliser(size: int, range_db: float, knots: int, spec: FeatureSpec, generator: Generator) -> Tensor:
    """Draw smooth responses in dB [size, bins, 1]: lines through ``knots`` random values within ± ``range_db``."""
    values = uniform(-range_db, range_db, (size, 1, knots), generator)
    return torch.nn.functional.interpolate(values, size=spec.n_mels, mode="linear", align_corners=True).transpose(1, 2)


def coloration(size: int, spread_db: float, spec: FeatureSpec, generator: Generator) -> Tensor:
    """Draw rough responses in dB [size, bins, 1], independent in each band, of standard deviation up to ``spread_db``."""
    return spread_db * uniform(0.0, 1.0, (size, 1, 1), generator) * normal((size, spec.n_mels, 1), generator)


def band_limit(low_hz: Tensor, high_hz: Tensor, slope_db: Tensor, spec: FeatureSpec) -> Tensor:
    """Return responses in dB [b, bins, 1] that fall by ``slope_db`` [b] an octave outside ``low_hz`` to ``high_hz`` [b]."""
    octaves = band_octaves(spec, low_hz.device)[None, :]
    below = (torch.log2(low_hz / 1000.0)[:, None] - octaves).clamp(min=0.0)
    above = (octaves - torch.log2(high_hz / 1000.0)[:, None]).clamp(min=0.0)
    return (-slope_db[:, None] * (below + above))[:, :, None]
