"""The residual network of 18 layers, made for pictures, on spectrograms."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from genre_app.models.base import GenreModel, ModelSettings, register


@register("resnet18")
class ResNet18(GenreModel):
    """torchvision's ResNet-18 with random weights; its first convolution takes one channel instead of three.

    A spectrogram is one channel. Repeating it to three would give the first convolution three kernels where their sum does the
    same, so it has one.

    References
    ----------
    He et al. 2016, Deep residual learning for image recognition.
    """

    Settings = ModelSettings

    def __init__(self, n_bins: int, n_frames: int, n_genres: int, settings: ModelSettings) -> None:
        from torchvision.models import resnet18  # here, since it takes longer to import than all other networks together

        super().__init__(n_bins, n_frames, n_genres, settings)
        self.network = resnet18(weights=None, num_classes=n_genres)
        first = self.network.conv1
        self.network.conv1 = nn.Conv2d(1, first.out_channels, first.kernel_size, first.stride, first.padding, bias=False)
        self.network = self.network.to(memory_format=torch.channels_last)

    def logits(self, features: Tensor) -> Tensor:
        """Return logits [b, genres] for features [b, bins, frames]."""
        logits: Tensor = self.network(self.standardise(features)[:, None])
        return logits

    def trunk(self) -> Iterable[nn.Module]:
        """Return all that comes before the dense layer."""
        return [module for name, module in self.network.named_children() if name != "fc"]
