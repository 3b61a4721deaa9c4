"""The network of Pons and Serra for music tagging: kernels shaped for timbre and for rhythm, then dense connections."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from genre_app.models.base import GenreModel, ModelSettings, Size, register
from genre_app.models.precision import has_bfloat16

_EPS = 1e-3  # of all batch norms, as published
_FRAMES = 7  # length of the timbral and the middle kernels, as published
_ROWS = 2048  # of a matrix product: its result then fits a 1 MB L2 cache (measured)


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


def matrix_dtype() -> torch.dtype:
    """Return the type of matrix products outside training on a CPU: bfloat16 where the CPU multiplies it, else float32.

    With the published weights, bfloat16 changes a segment's probability by 0.011 at most (28 clips; the mean of each segment's
    largest change is 0.0024).
    """
    return torch.bfloat16 if has_bfloat16(torch.device("cpu")) and not torch.is_grad_enabled() else torch.float32


class _Convolution(torch.autograd.Function):
    """Convolution of one channel on a CPU: PyTorch's, with gradients by matrix products, which take a quarter of the time.

    Measured with bfloat16 and the published kernels. ``weight`` is [maps, 1, height, width].
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        (gradient,) = gradients
        x, weight = ctx.saved_tensors
        kernel = weight.shape[2:]
        of_x = torch.zeros(x.shape) if ctx.needs_input_grad[0] else None
        of_weight, of_bias = torch.zeros(weight[:, 0].flatten(1).shape), torch.zeros(len(weight))
        for number, maps in enumerate(gradient.flatten(2)):  # [maps, positions]
            patches = F.unfold(x[number : number + 1], kernel)[0]  # [height * width, positions]
            of_weight += maps @ patches.T
            of_bias += maps.sum(1)
            if of_x is not None:  # sums of many values, so in float32
                of_x[number] = F.fold((weight.flatten(1).T @ maps).float()[None], x.shape[2:], kernel)[0]
        return of_x, of_weight.view_as(weight), of_bias


class _Front(nn.Module):
    """Convolution over one channel with zeros around the frames, ReLU, batch norm, maximum over the bins."""

    def __init__(self, n_maps: int, bins: int, frames: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, n_maps, (bins, frames))
        self.norm = nn.BatchNorm2d(n_maps, eps=_EPS)
        self.frames = frames
        self.padding = ((frames - 1) // 2, frames // 2)

    def forward(self, x: Tensor) -> Tensor:  # [b, bins, frames] -> [b, maps, frames]
        x = F.pad(x, self.padding)[:, None]
        if x.is_cpu:
            dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
            given = [tensor.to(dtype) for tensor in (x, self.conv.weight, cast(Tensor, self.conv.bias))]
            maps = cast(Tensor, _Convolution.apply(*given))
        else:
            maps = self.conv(x)
        maps = F.relu(maps, inplace=True)
        normed: Tensor = self.norm(maps)
        # The gradient of a pool takes a fifth of the time of that of amax (measured on a CPU).
        return F.max_pool2d(normed, (normed.shape[2], 1))[:, :, 0] if x.is_cpu else normed.amax(dim=2)


def _folded(fronts: Sequence[_Front], x: Tensor) -> Tensor:
    """Return the maps of layers of the same height, with fixed statistics and by matrix products, which a CPU computes fastest.

    ReLU and batch norm are monotonic, so the maximum over the bins is computed first: that of the negated map, if its scale is
    negative.
    """
    longest = max(fronts, key=lambda front: front.frames)
    before, after = longest.padding
    rows, folded = [], []
    for front in fronts:
        norm = front.norm
        scale = norm.weight * torch.rsqrt(cast(Tensor, norm.running_var) + _EPS)
        sign = torch.where(scale < 0.0, -1.0, 1.0)
        # One product with all kernels, the shorter ones with zeros around them, is faster than one for each (measured).
        kernel = F.pad(front.conv.weight, (before - front.padding[0], after - front.padding[1])).flatten(1)
        rows.append(kernel * sign[:, None])
        shift = norm.bias - cast(Tensor, norm.running_mean) * scale
        folded.append(torch.stack([sign, cast(Tensor, front.conv.bias), scale, shift]))
    dtype = matrix_dtype()
    matrix = torch.cat(rows).to(dtype).T  # [bins * kernel frames, maps]
    best = []
    runs = F.pad(x, longest.padding).to(dtype).unfold(2, longest.frames, 1).transpose(1, 2)
    for item in runs:  # [frames, bins, kernel frames]
        patches = item.flatten(1).unfold(1, len(matrix), longest.frames)  # [frames, positions, bins * kernel frames]
        n_parts = -(-patches.shape[0] * patches.shape[1] // _ROWS)
        parts = patches.tensor_split(min(n_parts, len(patches)))
        best.append(torch.cat([_best_matches(part, matrix) for part in parts]))
    sign, bias, scale, shift = torch.cat(folded, dim=1)
    maps: Tensor = F.relu(torch.stack(best).float() * sign + bias) * scale + shift
    return maps.transpose(1, 2)


def _best_matches(patches: Tensor, matrix: Tensor) -> Tensor:
    """Return the maximum over the positions of ``patches @ matrix``, for patches [frames, positions, values]."""
    # One product of two matrices; matmul would compute a batch of products, which is slower.
    products = patches.reshape(-1, patches.shape[2]) @ matrix
    return products.view(*patches.shape[:2], -1).amax(dim=1)


def _shared(fronts: Sequence[_Front], x: Tensor) -> Tensor:
    """Return the maps of timbral layers; a frame that overlapping segments share is computed once."""
    edge, n_frames = _FRAMES // 2, x.shape[2]

    def maps(x: Tensor) -> Tensor:
        return torch.cat([_folded([front], x) for front in fronts], dim=1)

    if len(x) == 1 or n_frames < 2 * edge:
        return maps(x)
    starts, joined = join_overlaps(x)
    whole = maps(joined[None])[0]
    shared = torch.stack([whole[:, start : start + n_frames] for start in starts])
    # The frames at both ends of a segment lie beside zeros, not beside the neighbouring segment.
    shared[:, :, :edge] = maps(x[:, :, : 2 * edge])[:, :, :edge]
    shared[:, :, -edge:] = maps(x[:, :, -2 * edge :])[:, :, -edge:]
    return shared


def join_overlaps(x: Tensor) -> tuple[list[int], Tensor]:
    """Join consecutive segments [b, bins, frames] and leave out the frames that a segment shares with the one before it.

    Returns
    -------
    starts : list of int
        First frame of each segment in the joined spectrogram.
    joined : Tensor [bins, frames]
    """
    n_frames = x.shape[2]
    starts, parts = [0], [x[0]]
    for before, segment in pairwise(x):
        candidates = (before == segment[:, :1]).all(dim=0).nonzero().flatten().tolist()
        hop = next((at for at in candidates if torch.equal(before[:, at:], segment[:, : n_frames - at])), n_frames)
        starts.append(starts[-1] + hop)
        parts.append(segment[:, n_frames - hop :])
    return starts, torch.cat(parts, dim=1)


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
        x = self.input_norm(self.standardise(features)[:, None])[:, 0]
        timbral, temporal = (cast(list[_Front], list(fronts)) for fronts in (self.timbral, self.temporal))
        if x.is_cuda or self.timbral.training or self.temporal.training:
            return torch.cat([front(x) for front in (*timbral, *temporal)], dim=1)
        return torch.cat([_shared(timbral, x), _folded(temporal, x)], dim=1)

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
