"""One-dimensional convolutional networks, along the bins of a feature vector or the frames of a spectrogram."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from genre_app.models.base import GenreModel, ModelSettings, Size, register
from genre_app.models.convolutions import Padding, conv_blocks, dense_layers


class CNN1DSettings(ModelSettings):
    """Settings of `CNN1D`.

    Attributes
    ----------
    along : {"bins", "frames"}
        Axis along which the kernels move; the other axis becomes the input channels.
    channels : tuple of int
        Feature maps of each convolution block.
    pool : int
        Max-pooling of each block.
    kernel : int
        Length of the kernels.
    padding : {"same", "valid"}
        "same" pads with zeros to keep the length; "valid" does not pad.
    dropout : float
        Share of each block's outputs that is dropped in training.
    dense : int
        Units of the hidden dense layer.
    dense_dropout : float
        Share of the hidden layer's outputs that is dropped in training.
    """

    along: Literal["bins", "frames"] = "bins"
    channels: tuple[Size, ...] = Field((32, 64), min_length=1, max_length=12)
    pool: int = Field(2, ge=1, le=64)
    kernel: int = Field(3, ge=1, le=31)
    padding: Padding = "valid"
    dropout: float = Field(0.3, ge=0.0, lt=1.0)
    dense: int = Field(128, ge=1, le=65536)
    dense_dropout: float = Field(0.2, ge=0.0, lt=1.0)


@register("cnn1d")
class CNN1D(GenreModel):
    """Blocks of [convolution, ReLU, batch norm, max-pool, dropout] along one axis, then two dense layers."""

    Settings = CNN1DSettings

    def __init__(self, n_bins: int, n_frames: int, n_genres: int, settings: CNN1DSettings) -> None:
        super().__init__(n_bins, n_frames, n_genres, settings)
        s = settings
        self.over_frames = s.along == "frames"
        n_in, length = (n_bins, n_frames) if self.over_frames else (n_frames, n_bins)
        pools = [(s.pool,)] * len(s.channels)
        style = s.model_dump(include={"kernel", "padding", "dropout"})
        self.blocks, (left,) = conv_blocks(
            n_in, (length,), s.channels, pools, batch_norm="after_activation", activation="relu", **style
        )
        sizes = (s.channels[-1] * left, s.dense)
        self.dense = dense_layers(sizes, n_genres, activation="relu", batch_norm=False, dropout=s.dense_dropout)

    def logits(self, features: Tensor) -> Tensor:
        """Return logits [b, genres] for features [b, bins, frames]."""
        x = self.standardise(features)
        x = self.blocks(x if self.over_frames else x.transpose(1, 2))  # [b, channels, length]
        logits: Tensor = self.dense(x.flatten(1))
        return logits
