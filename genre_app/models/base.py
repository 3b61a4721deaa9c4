"""Base class of all networks, with the standardisation of the input, and the registry of networks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, ClassVar

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

Size = Annotated[int, Field(ge=1, le=65536)]
"""Number of units, feature maps or pooled values of a layer."""

# A bin with a standard deviation below `_CONSTANT` on the training tracks says nothing about genre. Dividing by the large
# `_STD_OF_CONSTANT` keeps its values near 0, even if it varies later.
_CONSTANT = 1e-5
_STD_OF_CONSTANT = 1e6


class ModelSettings(BaseModel):
    """Base of a network's own settings. They are JSON-able and are stored in the checkpoint."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class GenreModel(nn.Module):
    """A network from features [b, bins, frames] to logits [b, genres].

    Each bin is standardised with its mean and standard deviation over the training tracks, and the logits are divided by a
    temperature; all three are part of the weights. A network defines `logits`, and may define `prepare`, `trunk`, `stages`
    and `training_logits`.

    Parameters
    ----------
    n_bins, n_frames, n_genres : int
    settings : ModelSettings
    """

    name: ClassVar[str]
    Settings: ClassVar[type[ModelSettings]] = ModelSettings
    bin_mean: Tensor
    bin_std: Tensor
    temperature: Tensor

    def __init__(self, n_bins: int, n_frames: int, n_genres: int, settings: ModelSettings) -> None:
        super().__init__()
        self.n_bins, self.n_frames, self.n_genres, self.settings = n_bins, n_frames, n_genres, settings
        self.register_buffer("bin_mean", torch.zeros(n_bins))
        self.register_buffer("bin_std", torch.ones(n_bins))
        self.register_buffer("temperature", torch.ones(()))

    def prepare(self, features: Tensor) -> Tensor:
        """Transform features before they are standardised; by default, return them unchanged."""
        return features

    def fit_standardisation(self, features: Tensor) -> None:
        """Set mean and standard deviation of each bin from training features [s, bins, frames].

        A constant bin gets a very large standard deviation, so that it stays near 0.
        """
        prepared = self.prepare(features)
        std = prepared.std(dim=(0, 2))
        self.bin_mean.copy_(prepared.mean(dim=(0, 2)))
        self.bin_std.copy_(torch.where(std < _CONSTANT, _STD_OF_CONSTANT, std))

    def standardise(self, features: Tensor) -> Tensor:
        """Return the features with each bin at zero mean and unit variance over the training tracks."""
        return (self.prepare(features) - self.bin_mean[:, None]) / self.bin_std[:, None]

    def trunk(self) -> Iterable[nn.Module]:
        """Return the modules that training with ``freeze`` leaves unchanged: by default each one named ``blocks``."""
        named = self.named_modules()
        return [module for name, module in named if name.split(".")[-1] == "blocks" and any(module.children())]

    def stages(self) -> tuple[tuple[nn.Module, ...], ...]:
        """Return groups of modules from the output to the input, for gradual unfreezing; each parameter is in one group.

        By default there are two groups: all modules outside `trunk`, then `trunk`.
        """
        trunk = tuple(self.trunk())
        head = tuple(_outside(self, set(trunk)))
        return (head, trunk) if trunk else (head,)

    def heads(self) -> dict[str, nn.Linear]:
        """Return by name the last layers, whose outputs are logits: the probabilities of the network are the mean of theirs.

        By default, these are the linear layers named ``head``; a network without one cannot be taught new genres.
        """
        named = self.named_modules()
        return {name: part for name, part in named if name.split(".")[-1] == "head" and isinstance(part, nn.Linear)}

    def logits(self, features: Tensor) -> Tensor:
        """Return logits [b, genres] for features [b, bins, frames]."""
        raise NotImplementedError

    def training_logits(self, features: Tensor) -> Tensor:
        """Return logits [heads, b, genres]; training adds up the losses of the heads. By default there is one head."""
        return self.logits(features)[None]

    def forward(self, features: Tensor) -> Tensor:
        """Return logits [b, genres], divided by the temperature, for features [b, bins, frames].

        References
        ----------
        Guo et al. 2017, On calibration of modern neural networks (temperature scaling).
        """
        return self.logits(features) / self.temperature


def _outside(module: nn.Module, parts: set[nn.Module]) -> Iterator[nn.Module]:
    """Yield the largest modules that contain none of the parts."""
    if parts.isdisjoint(module.modules()):
        yield module
    elif module not in parts:
        for child in module.children():
            yield from _outside(child, parts)


_MODELS: dict[str, type[GenreModel]] = {}


def register(name: str) -> Callable[[type[GenreModel]], type[GenreModel]]:
    """Return a class decorator that registers a network under ``name`` for recipes, checkpoints, command line and page."""

    def add(cls: type[GenreModel]) -> type[GenreModel]:
        if name in _MODELS:
            raise ValueError(f"two models are called {name!r}")
        cls.name = name
        _MODELS[name] = cls
        return cls

    return add


def model_names() -> list[str]:
    """Return the sorted names of all networks."""
    return sorted(_MODELS)


def settings_class(name: str) -> type[ModelSettings]:
    """Return the settings class of a network, which has their defaults and bounds.

    Raises
    ------
    ValueError
        For an unknown name.
    """
    return _find(name).Settings


def create_model(name: str, *, n_bins: int, n_frames: int, n_genres: int, settings: dict[str, Any] | None = None) -> GenreModel:
    """Create an untrained network by name.

    Raises
    ------
    ValueError
        For an unknown name, or settings that are unknown or out of bounds.
    """
    cls = _find(name)
    return cls(n_bins, n_frames, n_genres, cls.Settings.model_validate(settings or {}))


def _find(name: str) -> type[GenreModel]:
    if name not in _MODELS:
        raise ValueError(f"there is no model {name!r}; choose one of: {', '.join(model_names())}")
    return _MODELS[name]
