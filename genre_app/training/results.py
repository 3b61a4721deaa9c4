"""From opened data to data sets, and from a trained network to its numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genre_app.checkpoint import Checkpoint
from genre_app.data.dataset import Dataset, MelDataset, TableDataset
from genre_app.data.gtzan import gtzan_name
from genre_app.data.mel_cache import MelCache
from genre_app.data.source import Data
from genre_app.evaluation import Report, TrackResult
from genre_app.features import COLUMN_FIELDS, FeatureSpec
from genre_app.models import GenreModel
from genre_app.training.config import TrainConfig
from genre_app.training.fit import segment_probabilities, track_means, validation_features
from genre_app.training.runs import Request
from genre_app.vote import References

NEIGHBOURS = 15


def columns_of(config: TrainConfig, request: Request) -> FeatureSpec:
    """Return the specification by which data are to be opened: that of a mel cache itself, if its columns are taken."""
    path = Path(request.data)
    if request.columns == "data" and config.spec.kind != "summary" and MelCache.is_cache(path):
        return with_columns(config, MelCache.open(path)).spec
    return config.spec


def with_columns(config: TrainConfig, cache: MelCache) -> TrainConfig:
    """Return the settings with the columns of a mel cache instead of the recipe's own."""
    columns = {name: getattr(cache.spec, name) for name in COLUMN_FIELDS}
    spec = type(config.spec).model_validate(config.spec.model_dump() | columns)
    return config.model_copy(update={"spec": spec})


def adapted(config: TrainConfig, data: Data, columns: str) -> TrainConfig:
    """Return the settings as they are for these data: with their columns, if those are to be taken."""
    if columns == "data" and isinstance(data.store, MelCache):
        return with_columns(config, data.store)
    return config


def dataset(data: Data, split: str, config: TrainConfig, device: torch.device) -> Dataset:
    """Load the tracks of a split onto a device."""
    tracks = data.of(split)
    if isinstance(data.store, MelCache):
        return MelDataset.from_cache(data.store, tracks, data.genres, config.spec, device)
    return TableDataset.from_table(data.store, tracks, data.genres, config.spec, device)


def report_on(checkpoint: Checkpoint, tracks: Dataset, config: TrainConfig, should_stop: Callable[[], bool] = bool) -> Report:
    """Return the metrics of a checkpoint on some tracks."""
    features, owners = validation_features(config, checkpoint.model, tracks)
    probabilities = segment_probabilities(checkpoint.model, features, should_stop=should_stop).numpy()
    of_track = np.split(probabilities, np.flatnonzero(np.diff(owners.numpy())) + 1)
    labels = tracks.labels.tolist()
    results = [TrackResult(*of) for of in zip(tracks.track_ids, labels, of_track, strict=True)]
    return Report(tracks.genres, tuple(results), checkpoint.references)


def references(model: GenreModel, tracks: Dataset, should_stop: Callable[[], bool] = bool) -> References:
    """Return training tracks for the knn vote."""
    features, owners = tracks.segments()
    means = track_means(segment_probabilities(model, features, should_stop=should_stop), owners, len(tracks))
    return References(means.numpy().astype(np.float32), tracks.labels.numpy(), min(NEIGHBOURS, len(tracks)))


def fingerprint(data: Data) -> dict[str, Any]:
    """Return what tells whether two runs had the same tracks, genres and split."""
    rows = sorted((track.track_id, track.genre, track.split, track.n_frames) for track in data.tracks)
    gtzan = all(gtzan_name(track.track_id) for track in data.tracks)
    return {"n_tracks": len(rows), "gtzan": gtzan, "sha256": hashlib.sha256(json.dumps(rows).encode()).hexdigest()}


def digest(config: TrainConfig) -> str:
    """Return what tells whether two runs had the same settings."""
    return hashlib.sha256(config.model_dump_json().encode()).hexdigest()


def read_folds(folder: Path, config: TrainConfig) -> dict[str, Any] | None:
    """Read the summary of a cross-validation beside a run, if it was made with the same settings."""
    path = folder / "folds.json"
    if not path.is_file():
        return None
    summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return summary if summary["config_sha256"] == digest(config) else None
