"""Convolutional networks on spectrograms."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_weights

from genre_app.models.base import GenreModel, ModelSettings, register
from genre_app.models.ensemble import centred_and_contrast, joined_logits

View = Literal["centred", "contrast", "both"]

_ITEMS = 3


class CNNSettings(ModelSettings):
    """Settings of `CNN`.

    Attributes
    ----------
    channels : tuple of int
        Feature maps of each convolution block.
    pools : tuple of (int, int)
        Max-pooling of each block over (bins, frames).
    dropout : float
        Share of the pooled features that training drops.
    views : tuple of {"centred", "contrast", "both"}
        One member network for each; what it sees of the spectrogram. The answer is the mean of the members' probabilities.
    contrast_bins : int
        Bands over which the contrast view takes its local mean; odd.
    masking_db : float or None
        Lay each bin over a floor so many dB under its mean power over the segment; for features in dB. None: as they are.
    """

    channels: tuple[int, ...] = Field((24, 32, 64, 96, 128), min_length=1, max_length=12)
    pools: tuple[tuple[int, int], ...] = Field(((4, 2), (2, 2), (2, 2), (2, 2), (2, 2)), min_length=1, max_length=12)
    dropout: float = Field(0.3, ge=0.0, lt=1.0)
    views: tuple[View, ...] = Field(("both",), min_length=1, max_length=32)
    contrast_bins: int = Field(21, ge=3, le=255)
    masking_db: float | None = Field(None, ge=0.0, le=100.0)


def masked(db: Tensor, depth_db: float) -> Tensor:
    """Lay each bin of features [b, bins, frames] in dB over a floor ``depth_db`` under its mean power over the segment.

    What is softer than that is what noise and rooms fill in, so a network that never sees it misses less in a recording.

    References
    ----------
    Klatt 1976, A digital filter bank for spectral matching: noise masking.
    """
    nepers = math.log(10.0) / 10.0
    log_power = db * nepers
    mean = torch.logsumexp(log_power, dim=2, keepdim=True) - math.log(db.shape[2])
    return torch.logaddexp(log_power, mean - depth_db * nepers) / nepers


class ConvBlock(nn.Module):
    """Convolution 3 x 3, batch norm, max-pool, ReLU; in use the norm is part of the convolution."""

    def __init__(self, n_in: int, n_out: int, pool: tuple[int, int]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(n_out)
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        """Return [b, n_out, bins // pool, frames // pool] for [b, n_in, bins, frames]."""
        if self.training:
            return self.shrink(self.norm(self.conv(x)))
        return self.shrink(F.conv2d(x, *self.fused(), padding=1))

    def shrink(self, x: Tensor) -> Tensor:
        """Pool and rectify."""
        # ReLU and maximum may change places; after pooling there is less to rectify.
        return F.relu(F.max_pool2d(x, self.pool), inplace=True)

    def fused(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of a convolution that does the norm in passing, which in use is a fixed scale and shift."""
        n = self.norm
        mean, variance = cast(Tensor, n.running_mean), cast(Tensor, n.running_var)
        return fuse_conv_bn_weights(self.conv.weight, None, mean, variance, n.eps, n.weight, n.bias)


class _Member(nn.Module):
    def __init__(self, n_genres: int, view: View, settings: CNNSettings) -> None:
        super().__init__()
        self.seen = {"centred": slice(0, 1), "contrast": slice(1, 2), "both": slice(0, 2)}[view]
        sizes = (self.seen.stop - self.seen.start, *settings.channels)
        self.blocks = nn.Sequential(*(ConvBlock(*of) for of in zip(sizes, sizes[1:], settings.pools, strict=False)))
        self.dropout = nn.Dropout(settings.dropout)
        self.head = nn.Linear(sizes[-1], n_genres)

    def forward(self, views: Tensor) -> Tensor:  # [b, 2, bins, frames] -> [b, genres]
        x = views[:, self.seen].contiguous(memory_format=torch.channels_last)
        if self.training:
            x = self.blocks(x)
        else:  # most of the work is moving what comes out of the first block: as few items at a time as stay in the cache
            parts = x.tensor_split(max(1, len(x) // _ITEMS))
            x = self.blocks[1:](torch.cat([self.blocks[0](items) for items in parts]))
        logits: Tensor = self.head(self.dropout(x.mean(dim=(2, 3))))
        return logits


@register("cnn")
class CNN(GenreModel):
    """Convolution blocks [Conv 3 x 3, batch norm, max-pool, ReLU], the mean over what is left, one dense layer.

    What goes in has no absolute level and no fixed frequency response, since those tell the recording more than the genre, and
    a loudspeaker, a room or a microphone changes them: the *centred* view takes from each band its mean over the segment,
    which leaves what moves in time; the *contrast* view takes from each value the mean of the bands around it, which leaves
    what stands out in frequency.
    """

    Settings = CNNSettings

    def __init__(self, n_bins: int, n_frames: int, n_genres: int, settings: CNNSettings) -> None:
        super().__init__(n_bins, n_frames, n_genres, settings)
        if len(settings.channels) != len(settings.pools):
            counts = f"{len(settings.channels)} and {len(settings.pools)}"
            raise ValueError(f"channels and pools must be equally many, got {counts}")
        if settings.contrast_bins % 2 == 0:
            raise ValueError(f"contrast_bins must be odd, got {settings.contrast_bins}")
        self.contrast_bins, self.masking_db = settings.contrast_bins, settings.masking_db
        self.members = nn.ModuleList(_Member(n_genres, view, settings) for view in settings.views)

    def prepare(self, features: Tensor) -> Tensor:
        """Lay the bins over their floors and take out the level of each segment, its mean over all bins and frames."""
        if self.masking_db is not None:
            features = masked(features, self.masking_db)
        return features - features.mean(dim=(1, 2), keepdim=True)

    def views(self, features: Tensor) -> Tensor:
        """Return the centred and the contrast view [b, 2, bins, frames] of features [b, bins, frames]."""
        return centred_and_contrast(self.standardise(features), self.contrast_bins)

    def training_logits(self, features: Tensor) -> Tensor:
        """Return each member's logits [members, b, genres] for features [b, bins, frames]."""
        with torch.autocast(features.device.type, enabled=False):
            views = self.views(features)
        return torch.stack([member(views) for member in self._members()])

    def trunk(self) -> Iterable[nn.Module]:
        """Return the members' convolution blocks."""
        return [member.blocks for member in self._members()]

    def _members(self) -> list[_Member]:
        return cast(list[_Member], list(self.members))

    def logits(self, features: Tensor) -> Tensor:
        """Return logits [b, genres] whose softmax is the mean of the members' probabilities."""
        return joined_logits(self.training_logits(features))
