"""Predictions for tracks by networks that were not trained on them: the base of temperature, knn references and metrics."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import scipy  # its submodules are imported at first use; scipy.optimize is slow to import
import torch
from torch import Tensor

from genre_app.data.dataset import Dataset
from genre_app.evaluation.calibration import TEMPERATURES, choose_sure_limits
from genre_app.evaluation.metrics import Report
from genre_app.files import write_whole
from genre_app.models import GenreModel
from genre_app.progress import QUIET, Monitor
from genre_app.sure import SureLimits
from genre_app.training import validation
from genre_app.training.config import TrainConfig
from genre_app.training.final import track_results
from genre_app.vote import References


@dataclass(frozen=True, eq=False)
class Logits:
    """Logits of segments, at temperature 1.

    Attributes
    ----------
    values : Tensor, float [s, g]
    owners : Tensor, int64 [s]
        Track of each segment, ascending from 0.
    """

    values: Tensor
    owners: Tensor

    def probabilities(self, temperature: float) -> Tensor:
        """Return the probabilities [s, g] of the segments."""
        return torch.softmax(self.values.double() / temperature, dim=1)


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Predictions for tracks by networks that were not trained on them.

    Attributes
    ----------
    genres : tuple of str
    track_ids : tuple of str, [n]
    labels : Tensor, int64 [n]
        Index of each track's genre.
    files : Logits
    recordings : Logits or None
        Of the same tracks as simulated recordings; None if training simulates none.
    """

    genres: tuple[str, ...]
    track_ids: tuple[str, ...]
    labels: Tensor
    files: Logits
    recordings: Logits | None = None

    @classmethod
    def of(
        cls, config: TrainConfig, model: GenreModel, tracks: Dataset, monitor: Monitor = QUIET, *, recorded: bool = True
    ) -> HeldOut:
        """Predict tracks with a network; ``recorded`` says whether their simulated recordings are wanted, if training has them.

        Raises
        ------
        StoppedError
            If ``monitor`` says so.
        """
        files = _logits(model, *validation.validation_features(config, model, tracks), monitor)
        features = validation.recorded_features(config, tracks, monitor) if recorded else None
        recordings = None if features is None else _logits(model, *features, monitor)
        return cls(tracks.genres, tuple(tracks.track_ids), tracks.labels.cpu(), files, recordings)

    @classmethod
    def join(cls, parts: Sequence[HeldOut]) -> HeldOut:
        """Join the predictions of several networks for different tracks; at least one."""
        recordings = [part.recordings for part in parts if part.recordings is not None]
        counts = [len(part.labels) for part in parts]
        return cls(
            parts[0].genres,
            tuple(name for part in parts for name in part.track_ids),
            torch.cat([part.labels for part in parts]),
            _joined([part.files for part in parts], counts),
            _joined(recordings, counts) if recordings else None,
        )

    def save(self, path: Path) -> None:
        """Write an npz file; it is complete or absent."""
        arrays: dict[str, Any] = {"genres": self.genres, "track_ids": self.track_ids, "labels": self.labels.numpy()}
        for prefix, logits in (("", self.files), ("recorded_", self.recordings)):
            if logits is not None:
                arrays[f"{prefix}logits"] = logits.values.float().numpy()
                arrays[f"{prefix}owners"] = logits.owners.numpy()
        file = io.BytesIO()
        np.savez_compressed(file, **arrays)
        write_whole(path, file.getvalue())

    @classmethod
    def load(cls, path: Path) -> HeldOut:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            tensors = {name: torch.from_numpy(array) for name, array in arrays.items() if array.dtype.kind != "U"}
            genres, track_ids = (tuple(map(str, arrays[name])) for name in ("genres", "track_ids"))
        recorded = "recorded_logits" in tensors
        recordings = Logits(tensors["recorded_logits"], tensors["recorded_owners"]) if recorded else None
        return cls(genres, track_ids, tensors["labels"], Logits(tensors["logits"], tensors["owners"]), recordings)

    def temperature(self) -> float:
        """Return the temperature with the least log-loss of whole tracks by the mean vote.

        If training has simulated recordings, the mean over files and recordings counts, as for the choice of the epoch.

        References
        ----------
        Guo et al. 2017, On calibration of modern neural networks (temperature scaling).
        """

        def log_loss(log_temperature: float) -> float:
            means = [self._means(logits, math.exp(log_temperature)) for logits in self._sets]
            return sum(validation.track_log_loss(of_set, self.labels) for of_set in means)

        low, high = map(math.log, TEMPERATURES)
        return math.exp(scipy.optimize.minimize_scalar(log_loss, bounds=(low, high), method="bounded").x)

    def sure_limits(self, temperature: float) -> SureLimits:
        """Return the limits of a sure answer, chosen on files and simulated recordings together."""
        means = torch.cat([self._means(logits, temperature) for logits in self._sets])
        return choose_sure_limits(means.numpy(), self.labels.repeat(len(self._sets)).numpy())

    def references(self, temperature: float) -> References | None:
        """Return the tracks as references of the knn vote, None if there are fewer than two.

        Tracks of the training would mislead: the network has learned them, so their probabilities are closer to the truth than
        those of a new track.
        """
        return References.of_tracks(self._means(self.files, temperature).numpy(), self.labels.numpy())

    def report(self, temperature: float) -> Report:
        """Return the metrics of the tracks as files."""
        probabilities = self.files.probabilities(temperature).float()
        return Report(self.genres, track_results(self.track_ids, self.labels, probabilities, self.files.owners))

    @property
    def _sets(self) -> list[Logits]:
        return [logits for logits in (self.files, self.recordings) if logits is not None]

    def _means(self, logits: Logits, temperature: float) -> Tensor:
        return validation.track_means(logits.probabilities(temperature), logits.owners, len(self.labels))


@torch.inference_mode()
def _logits(model: GenreModel, features: Tensor, owners: Tensor, monitor: Monitor) -> Logits:
    model.eval()
    values = [model.logits(batch).double() for batch in validation.batches(features, monitor)]
    return Logits(torch.cat(values).cpu(), owners.cpu())


def _joined(parts: Sequence[Logits], counts: Sequence[int]) -> Logits:
    """Join logits; ``counts`` are the numbers of tracks of the parts."""
    firsts = accumulate(counts, initial=0)
    owners = [part.owners + first for part, first in zip(parts, firsts, strict=False)]
    return Logits(torch.cat([part.values for part in parts]), torch.cat(owners))
