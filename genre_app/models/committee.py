"""Networks of different kinds that answer as one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from genre_app.models.base import GenreModel, ModelSettings, create_model, register
from genre_app.models.ensemble import joined_logits


class Part(BaseModel):
    """One network of a `Committee`.

    Attributes
    ----------
    model : str
        Its name.
    settings : dict
        What it is made with; its defaults fill in the rest.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = "cnn"
    settings: dict[str, Any] = Field(default_factory=dict)


class CommitteeSettings(ModelSettings):
    """Settings of `Committee`.

    Attributes
    ----------
    networks : tuple of Part
        The networks; each of their members has the same say.
    """

    networks: tuple[Part, ...] = Field((Part(model="cnn"), Part(model="lstm")), min_length=1, max_length=16)


@register("committee")
class Committee(GenreModel):
    """Networks that are trained side by side and answer with the mean of their probabilities.

    Networks of one kind err alike; those of different kinds less so, and the mean over them is better than more of either.
    Each standardises its input by itself.
    """

    Settings = CommitteeSettings

    def __init__(self, n_bins: int, n_frames: int, n_genres: int, settings: CommitteeSettings) -> None:
        super().__init__(n_bins, n_frames, n_genres, settings)
        sizes: dict[str, int] = {"n_bins": n_bins, "n_frames": n_frames, "n_genres": n_genres}
        if any(part.model == Committee.name for part in settings.networks):
            raise ValueError("a committee of committees is no more than one; name all networks in one list")
        self.networks = nn.ModuleList(create_model(part.model, settings=part.settings, **sizes) for part in settings.networks)

    def parts(self) -> list[GenreModel]:
        """Return the networks."""
        return cast(list[GenreModel], list(self.networks))

    def fit_standardisation(self, features: Tensor) -> None:
        """Take each network's means and standard deviations from training features [s, bins, frames]."""
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
