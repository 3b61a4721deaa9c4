"""From opened data to data sets, and from a trained network to its numbers."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genre_app.checkpoint import Checkpoint
from genre_app.data.cache.mel_cache import MelCache
from genre_app.data.dataset import Dataset, MelDataset, TableDataset
from genre_app.data.pool import WavePool
from genre_app.data.sources.gtzan import fault_filtered, gtzan_name
from genre_app.data.sources.open_data import Data
from genre_app.errors import DataError
from genre_app.evaluation.evaluate import Report, TrackResult
from genre_app.features import COLUMN_FIELDS, FeatureSpec
from genre_app.models import GenreModel
from genre_app.progress import QUIET, Monitor
from genre_app.runs.request import Request
from genre_app.training.config import PATH_FIELDS, TrainConfig
from genre_app.training.validation import segment_probabilities, track_means, validation_features
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


def report_on(checkpoint: Checkpoint, tracks: Dataset, config: TrainConfig, monitor: Monitor = QUIET) -> Report:
    """Return the metrics of a checkpoint on some tracks."""
    features, owners = validation_features(config, checkpoint.model, tracks)
    probabilities = segment_probabilities(checkpoint.model, features, monitor=monitor).numpy()
    of_track = np.split(probabilities, np.flatnonzero(np.diff(owners.numpy())) + 1)
    labels = tracks.labels.tolist()
    results = [TrackResult(*of) for of in zip(tracks.track_ids, labels, of_track, strict=True)]
    return Report(tracks.genres, tuple(results), checkpoint.references)


def references(model: GenreModel, tracks: Dataset, monitor: Monitor = QUIET) -> References:
    """Return training tracks for the knn vote."""
    features, owners = tracks.segments()
    means = track_means(segment_probabilities(model, features, monitor=monitor), owners, len(tracks))
    return References(means.numpy().astype(np.float32), tracks.labels.numpy(), min(NEIGHBOURS, len(tracks)))


def fingerprint(data: Data) -> dict[str, Any]:
    """Return what tells whether two runs had the same tracks, genres and split, and whether those are GTZAN's."""
    rows = sorted((track.track_id, track.genre, track.split, track.n_frames) for track in data.tracks)
    names = [gtzan_name(track.track_id) for track in data.tracks]
    lists = fault_filtered()
    return {
        "n_tracks": len(rows),
        "gtzan": all(names),
        "fault_filtered": all(name and lists.get(name) == track.split for name, track in zip(names, data.tracks, strict=True)),
        "sha256": hashlib.sha256(json.dumps(rows).encode()).hexdigest(),
    }


def digest(provenance: dict[str, Any]) -> str:
    """Return what tells whether two runs had the same settings, data and weights to begin with."""
    told = [provenance["config"], provenance["data"]["sha256"], provenance["init_from"]]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def wave_pool(data: Data, train: Dataset, config: TrainConfig, where: str) -> WavePool | None:
    """Return the pool that changes the waveforms of the tracks to train on, None if the settings ask for none.

    Raises
    ------
    DataError
        If there is no audio; ``where`` is what the message calls the data.
    """
    if not config.augment.waveform.changes:
        return None
    missing = [name for name in train.track_ids if name not in data.audio]
    if missing:
        raise DataError(
            f"{where} has no audio for {missing[0]}, which changing waveforms needs; "
            "train on a folder of audio, or without augment.waveform."
        )
    paths = [data.audio[name] for name in train.track_ids]
    return WavePool(paths, config.spec, config.augment.waveform, seed=config.seed)


def provenance(request: Request, config: TrainConfig, data: Data) -> dict[str, Any]:
    """Return what a checkpoint says of how it was made, as far as that is known before training."""
    return {
        "recipe": Path(request.recipe).stem,
        "command": request.command(data="DATA"),
        "config": _without_paths(config.model_dump(mode="json")),
        "init_from": request.init_name or None,
        "data": fingerprint(data),
        "n_train": len(data.of("train")),
        "n_valid": len(data.of("valid")),
        "notes": list(data.notes),
        "torch": torch.__version__,
        "threads": request.threads,
    }


def _without_paths(values: dict[str, Any], group: str = "") -> dict[str, Any]:
    """Return dumped settings without the fields that hold a path of this machine."""
    return {
        name: _without_paths(value, f"{group}{name}.") if isinstance(value, dict) else value
        for name, value in values.items()
        if f"{group}{name}" not in PATH_FIELDS
    }


def read_folds(folder: Path, provenance: dict[str, Any]) -> dict[str, Any] | None:
    """Read the summary of a cross-validation beside a run, if both were asked for alike."""
    path = folder / "folds.json"
    if not path.is_file():
        return None
    summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return summary if summary["asked_sha256"] == digest(provenance) else None
