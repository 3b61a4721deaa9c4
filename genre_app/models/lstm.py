"""LSTM networks over the frames of a segment."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from genre_app.models.base import Size, register
from genre_app.models.cnn import conv_blocks_3x3, through
from genre_app.models.convolutions import check_blocks, fitted_pools
from genre_app.models.ensemble import Ensemble, EnsembleSettings


class LSTMSettings(EnsembleSettings):
    """Settings of `LSTM`.

    Attributes
    ----------
    units : tuple of int
        Cells of each LSTM layer, in each direction.
    bidirectional : bool
        Each layer processes the segment forwards and backwards.
    dropout : float
        Share of each LSTM layer's outputs that is dropped in training.
    readout : {"last", "mean", "attention"}
        Input of the classifier: the last output of the last layer (of each direction), the mean of its outputs, or their mean
        with learned weights.
    channels : tuple of int
        Feature maps of each convolution block before the first LSTM layer; empty: no convolution.
    pools : tuple of (int, int)
        Max-pooling of each convolution block over (bins, frames).
    projection : int
        Units of a dense layer before the first LSTM layer; 0: no such layer.
    fit_pools : bool
        Shorten pools that are longer than the remaining input instead of refusing the input.
    """

    units: tuple[Size, ...] = Field((128, 32), min_length=1, max_length=8)
    bidirectional: bool = False
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    readout: Literal["last", "mean", "attention"] = "last"
    channels: tuple[Size, ...] = Field((), max_length=12)
    pools: tuple[tuple[Size, Size], ...] = Field((), max_length=12)
    projection: int = Field(0, ge=0, le=4096)
    fit_pools: bool = False


class _Recurrent(nn.Module):
    def __init__(self, n_views: int, n_bins: int, n_frames: int, n_genres: int, settings: LSTMSettings) -> None:
        super().__init__()
        check_blocks(settings.channels, settings.pools)
        pools, (n_left, _) = fitted_pools((n_bins, n_frames), settings.pools, fit=settings.fit_pools)
        sizes = (n_views, *settings.channels)
        self.blocks = conv_blocks_3x3(sizes, pools)
        width = sizes[-1] * n_left
        self.projection = None
        if settings.projection:
            self.projection = nn.Sequential(nn.Linear(width, settings.projection), nn.ReLU(), nn.Dropout(settings.dropout))
            width = settings.projection
        self.layers = nn.ModuleList()
        for n_units in settings.units:
            self.layers.append(nn.LSTM(width, n_units, batch_first=True, bidirectional=settings.bidirectional))
            width = n_units * (2 if settings.bidirectional else 1)
        self.dropout = nn.Dropout(settings.dropout)
        self.readout = settings.readout
        if self.readout == "attention":
            self.attention = nn.Linear(width, 1)
        self.head = nn.Linear(width, n_genres)

    def forward(self, views: Tensor) -> Tensor:  # [b, v, bins, frames] -> [b, genres]
        x = through(self.blocks, views) if len(self.blocks) else views
        x = x.flatten(1, 2).transpose(1, 2)  # [b, frames, channels * bins]
        if self.projection is not None:
            x = self.projection(x)
        last = x
        for layer in self.layers:
            x, (state, _) = layer(x.contiguous())
            last = state.transpose(0, 1).flatten(1)  # of each direction, [b, width]
            x = self.dropout(x)
        logits: Tensor = self.head(self.read(x, self.dropout(last)))
        return logits

    def read(self, x: Tensor, last: Tensor) -> Tensor:
        """Reduce the outputs [b, frames, width] to the input of the classifier [b, width]."""
        if self.readout == "last":
            return last
        if self.readout == "mean":
            return x.mean(dim=1)
        return (torch.softmax(self.attention(x), dim=1) * x).sum(dim=1)


@register("lstm")
class LSTM(Ensemble):
    """Convolution blocks if any, LSTM layers over the frames, one dense layer."""

    Settings = LSTMSettings
    Member = _Recurrent
