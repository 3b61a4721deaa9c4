"""Multilayer perceptrons, on all values of a segment or on statistics over its frames."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from genre_app.models.base import Size, register
from genre_app.models.convolutions import Activation, dense_layers
from genre_app.models.ensemble import Ensemble, EnsembleSettings
from genre_app.models.precision import without_autocast

Statistic = Literal["mean", "std", "skew", "min", "p10", "median", "p90", "max", "delta"]
_QUANTILES = {"min": 0.0, "p10": 0.1, "median": 0.5, "p90": 0.9, "max": 1.0}


class MLPSettings(EnsembleSettings):
    """Settings of `MLP`.

    Attributes
    ----------
    hidden : tuple of int
        Units of each hidden layer.
    activation : {"relu", "elu"}
    dropout : float
        Share of each hidden layer's outputs that is dropped in training.
    batch_norm : bool
        Batch norm between each hidden layer and its activation.
    pool : tuple of str
        Statistics of each bin over the frames, which replace the frames as input; "delta" is the mean absolute difference
        between neighbouring frames. Empty: the input is the frames.
    modulation_bands : int
        Number of bands of modulation frequency, each an octave wide or less; the strength of each band in each bin is added
        to the statistics.
    pool_bins : int
        Number of neighbouring bins that are averaged before the statistics are computed.
    patch_bins : int
        Bins in a patch; patches overlap by half. The two-dimensional modulation spectrum of each patch, over frames and
        bins, is added to the statistics. A small shift of pitch does not change it. Even; 0: no patches.
    """

    hidden: tuple[Size, ...] = Field((256, 256, 256, 256), min_length=1, max_length=16)
    activation: Activation = "relu"
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    batch_norm: bool = False
    pool: tuple[Statistic, ...] = Field((), max_length=9)
    modulation_bands: int = Field(0, ge=0, le=64)
    pool_bins: int = Field(1, ge=1, le=1024)
    patch_bins: int = Field(0, ge=0, le=1024, multiple_of=2)

    @property
    def takes_statistics(self) -> bool:
        """Whether the input is statistics over the frames instead of the frames."""
        return bool(self.pool) or self.modulation_bands > 0


class _Statistics(nn.Module):
    """Statistics over the frames [b, v, bins // pool_bins, statistics] of views [b, v, bins, frames]."""

    bands: Tensor

    def __init__(self, n_frames: int, settings: MLPSettings) -> None:
        super().__init__()
        self.names, self.pool_bins = settings.pool, settings.pool_bins
        self.register_buffer("bands", _band_weights(n_frames, settings.modulation_bands), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.avg_pool2d(x, (self.pool_bins, 1))
        mean = x.mean(dim=-1, keepdim=True)
        moved = x - mean
        std = moved.square().mean(dim=-1).sqrt()
        values: dict[str, Tensor] = {"mean": mean[..., 0], "std": std}
        if "skew" in self.names:
            values["skew"] = moved.pow(3).mean(dim=-1) / std.clamp(min=1e-3).pow(3)
        if "delta" in self.names:
            values["delta"] = x.diff(dim=-1).abs().mean(dim=-1)
        if _QUANTILES.keys() & set(self.names):
            ordered = x.sort(dim=-1).values
            for name, share in _QUANTILES.items():
                values[name] = ordered[..., round(share * (x.shape[-1] - 1))]
        taken = [values[name] for name in self.names]
        if self.bands.shape[1] > 0:
            strength = torch.fft.rfft(moved, dim=-1).abs() / x.shape[-1] ** 0.5
            taken += (strength @ self.bands).log1p().unbind(dim=-1)
        return torch.stack(taken, dim=-1)


class _PatchSpectra(nn.Module):
    """Modulation spectra [b, v, patches, frequencies over bins, bands] of patches of views [b, v, bins, frames]."""

    bands: Tensor
    window: Tensor

    def __init__(self, n_frames: int, settings: MLPSettings) -> None:
        super().__init__()
        self.n_bins = settings.patch_bins
        self.register_buffer("bands", _band_weights(n_frames, settings.modulation_bands), persistent=False)
        # A Hann window without its zeros at both ends, so that every bin of a short patch counts.
        self.register_buffer("window", torch.hann_window(self.n_bins + 2, periodic=False)[1:-1], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        spectrum = torch.fft.rfft(x, dim=-1) / x.shape[-1] ** 0.5
        patches = spectrum.unfold(2, self.n_bins, self.n_bins // 2) * self.window  # [b, v, patches, frequencies, n_bins]
        strength = torch.fft.fft(patches, dim=-1).abs() / self.n_bins**0.5
        rising = torch.arange(self.n_bins // 2 + 1, device=x.device)
        strength = (strength[..., rising] + strength[..., -rising]) / 2  # mean of upward and downward movement
        spectra: Tensor = (strength.transpose(-1, -2) @ self.bands).log1p()
        return spectra


def _band_weights(n_frames: int, n_bands: int) -> Tensor:
    """Return weights [frequencies, bands] that average a spectrum of ``n_frames`` frames in bands.

    The bands widen geometrically from bin 1 on, each has at least one bin.
    """
    n_bins, low = 1 + n_frames // 2, 1
    weights = torch.zeros(n_bins, n_bands)
    for band in range(n_bands):
        high = max(low + 1, round(low * (n_bins / low) ** (1.0 / (n_bands - band))))
        weights[low:high, band] = 1.0 / (high - low)
        low = high
    return weights


class _Perceptron(nn.Module):
    def __init__(self, n_views: int, n_bins: int, n_frames: int, n_genres: int, settings: MLPSettings) -> None:
        super().__init__()
        n_in = n_views * n_bins * n_frames
        self.statistics = self.patches = None
        if settings.takes_statistics:
            self.statistics = _Statistics(n_frames, settings)
            n_of_view = (n_bins // settings.pool_bins) * (len(settings.pool) + settings.modulation_bands)
            if settings.patch_bins:
                self.patches = _PatchSpectra(n_frames, settings)
                n_patches = 2 * n_bins // settings.patch_bins - 1
                n_of_view += n_patches * (settings.patch_bins // 2 + 1) * settings.modulation_bands
            n_in = n_views * n_of_view
            self.norm = nn.BatchNorm1d(n_in)  # the statistics are not standardised, only the spectrogram is
        style = settings.model_dump(include={"activation", "batch_norm", "dropout"})
        self.layers = dense_layers((n_in, *settings.hidden), n_genres, **style)

    def forward(self, views: Tensor) -> Tensor:  # [b, v, bins, frames] -> [b, genres]
        x = views
        if self.statistics is not None:
            with without_autocast(views.device):
                x = self.statistics(views).flatten(1)
                if self.patches is not None:
                    x = torch.cat([x, self.patches(views).flatten(1)], dim=1)
                x = self.norm(x)
        logits: Tensor = self.layers(x.flatten(1))
        return logits


@register("mlp")
class MLP(Ensemble):
    """Hidden dense layers with activation and dropout, one output layer."""

    Settings = MLPSettings
    Member = _Perceptron

    def __init__(self, n_bins: int, n_frames: int, n_genres: int, settings: MLPSettings) -> None:
        if settings.takes_statistics:
            if n_frames < 2:
                raise ValueError(
                    f"statistics over time need at least 2 frames, got {n_frames}; leave pool and modulation_bands out"
                )
            if settings.modulation_bands > n_frames // 2:
                given = settings.modulation_bands
                raise ValueError(f"{n_frames} frames have at most {n_frames // 2} modulation_bands, got {given}")
            if settings.pool_bins > n_bins:
                raise ValueError(f"pool_bins must not exceed the {n_bins} bins, got {settings.pool_bins}")
        if settings.patch_bins > n_bins:
            raise ValueError(f"patch_bins must not exceed the {n_bins} bins, got {settings.patch_bins}")
        if settings.patch_bins and not settings.modulation_bands:
            raise ValueError("patch_bins needs modulation_bands above 0")
        super().__init__(n_bins, n_frames, n_genres, settings)
