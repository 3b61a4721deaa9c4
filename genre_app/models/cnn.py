"""Convolutional networks on spectrograms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_weights

from genre_app.models.base import Size, register
from genre_app.models.convolutions import check_blocks, fitted_pools
from genre_app.models.ensemble import Ensemble, EnsembleSettings, View

_ITEMS = 3  # segments at a time: the output of the first block then fits a 1 MB L2 cache (measured)


class CNNSettings(EnsembleSettings):
    """Settings of `CNN`.

    Attributes
    ----------
    channels : tuple of int
        Feature maps of each convolution block.
    pools : tuple of (int, int)
        Max-pooling of each block over (bins, frames).
    dropout : float
        Share of the pooled features that is dropped in training.
    """

    channels: tuple[Size, ...] = Field((24, 32, 64, 96, 128), min_length=1, max_length=12)
    pools: tuple[tuple[Size, Size], ...] = Field(((4, 2), (2, 2), (2, 2), (2, 2), (2, 2)), min_length=1, max_length=12)
    dropout: float = Field(0.3, ge=0.0, lt=1.0)
    views: tuple[View, ...] = Field(("both",), min_length=1, max_length=32)


class ConvBlock(nn.Module):
    """Convolution 3 x 3, batch norm, max-pool, ReLU; outside training, the norm is merged into the convolution."""

    def __init__(self, n_in: int, n_out: int, pool: tuple[int, ...]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(n_out)
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        """Return [b, n_out, bins // pool, frames // pool] for [b, n_in, bins, frames]."""
        if self.training:
            x = self.norm(self.conv(x))
        else:  # the norm is a fixed scale and shift
            n = self.norm
            mean, variance = cast(Tensor, n.running_mean), cast(Tensor, n.running_var)
            fused = fuse_conv_bn_weights(self.conv.weight, None, mean, variance, n.eps, n.weight, n.bias)
            x = F.conv2d(x, *fused, padding=1)
        # The order does not change the result; after pooling, ReLU has fewer values to process.
        return F.relu(F.max_pool2d(x, self.pool), inplace=True)


def conv_blocks_3x3(sizes: Sequence[int], pools: Sequence[tuple[int, ...]]) -> nn.Sequential:
    """Create a sequence of `ConvBlock`; ``sizes`` are the numbers of input channels and of the feature maps of each block."""
    return nn.Sequential(*(ConvBlock(*of) for of in zip(sizes, sizes[1:], pools, strict=False)))


def through(blocks: nn.Sequential, x: Tensor) -> Tensor:
    """Apply convolution blocks to ``x`` [b, n, bins, frames]."""
    x = x.contiguous(memory_format=torch.channels_last)
    if blocks.training or x.is_cuda:
        passed: Tensor = blocks(x)
    else:  # on a CPU the first block is memory-bound: process few segments at a time so that its output stays in the cache
        parts = x.tensor_split(max(1, len(x) // _ITEMS))
        passed = blocks[1:](torch.cat([blocks[0](items) for items in parts]))
    return passed


class _Member(nn.Module):
    def __init__(self, n_views: int, n_bins: int, n_frames: int, n_genres: int, settings: CNNSettings) -> None:
        super().__init__()
        check_blocks(settings.channels, settings.pools)
        sizes = (n_views, *settings.channels)
        pools, _ = fitted_pools((n_bins, n_frames), settings.pools)
        self.blocks = conv_blocks_3x3(sizes, pools)
        self.dropout = nn.Dropout(settings.dropout)
        self.head = nn.Linear(sizes[-1], n_genres)

    def forward(self, views: Tensor) -> Tensor:  # [b, v, bins, frames] -> [b, genres]
        x = through(self.blocks, views)
        logits: Tensor = self.head(self.dropout(x.mean(dim=(2, 3))))
        return logits


@register("cnn")
class CNN(Ensemble):
    """Convolution blocks [Conv 3 x 3, batch norm, max-pool, ReLU], the mean over bins and frames, one dense layer.

    Level and frequency response depend on the recording more than on the genre: a loudspeaker, a room or a microphone changes
    them. The views remove them. The *centred* view subtracts from each band its mean over the segment, which keeps changes in
    time. The *contrast* view subtracts from each value the mean of the neighbouring bands, which keeps peaks in frequency.
    """

    Settings = CNNSettings
    Member = _Member
