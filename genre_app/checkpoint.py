"""Checkpoints: the weights of one or more networks with everything needed to use them, loaded by name or from a file.

`genre_app.checkpoint_file` and `genre_app.checkpoint_header` define the file format.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genre_app import hub
from genre_app.checkpoint_file import HeadMemory, read_file, write_file
from genre_app.checkpoint_header import FORMAT_VERSION, Header, KnnEntry, MemberEntry, ModelEntry
from genre_app.errors import CheckpointError
from genre_app.features import FeatureSpec
from genre_app.files import AnyPath
from genre_app.models import GenreModel
from genre_app.sure import SureLimits
from genre_app.vote import References

DEFAULT_CHECKPOINT = "default"
SUFFIX = ".safetensors"


@dataclass(frozen=True, eq=False)
class Member:
    """One network of a checkpoint, with its preprocessing.

    Attributes
    ----------
    model : GenreModel
    spec : FeatureSpec
    weight : float
        Its share of the joined probabilities.
    temperature : float
        Of its probabilities before they are joined; the network's own temperature is part of its weights.
    """

    model: GenreModel
    spec: FeatureSpec
    weight: float = 1.0
    temperature: float = 1.0


@dataclass(eq=False)
class Checkpoint:
    """One or more networks with their preprocessing, their genres and their history.

    Attributes
    ----------
    members : tuple of Member
        Networks in evaluation mode; their weights are positive and are scaled to sum to one.
    genres : tuple of str
        In the order of the networks' outputs.
    metrics, provenance : dict
        JSON-able: measured results, and the data, recipe and versions that made the weights.
    references : References or None
        Training tracks for the knn vote.
    name : str
        Name shown to the user.
    sure : SureLimits
        When an answer is called sure.
    temperature : float
        Of the joined probabilities. A mean of several networks is right more often than it says; a temperature below 1 corrects
        that.
    none_of_these : tuple of str
        Genres that stand for all other sounds: a clip whose first genre is one of them gets no genre.
    memory : tuple of tuple of HeadMemory, or None
        For each member and each of its last layers, how that layer's inputs are distributed in each genre.
    """

    members: tuple[Member, ...]
    genres: tuple[str, ...]
    metrics: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    references: References | None = None
    name: str = "unnamed"
    sure: SureLimits = field(default_factory=SureLimits)
    temperature: float = 1.0
    none_of_these: tuple[str, ...] = ()
    memory: tuple[tuple[HeadMemory, ...], ...] | None = None

    def __post_init__(self) -> None:
        total = math.fsum(member.weight for member in self.members)
        if not math.isclose(total, 1.0, rel_tol=1e-12):  # else the weights of a file would change with every copy
            self.members = tuple(replace(member, weight=member.weight / total) for member in self.members)
        for member in self.members:
            member.model.eval()

    @classmethod
    def single(cls, model: GenreModel, spec: FeatureSpec, genres: tuple[str, ...], **others: Any) -> Checkpoint:
        """Return a checkpoint of one network; ``others`` are attributes."""
        return cls((Member(model, spec),), genres, **others)

    @property
    def model(self) -> GenreModel:
        """Network of the first member."""
        return self.members[0].model

    @property
    def spec(self) -> FeatureSpec:
        """Specification of the first member; it sets the times of the segments."""
        return self.members[0].spec

    @property
    def sample_rate(self) -> int:
        """Rate in Hz at which clips are opened: the highest of the members."""
        return max(member.spec.sample_rate for member in self.members)

    @property
    def device(self) -> torch.device:
        """Device of the networks."""
        return self.model.bin_mean.device

    @torch.inference_mode()
    def probabilities(self, features: Tensor, member: int = 0) -> NDArray[np.float32]:
        """Return the probabilities of the genres for each segment by one member.

        Parameters
        ----------
        features : Tensor, float32 [s, bins, frames]
        member : int
            Index of the member.

        Returns
        -------
        numpy.ndarray, float32 [s, g]
            Each row sums to one.

        Raises
        ------
        CheckpointError
            If the network's output is not finite.
        """
        logits = self.members[member].model(features.to(self.device))
        probabilities: NDArray[np.float32] = torch.softmax(logits.float(), dim=-1).cpu().numpy()
        if not np.isfinite(probabilities).all():
            what = "its network gives numbers that are not finite"
            raise CheckpointError(f"checkpoint {self.name}: {what}; use another checkpoint")
        return probabilities

    def joined(self, of_members: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Join the members' probabilities of the same segments, each [s, g].

        Returns
        -------
        numpy.ndarray, float32 [s, g]
            The mean by weight of the members, each at its temperature, at the checkpoint's temperature. A temperature T turns p
            into p ** (1 / T), normalised.
        """
        if len(of_members) == 1 and self.members[0].temperature == self.temperature == 1.0:
            return of_members[0]
        mean = np.zeros(of_members[0].shape)
        for member, rows in zip(self.members, of_members, strict=True):
            mean += member.weight * tempered(rows.astype(np.float64), member.temperature)
        return (mean if self.temperature == 1.0 else tempered(mean, self.temperature)).astype(np.float32)


def tempered(probabilities: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Return probabilities [n, g] raised to 1 / temperature, normalised: less sure above 1, surer below."""
    powers = (probabilities / probabilities.max(axis=1, keepdims=True)) ** (1.0 / temperature)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def checkpoint_folder() -> Path:
    """Return the folder of the bundled checkpoints: inside an installed package, or beside the package in a clone."""
    inside = Path(__file__).parent / "checkpoints"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "checkpoints"


def bundled_checkpoints() -> list[str]:
    """Return the names of the bundled checkpoints, the default one first."""
    names = sorted(path.stem for path in checkpoint_folder().glob(f"*{SUFFIX}") if not path.name.startswith("."))
    return sorted(names, key=lambda name: name != DEFAULT_CHECKPOINT)


def save_checkpoint(checkpoint: Checkpoint, path: AnyPath) -> None:
    """Write a checkpoint; after an interruption, the old file or the new one is complete.

    Raises
    ------
    ValueError
        If metrics or provenance are not valid JSON (a NaN is not), a genre has no valid name, or there are too many members.
    """
    references = checkpoint.references
    header = Header(
        format_version=FORMAT_VERSION,
        members=[
            MemberEntry(
                spec=member.spec,
                model=ModelEntry(name=member.model.name, settings=member.model.settings.model_dump(mode="json")),
                weight=member.weight,
                temperature=member.temperature,
            )
            for member in checkpoint.members
        ],
        sure=checkpoint.sure,
        temperature=checkpoint.temperature,
        none_of_these=list(checkpoint.none_of_these),
        genres=list(checkpoint.genres),
        metrics=checkpoint.metrics,
        provenance=checkpoint.provenance,
        knn=KnnEntry(k=references.k) if references else None,
    )
    write_file(Path(path), header, [member.model for member in checkpoint.members], references, checkpoint.memory)


def load_checkpoint(name_or_path: AnyPath = DEFAULT_CHECKPOINT, device: str | torch.device = "cpu") -> Checkpoint:
    """Load a bundled checkpoint by its name, one of the hub by ``hub:OWNER/NAME``, or any checkpoint from its file.

    Raises
    ------
    CheckpointError
        If there is no such checkpoint, or the file is not exactly what `save_checkpoint` writes.
    """
    given = os.fspath(name_or_path)
    is_remote = given.startswith(hub.PREFIX)
    path = hub.fetch(given) if is_remote else _find(given)
    header, models, references, memory = read_file(path)
    return Checkpoint(
        tuple(
            Member(model.to(device), entry.spec, entry.weight, entry.temperature)
            for model, entry in zip(models, header.members, strict=True)
        ),
        tuple(header.genres),
        metrics=header.metrics,
        provenance=header.provenance,
        references=references,
        name=given if is_remote else path.stem,
        sure=header.sure,
        temperature=header.temperature,
        none_of_these=tuple(header.none_of_these),
        memory=memory,
    )


def _find(given: str) -> Path:
    bundled = bundled_checkpoints()
    if given in bundled:
        return checkpoint_folder() / f"{given}{SUFFIX}"
    # Those of Path raise an error for a name that no file can have, and for a folder that may not be read.
    if os.path.isfile(given):  # noqa: PTH113
        return Path(given)
    what = "is a folder" if os.path.isdir(given) else "is neither a file nor a bundled one"  # noqa: PTH112
    choice = f"choose one of: {', '.join(bundled)}" if bundled else "none is bundled, so name a file"
    raise CheckpointError(f"checkpoint {given!r} {what}; {choice}")
