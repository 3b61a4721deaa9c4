"""A committee: networks of different kinds whose probabilities are averaged."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import torch
from pydantic import Field, ValidationError, model_validator
from torch import Tensor, nn

from genre_app.errors import validation_message
from genre_app.models.base import GenreModel, ModelSettings, create_model, register, settings_class
from genre_app.models.ensemble import joined_logits

_NAME = "committee"


class Part(ModelSettings):
    """One network of a `Committee`.

    Attributes
    ----------
    model : str
        Name of the network.
    settings : dict
        Settings of the network; missing ones have their defaults.
    """

    model: str = "cnn"
    settings: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _can_be_made(self) -> Part:
        if self.model == _NAME:
            raise ValueError("a committee cannot contain a committee; name all networks in one list")
        try:
            settings_class(self.model).model_validate(self.settings)
        except ValidationError as error:
            raise ValueError(f"{self.model}: {validation_message(error)}") from error
        return self


class CommitteeSettings(ModelSettings):
    """Settings of `Committee`.

    Attributes
    ----------
    networks : tuple of Part
        The networks; each of their members has the same weight.
    """

    networks: tuple[Part, ...] = Field(
        default_factory=lambda: (Part(model="cnn"), Part(model="lstm")), min_length=1, max_length=16
    )


@register(_NAME)
class Committee(GenreModel):
    """Networks that are trained together; the output is the mean of their probabilities.

    Networks of different kinds make different errors, so their mean is better. Each standardises its input by itself.
    """

    Settings = CommitteeSettings

    def __init__(self, n_bins: int, n_frames: int, n_genres: int, settings: CommitteeSettings) -> None:
        super().__init__(n_bins, n_frames, n_genres, settings)
        sizes = {"n_bins": n_bins, "n_frames": n_frames, "n_genres": n_genres}
        self.networks = nn.ModuleList(create_model(part.model, settings=part.settings, **sizes) for part in settings.networks)

    def parts(self) -> list[GenreModel]:
        """Return the networks."""
        return cast(list[GenreModel], list(self.networks))

    def fit_standardisation(self, features: Tensor) -> None:
        """Set each network's means and standard deviations from training features [s, bins, frames]."""
        super().fit_standardisation(features)
        for part in self.parts():
            part.fit_standardisation(features)

    def trunk(self) -> Iterable[nn.Module]:
        """Return the convolutions of all networks."""
        return [block for part in self.parts() for block in part.trunk()]

    def training_logits(self, features: Tensor) -> Tensor:
        """Return each member's logits [members, b, genres] for features [b, bins, frames]."""
        return torch.cat([part.training_logits(features).float() for part in self.parts()])

    def logits(self, features: Tensor) -> Tensor:
        """Return logits [b, genres] whose softmax is the mean of the members' probabilities."""
        return joined_logits(self.training_logits(features))
