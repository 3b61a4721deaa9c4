"""Convolutional recurrent networks: convolution blocks, then GRU layers over the frames."""

from __future__ import annotations

from itertools import pairwise

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from genre_app.models.base import GenreModel, ModelSettings, Size, register
from genre_app.models.convolutions import conv_blocks


class CRNNSettings(ModelSettings):
    """Settings of `CRNN`.

    Attributes
    ----------
    channels : tuple of int
        Feature maps of each convolution block.
    pools : tuple of (int, int)
        Max-pooling of each block over (bins, frames).
    units : tuple of int
        Cells of each GRU layer.
    dropout : float
        Share of each block's outputs that is dropped in training.
    readout_dropout : float
        Share of the last GRU layer's last output that is dropped in training.
    pad_frames : int
        Number of frames of zeros, the mean of the training tracks, added before and after each segment.
    fit_pools : bool
        Shorten pools that are longer than the remaining input instead of refusing the input.
    """

    channels: tuple[Size, ...] = Field((64, 128, 128, 128), min_length=1, max_length=12)
    pools: tuple[tuple[Size, Size], ...] = Field(((2, 2), (3, 3), (4, 4), (4, 4)), min_length=1, max_length=12)
    units: tuple[Size, ...] = Field((32, 32), min_length=1, max_length=8)
    dropout: float = Field(0.1, ge=0.0, lt=1.0)
    readout_dropout: float = Field(0.3, ge=0.0, lt=1.0)
    pad_frames: int = Field(37, ge=0, le=1000)
    fit_pools: bool = False


@register("crnn")
class CRNN(GenreModel):
    """Blocks of [convolution 3 x 3, batch norm, ELU, max-pool, dropout], GRU layers over the frames, one dense layer.

    The default pools reduce 96 bins to one, so the GRUs get a sequence of 128 feature maps. If more bins remain, the GRUs get
    the feature maps of all of them.

    References
    ----------
    Choi et al. 2017, Convolutional recurrent neural networks for music classification.
    """

    Settings = CRNNSettings

    def __init__(self, n_bins: int, n_frames: int, n_genres: int, settings: CRNNSettings) -> None:
        super().__init__(n_bins, n_frames, n_genres, settings)
        s = settings
        self.pad_frames = s.pad_frames
        size = (n_bins, n_frames + 2 * s.pad_frames)
        self.blocks, (n_left, _) = conv_blocks(
            1, size, s.channels, s.pools, batch_norm="before_activation", activation="elu", dropout=s.dropout, fit=s.fit_pools
        )
        sizes = (s.channels[-1] * n_left, *s.units)
        self.layers = nn.ModuleList(nn.GRU(n_in, n_out, batch_first=True) for n_in, n_out in pairwise(sizes))
        self.dropout = nn.Dropout(s.readout_dropout)
        self.head = nn.Linear(sizes[-1], n_genres)

    def logits(self, features: Tensor) -> Tensor:
        """Return logits [b, genres] for features [b, bins, frames]."""
        x = F.pad(self.standardise(features), (self.pad_frames, self.pad_frames))
        x = self.blocks(x[:, None]).flatten(1, 2).transpose(1, 2)  # [b, frames, channels * bins]
        for layer in self.layers:
            x, _ = layer(x.contiguous())
        logits: Tensor = self.head(self.dropout(x[:, -1]))
        return logits
