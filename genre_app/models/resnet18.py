"""ResNet-18, a residual network for images, on spectrograms."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from genre_app.models.base import GenreModel, ModelSettings, register


@register("resnet18")
class ResNet18(GenreModel):
    """torchvision's ResNet-18 with random weights and a first convolution with one input channel instead of three.

    A spectrogram has one channel. Repeating it three times gives the same results as one channel with the sum of the kernels.

    References
    ----------
    He et al. 2016, Deep residual learning for image recognition.
    """

    def __init__(self, n_bins: int, n_frames: int, n_genres: int, settings: ModelSettings) -> None:
        from torchvision.models import resnet18  # here: its import takes longer than that of all other networks

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
        """Return all layers before the dense layer."""
        return [module for name, module in self.network.named_children() if name != "fc"]
