"""Checkpoints: a network's weights with everything needed to use them, loaded by name or from a file.

`genre_app.checkpoint_file` defines the file format.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genre_app.checkpoint_file import FORMAT_VERSION, Header, KnnEntry, ModelEntry, read_file, write_file
from genre_app.errors import CheckpointError
from genre_app.features import FeatureSpec
from genre_app.files import AnyPath
from genre_app.models import GenreModel
from genre_app.vote import References

DEFAULT_CHECKPOINT = "default"
SUFFIX = ".safetensors"


@dataclass(eq=False)
class Checkpoint:
    """A network with its preprocessing, its genres and its history.

    Attributes
    ----------
    model : GenreModel
        In evaluation mode.
    spec : FeatureSpec
    genres : tuple of str
        In the order of the network's outputs.
    metrics, provenance : dict
        JSON-able: measured results, and the data, recipe and versions that made the weights.
    references : References or None
        Training tracks for the knn vote.
    name : str
        Name shown to the user.
    """

    model: GenreModel
    spec: FeatureSpec
    genres: tuple[str, ...]
    metrics: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    references: References | None = None
    name: str = "unnamed"

    def __post_init__(self) -> None:
        self.model.eval()

    @property
    def device(self) -> torch.device:
        """Device of the network."""
        return self.model.bin_mean.device

    @torch.inference_mode()
    def probabilities(self, features: Tensor) -> NDArray[np.float32]:
        """Return the probabilities of the genres for each segment.

        Parameters
        ----------
        features : Tensor, float32 [s, bins, frames]

        Returns
        -------
        numpy.ndarray, float32 [s, g]
            Each row sums to one.

        Raises
        ------
        CheckpointError
            If the network's output is not finite.
        """
        logits = self.model(features.to(self.device))
        probabilities: NDArray[np.float32] = torch.softmax(logits.float(), dim=-1).cpu().numpy()
        if not np.isfinite(probabilities).all():
            what = "its network gives numbers that are not finite"
            raise CheckpointError(f"checkpoint {self.name}: {what}; use another checkpoint")
        return probabilities


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
        If metrics or provenance are not valid JSON (a NaN is not), or a genre has no valid name.
    """
    references = checkpoint.references
    header = Header(
        format_version=FORMAT_VERSION,
        spec=checkpoint.spec,
        model=ModelEntry(name=checkpoint.model.name, settings=checkpoint.model.settings.model_dump(mode="json")),
        genres=list(checkpoint.genres),
        metrics=checkpoint.metrics,
        provenance=checkpoint.provenance,
        knn=KnnEntry(k=references.k) if references else None,
    )
    write_file(Path(path), header, checkpoint.model, references)


def load_checkpoint(name_or_path: AnyPath = DEFAULT_CHECKPOINT, device: str | torch.device = "cpu") -> Checkpoint:
    """Load a bundled checkpoint by its name, or any checkpoint from its file.

    Raises
    ------
    CheckpointError
        If there is no such checkpoint, or the file is not exactly what `save_checkpoint` writes.
    """
    path = _find(os.fspath(name_or_path))
    header, model, references = read_file(path)
    history = {"metrics": header.metrics, "provenance": header.provenance}
    return Checkpoint(model.to(device), header.spec, tuple(header.genres), references=references, name=path.stem, **history)


def _find(given: str) -> Path:
    bundled = bundled_checkpoints()
    if given in bundled:
        return checkpoint_folder() / f"{given}{SUFFIX}"
    path = Path(given)
    if "\0" not in given and path.is_file():
        return path
    what = "is a folder" if "\0" not in given and path.is_dir() else "is neither a file nor a bundled one"
    choice = f"choose one of: {', '.join(bundled)}" if bundled else "none is bundled, so name a file"
    raise CheckpointError(f"checkpoint {given!r} {what}; {choice}")
