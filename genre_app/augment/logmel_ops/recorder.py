"""Level processing of recorders and browsers on log-mel spectrograms: gain control, noise suppression, limiting."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from genre_app.augment import suppressor
from genre_app.augment.logmel_ops import scale
from genre_app.features import FeatureSpec

_NEIGHBOURS = 1 / 64  # share of the mel axis on either side over which the suppressor averages its decision
_RUNNING_SECONDS = (-2.0, 4.0)  # time that the suppressor has been running at the start; below 0 means just started


def suppress(
    db: Tensor,
    depth_db: Tensor,
    excess_db: Tensor,
    wander_db: Tensor,
    scatter_db: Tensor,
    spec: FeatureSpec,
    generator: Generator,
) -> Tensor:
    """Attenuate steady sound, as the noise suppression of a browser does to music.

    Each band, averaged with its neighbours, is compared with the lower quartile of its level in the last seconds. The less it
    exceeds the quartile, the more it is attenuated. The threshold drifts at random, as the suppressor misjudges music: slowly
    in all bands together, and faster in each part of the spectrum.

    Parameters
    ----------
    db : Tensor [b, bins, frames]
    depth_db : Tensor [b]
        Largest attenuation. A suppressor that was just started reaches it within 2 s.
    excess_db : Tensor [b]
        Mean threshold over the lower quartile, at which half of the depth is reached.
    wander_db : Tensor [b]
        Standard deviation over time of the part of the threshold that all bands share.
    scatter_db : Tensor [b]
        Standard deviation of the part that is independent in 32 parts of the mel axis.
    spec : FeatureSpec
    generator : torch.Generator

    References
    ----------
    Loizou 2013, Speech Enhancement: Theory and Practice: noise estimation by quantiles, as in the suppressor of WebRTC.
    `genre_app.augment.suppressor` has the constants and their source.
    """
    size, n_bins, n_frames = db.shape
    level = db * (2.0 / spec.power)
    level = level - level.mean(dim=(1, 2), keepdim=True)
    history = min(scale.frame_count(suppressor.HISTORY_SECONDS, spec), n_frames - 1)
    extended = torch.nn.functional.pad(level, (history, 0), mode="reflect")  # the sound before the segment is unknown
    mean = torch.nn.functional.avg_pool1d(extended, history + 1, stride=1)
    variance = torch.nn.functional.avg_pool1d(extended.square(), history + 1, stride=1) - mean.square()
    lower_quartile = mean - suppressor.LOWER_QUARTILE * variance.clamp(min=0.0).sqrt()

    def drift(knots: int, seconds: float) -> Tensor:
        return scale.random_walk((size, knots, n_frames), torch.full((size,), seconds, device=db.device), spec, generator)

    common = drift(1, suppressor.WANDER_SECONDS)
    of_parts = scale.over_bands(drift(suppressor.SCATTER_KNOTS, suppressor.SCATTER_SECONDS), n_bins)
    threshold = excess_db[:, None, None] + wander_db[:, None, None] * common + of_parts * scatter_db[:, None, None]
    excess = _over_neighbours(level - lower_quartile, round(_NEIGHBOURS * n_bins)) - threshold
    earliest, latest = _RUNNING_SECONDS
    running = scale.uniform(0.0, latest - earliest, (size, 1), generator) + earliest
    seconds = torch.arange(n_frames, device=db.device) * (spec.hop_length / spec.sample_rate)
    adapted = 1.0 - torch.exp(-(seconds + running.clamp(min=0.0)) / suppressor.ADAPTED_SECONDS)
    gain_db = -(depth_db[:, None] * adapted)[:, None, :] * torch.sigmoid(-excess / suppressor.SLOPE_DB)
    return db + gain_db * (spec.power / 2.0)


def _over_neighbours(values: Tensor, reach: int) -> Tensor:
    """Average values [b, bins, frames] over ``reach`` bands on either side, fewer at the ends."""
    width = 2 * reach + 1
    return torch.nn.functional.avg_pool2d(values[:, None], (width, 1), 1, (reach, 0), count_include_pad=False)[:, 0]


def control_gain(db: Tensor, target_dbfs: Tensor, seconds: Tensor, max_db: Tensor, spec: FeatureSpec) -> Tensor:
    """Move the level slowly to a target, as automatic gain control does: soft passages get louder, loud ones softer.

    Parameters
    ----------
    db : Tensor [b, bins, frames]
    target_dbfs : Tensor [b]
        RMS re full scale.
    seconds : Tensor [b]
        Time constant of the gain.
    max_db : Tensor [b]
        Largest amplification and attenuation.
    spec : FeatureSpec
    """
    level = scale.level_dbfs(db, spec)  # [b, frames]
    bound = max_db[:, None]
    wanted = (target_dbfs[:, None] - level).clamp(min=-bound, max=bound)
    return db + scale.smooth(wanted, seconds, spec)[:, None, :] * (spec.power / 2.0)


def limit(db: Tensor, threshold_db: Tensor, release_db: Tensor, spec: FeatureSpec) -> Tensor:
    """Attenuate levels above a threshold at once, and release the attenuation slowly.

    Parameters
    ----------
    db : Tensor [b, bins, frames]
    threshold_db : Tensor [b]
        Over the mean level of the item.
    release_db : Tensor [b]
        Decibels of attenuation that are released a second.
    spec : FeatureSpec
    """
    level = scale.level_dbfs(db, spec)
    mean = scale.from_power(scale.to_power(level).mean(dim=1, keepdim=True))
    over = (level - mean - threshold_db[:, None]).clamp(min=0.0)
    fall = release_db[:, None] * (spec.hop_length / spec.sample_rate) * torch.arange(db.shape[2], device=db.device)
    reduction = (over + fall).cummax(dim=1).values - fall
    return db - reduction[:, None, :] * (spec.power / 2.0)
