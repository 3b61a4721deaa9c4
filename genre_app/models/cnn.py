"""Convolutional networks on spectrograms."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from genre_app.models.base import GenreModel, ModelSettings, register


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
    members : int
        Networks of this shape, each initialised for itself; the answer is the mean of their probabilities.
    """

    channels: tuple[int, ...] = Field((32, 64, 96, 128, 128), min_length=1, max_length=12)
    pools: tuple[tuple[int, int], ...] = Field(((4, 2), (2, 2), (2, 2), (2, 2), (2, 2)), min_length=1, max_length=12)
    dropout: float = Field(0.3, ge=0.0, lt=1.0)
    members: int = Field(1, ge=1, le=32)


class _Member(nn.Module):
    def __init__(self, n_genres: int, settings: CNNSettings) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        previous = 2
        for channels, pool in zip(settings.channels, settings.pools, strict=True):
            blocks += [
                nn.Conv2d(previous, channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(inplace=True),
                nn.MaxPool2d(pool),
            ]
            previous = channels
        self.blocks = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(settings.dropout)
        self.head = nn.Linear(previous, n_genres)

    def forward(self, x: Tensor) -> Tensor:  # [b, 2, bins, frames] -> [b, genres]
        x = self.blocks(x).mean(dim=(2, 3))  # [b, channels]
        logits: Tensor = self.head(self.dropout(x))
        return logits


@register("cnn")
class CNN(GenreModel):
    """Convolution blocks [Conv 3 x 3, batch norm, ReLU, max-pool], the mean over what is left, one dense layer.

    Two channels go in: the level-free log-mel spectrogram, each band standardised over the training tracks, and the same with
    each band centred over the segment, which no fixed frequency response (a loudspeaker, a room, a microphone) can change.
    """

    Settings = CNNSettings

    def __init__(self, n_bins: int, n_frames: int, n_genres: int, settings: CNNSettings) -> None:
        super().__init__(n_bins, n_frames, n_genres, settings)
        self.members = nn.ModuleList(_Member(n_genres, settings) for _ in range(settings.members))

    def prepare(self, features: Tensor) -> Tensor:
        """Take out the level of each segment: subtract its mean over all bins and frames."""
        return features - features.mean(dim=(1, 2), keepdim=True)

    def training_logits(self, features: Tensor) -> Tensor:
        """Each member's logits [members, b, genres] for features [b, bins, frames]."""
        x = self.standardise(features)
        x = torch.stack([x, x - x.mean(dim=2, keepdim=True)], dim=1)  # [b, 2, bins, frames]
        x = x.contiguous(memory_format=torch.channels_last)
        return torch.stack([member(x) for member in self.members])

    def logits(self, features: Tensor) -> Tensor:
        """Return logits [b, genres] whose softmax is the mean of the members' probabilities."""
        return torch.logsumexp(torch.log_softmax(self.training_logits(features).float(), dim=-1), dim=0)
