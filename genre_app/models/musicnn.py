"""The network of Pons and Serra for music tagging: kernels shaped for timbre and for rhythm, then dense connections."""

from __future__ import annotations

from typing import Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from genre_app.models.base import GenreModel, ModelSettings, Size, register

_EPS = 1e-3  # of all batch norms, as published
_FRAMES = 7  # length of the timbral and the middle kernels, as published


class MusicnnSettings(ModelSettings):
    """Settings of `Musicnn`; the defaults are the published network.

    Attributes
    ----------
    timbral_bins : tuple of int
        Height of each timbral kernel; all are 7 frames long.
    timbral_maps : int
        Feature maps of each timbral convolution.
    temporal_frames : tuple of int
        Length of each temporal kernel; all are one bin high.
    temporal_maps : int
        Feature maps of each temporal convolution.
    middle_maps : int
        Feature maps of each of the three middle convolutions.
    dense : int
        Units of the hidden dense layer.
    dropout : float
        Share of the inputs of both dense layers that is dropped in training.
    head : {"penultimate", "all"}
        Inputs of the last layer: the hidden dense layer, or also its own inputs, the maxima and means over time.
    """

    timbral_bins: tuple[Size, ...] = Field((38, 67), min_length=1, max_length=8)
    timbral_maps: Size = 204
    temporal_frames: tuple[Size, ...] = Field((128, 64, 32), min_length=1, max_length=8)
    temporal_maps: Size = 51
    middle_maps: Size = 64
    dense: Size = 200
    dropout: float = Field(0.5, ge=0.0, lt=1.0)
    head: Literal["penultimate", "all"] = "penultimate"


class _Front(nn.Module):
    """Convolution over one channel with zeros around the frames, ReLU, batch norm, maximum over the bins."""

    def __init__(self, n_maps: int, bins: int, frames: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, n_maps, (bins, frames))
        self.norm = nn.BatchNorm2d(n_maps, eps=_EPS)
        self.padding = ((frames - 1) // 2, frames // 2)

    def forward(self, x: Tensor) -> Tensor:  # [b, 1, bins, frames] -> [b, maps, frames]
        x = F.relu(self.conv(F.pad(x, self.padding)), inplace=True)
        pooled: Tensor = self.norm(x).amax(dim=2)
        return pooled


class _Middle(nn.Module):
    """Convolution over the frames, ReLU, batch norm."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(n_in, n_out, _FRAMES, padding=_FRAMES // 2)
        self.norm = nn.BatchNorm1d(n_out, eps=_EPS)

    def forward(self, x: Tensor) -> Tensor:  # [b, n_in, frames] -> [b, n_out, frames]
        normed: Tensor = self.norm(F.relu(self.conv(x), inplace=True))
        return normed


@register("musicnn")
class Musicnn(GenreModel):
    """Timbral and temporal convolutions, three middle convolutions, maximum and mean over time, two dense layers.

    The published network gets 96 mel bands of 16 ms frames as ``log10(10000 * mel + 1)``. Segments may have any length.

    References
    ----------
    Pons and Serra 2019, musicnn: pre-trained convolutional neural networks for music audio tagging.
    """

    Settings = MusicnnSettings

    def __init__(self, n_bins: int, n_frames: int, n_genres: int, settings: MusicnnSettings) -> None:
        super().__init__(n_bins, n_frames, n_genres, settings)
        s = settings
        if n_bins < max(s.timbral_bins):
            raise ValueError(f"the timbral kernels need at least {max(s.timbral_bins)} bins, got {n_bins}; use more mel bands")
        self.input_norm = nn.BatchNorm2d(1, eps=_EPS)
        self.timbral = nn.ModuleList(_Front(s.timbral_maps, bins, _FRAMES) for bins in s.timbral_bins)
        self.temporal = nn.ModuleList(_Front(s.temporal_maps, 1, frames) for frames in s.temporal_frames)
        n_front = len(s.timbral_bins) * s.timbral_maps + len(s.temporal_frames) * s.temporal_maps
        self.middle = nn.ModuleList(_Middle(n_in, s.middle_maps) for n_in in (n_front, s.middle_maps, s.middle_maps))
        n_pooled = 2 * (n_front + 3 * s.middle_maps)
        self.pool_norm = nn.BatchNorm1d(n_pooled, eps=_EPS)
        self.dropout = nn.Dropout(s.dropout)
        self.dense = nn.Linear(n_pooled, s.dense)
        self.dense_norm = nn.BatchNorm1d(s.dense, eps=_EPS)
        self.sees_all = s.head == "all"
        self.head = nn.Linear(s.dense + n_pooled if self.sees_all else s.dense, n_genres)

    def trunk(self) -> list[nn.Module]:
        """Return all convolutions and their batch norms."""
        return [self.input_norm, self.timbral, self.temporal, self.middle]

    def stages(self) -> tuple[tuple[nn.Module, ...], ...]:
        """Return the layers from the output to the input: the last layer, middle and back end, front end."""
        back = (self.middle, self.pool_norm, self.dense, self.dense_norm)
        return (self.head,), back, (self.input_norm, self.timbral, self.temporal)

    def front_end(self, features: Tensor) -> Tensor:
        """Return the timbral and temporal maps [b, maps, frames] of features [b, bins, frames]."""
        x = self.input_norm(self.standardise(features)[:, None])
        return torch.cat([front(x) for front in (*self.timbral, *self.temporal)], dim=1)

    def pooled(self, front: Tensor) -> Tensor:
        """Return maximum and mean over time of the front end's and the middle's maps, [b, n_pooled]."""
        maps = [front]
        x = front
        for number, layer in enumerate(self.middle):
            x = layer(x) + x if number else layer(x)
            maps.append(x)
        joined = torch.cat(maps, dim=1)
        # The published weights expect maximum and mean of each map beside each other.
        return torch.stack([joined.amax(dim=2), joined.mean(dim=2)], dim=2).flatten(1)

    def logits(self, features: Tensor) -> Tensor:
        """Return logits [b, genres] for features [b, bins, frames]."""
        pooled = self.pool_norm(self.pooled(self.front_end(features)))
        hidden = self.dense_norm(F.relu(self.dense(self.dropout(pooled))))
        seen = torch.cat([hidden, pooled], dim=1) if self.sees_all else hidden
        return cast(Tensor, self.head(self.dropout(seen)))
