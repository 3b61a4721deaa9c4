"""Plain stacks of convolution blocks and dense layers, as in published systems."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field
from torch import Tensor

from genre_app.models.base import GenreModel, ModelSettings, Size, register
from genre_app.models.convolutions import Activation, BatchNorm, Padding, conv_blocks, dense_layers


class StackSettings(ModelSettings):
    """Settings of `Stack`.

    Attributes
    ----------
    channels : tuple of int
        Feature maps of each convolution block.
    pools : tuple of (int, int)
        Max-pooling of each block over (bins, frames); a publication may state the axes in the other order.
    kernel : int
        Length of the convolutions' square kernels.
    padding : {"same", "valid"}
        "same" pads with zeros to keep the size; "valid" does not pad.
    batch_norm : {"none", "before_activation", "after_activation", "after_pool"}
        Position of the batch norm in each block.
    activation : {"relu", "elu"}
    dropout : float
        Share of each block's outputs that is dropped in training.
    readout : {"flatten", "mean"}
        Input of the dense layers: all outputs of the last block, or the mean of each feature map.
    dense : tuple of int
        Units of each hidden dense layer.
    dense_batch_norm : bool
        Batch norm between each hidden layer and its activation.
    dense_dropout : float
        Share of each hidden layer's outputs that is dropped in training.
    fit_pools : bool
        Shorten pools that are longer than the remaining input instead of refusing the input.
    """

    channels: tuple[Size, ...] = Field((32, 64, 128), min_length=1, max_length=12)
    pools: tuple[tuple[Size, Size], ...] = Field(((2, 2), (2, 2), (2, 2)), min_length=1, max_length=12)
    kernel: int = Field(3, ge=1, le=31)
    padding: Padding = "same"
    batch_norm: BatchNorm = "none"
    activation: Activation = "relu"
    dropout: float = Field(0.25, ge=0.0, lt=1.0)
    readout: Literal["flatten", "mean"] = "flatten"
    dense: tuple[Size, ...] = Field((), max_length=12)
    dense_batch_norm: bool = False
    dense_dropout: float = Field(0.0, ge=0.0, lt=1.0)
    fit_pools: bool = False


@register("stack")
class Stack(GenreModel):
    """Blocks of [convolution, activation, max-pool, dropout], hidden dense layers, one output layer."""

    Settings = StackSettings

    def __init__(self, n_bins: int, n_frames: int, n_genres: int, settings: StackSettings) -> None:
        super().__init__(n_bins, n_frames, n_genres, settings)
        s = settings
        style = s.model_dump(include={"kernel", "padding", "batch_norm", "activation", "dropout"})
        self.blocks, left = conv_blocks(1, (n_bins, n_frames), s.channels, s.pools, fit=s.fit_pools, **style)
        self.flattens = s.readout == "flatten"
        sizes = (s.channels[-1] * (math.prod(left) if self.flattens else 1), *s.dense)
        self.dense = dense_layers(
            sizes, n_genres, activation=s.activation, batch_norm=s.dense_batch_norm, dropout=s.dense_dropout
        )

    def logits(self, features: Tensor) -> Tensor:
        """Return logits [b, genres] for features [b, bins, frames]."""
        x = self.blocks(self.standardise(features)[:, None])  # [b, channels, bins, frames]
        logits: Tensor = self.dense(x.flatten(1) if self.flattens else x.mean(dim=(2, 3)))
        return logits
