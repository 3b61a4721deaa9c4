"""Ensembles: networks of one kind, each on its own view of the features, whose probabilities are averaged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from genre_app.models.base import GenreModel, ModelSettings
from genre_app.models.precision import without_autocast

View = Literal["plain", "centred", "contrast", "both"]
_SEEN = {"plain": slice(0, 1), "centred": slice(0, 1), "contrast": slice(1, 2), "both": slice(0, 2)}


def centred_and_contrast(x: Tensor, contrast_bins: int) -> Tensor:
    """Return two views [b, 2, bins, frames] of a standardised spectrogram [b, bins, frames].

    *Centred*: each bin minus its mean over the segment, which keeps changes in time. *Contrast*: each value minus the mean of
    the ``contrast_bins`` bins around it, which keeps peaks in frequency.
    """
    n_bins, half = x.shape[1], contrast_bins // 2
    # The local mean over bins is linear, so its responses to the unit vectors are the columns of its matrix.
    units = F.pad(torch.eye(n_bins, device=x.device)[None], (half, half), mode="replicate")
    mean_around = F.avg_pool1d(units, contrast_bins, stride=1)[0].T  # [bins out, bins in]
    return torch.stack([x - x.mean(dim=2, keepdim=True), x - mean_around @ x], dim=1)


def masked(db: Tensor, depth_db: float) -> Tensor:
    """Raise each bin of features [b, bins, frames] in dB to a soft floor, ``depth_db`` below its mean power over the segment.

    In recordings, noise and rooms cover the values below that floor. A network that never gets them loses less in a recording.

    References
    ----------
    Klatt 1976, A digital filter bank for spectral matching: noise masking.
    """
    nepers = math.log(10.0) / 10.0
    log_power = db * nepers
    mean = torch.logsumexp(log_power, dim=2, keepdim=True) - math.log(db.shape[2])
    return torch.logaddexp(log_power, mean - depth_db * nepers) / nepers


def joined_logits(heads: Tensor) -> Tensor:
    """Return logits [b, genres] whose softmax is the mean of the probabilities of several heads [heads, b, genres]."""
    return torch.logsumexp(torch.log_softmax(heads.float(), dim=-1), dim=0)


class EnsembleSettings(ModelSettings):
    """Settings of `Ensemble`.

    Attributes
    ----------
    views : tuple of {"plain", "centred", "contrast", "both"}
        One member network for each view; the output is the mean of the members' probabilities. "plain" is the features
        themselves; the other views have no absolute level.
    contrast_bins : int
        Number of bins in the local mean of the contrast view; odd.
    masking_db : float or None
        Depth of a soft floor below the mean power of each bin over the segment, for features in dB. None: no floor.
    """

    views: tuple[View, ...] = Field(("plain",), min_length=1, max_length=32)
    contrast_bins: int = Field(21, ge=3, le=255)
    masking_db: float | None = Field(None, ge=0.0, le=100.0)


class Ensemble(GenreModel):
    """Member networks from views [b, v, bins, frames] to logits [b, genres]; a subclass defines `Member`.

    ``Member(n_views, n_bins, n_frames, n_genres, settings)`` is the class of the member networks.

    Parameters
    ----------
    n_bins, n_frames, n_genres : int
    settings : EnsembleSettings
    """

    Settings = EnsembleSettings
    Member: ClassVar[type[nn.Module]]

    def __init__(self, n_bins: int, n_frames: int, n_genres: int, settings: EnsembleSettings) -> None:
        super().__init__(n_bins, n_frames, n_genres, settings)
        if settings.contrast_bins % 2 == 0:
            raise ValueError(f"contrast_bins must be odd, got {settings.contrast_bins}")
        self.is_plain = set(settings.views) == {"plain"}
        if not self.is_plain and "plain" in settings.views:
            raise ValueError("the view plain keeps the level that the other views leave out; choose plain alone or the others")
        self.contrast_bins, self.masking_db = settings.contrast_bins, settings.masking_db
        self.seen = [_SEEN[view] for view in settings.views]
        self.members = nn.ModuleList(
            self.Member(seen.stop - seen.start, n_bins, n_frames, n_genres, settings) for seen in self.seen
        )

    def prepare(self, features: Tensor) -> Tensor:
        """Apply the soft floor and, unless the view is plain, subtract the mean of each segment, its level."""
        if self.masking_db is not None:
            features = masked(features, self.masking_db)
        return features if self.is_plain else features - features.mean(dim=(1, 2), keepdim=True)

    def views(self, features: Tensor) -> Tensor:
        """Return the views [b, v, bins, frames] of features [b, bins, frames]."""
        x = self.standardise(features)
        return x[:, None] if self.is_plain else centred_and_contrast(x, self.contrast_bins)

    def training_logits(self, features: Tensor) -> Tensor:
        """Return each member's logits [members, b, genres] for features [b, bins, frames]."""
        with without_autocast(features.device):
            views = self.views(features)
        members = cast(Sequence[nn.Module], self.members)
        return torch.stack([member(views[:, seen]) for member, seen in zip(members, self.seen, strict=True)])

    def logits(self, features: Tensor) -> Tensor:
        """Return logits [b, genres] whose softmax is the mean of the members' probabilities."""
        heads = self.training_logits(features)
        return heads[0] if len(heads) == 1 else joined_logits(heads)
