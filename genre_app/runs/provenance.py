"""Provenance of a checkpoint: how it was made, without any path of this machine."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ValidationError

from genre_app.checkpoint import load_checkpoint
from genre_app.data.labelled import Data
from genre_app.data.sources.gtzan import fault_filtered, gtzan_name
from genre_app.errors import CheckpointError
from genre_app.runs.request import Request
from genre_app.training.config import PATH_FIELDS, TrainConfig


class _Source(BaseModel):
    package: str
    network: str
    sha256: str
    authors: str
    trained_on: str


class _Origin(BaseModel):
    """Where published weights come from."""

    source: _Source
    licence: str
    licence_text: str


_OF_VALIDATION = frozenset({"split", "keep", "patience", "validate_every", "fit_temperature", "vote"})


def provenance(request: Request, config: TrainConfig, data: Data) -> dict[str, Any]:
    """Return the part of the provenance that is known before training."""
    return {
        "recipe": Path(request.recipe).stem,
        "command": request.command(data="DATA"),
        "config": _without_paths(config.model_dump(mode="json")),
        "init_from": request.init_name or None,
        "initial": _source(request.init_from),
        "data": fingerprint(data),
        "n_train": len(data.of("train")),
        "n_valid": len(data.of("valid")),
        "notes": list(data.notes),
        "torch": torch.__version__,
        "threads": request.threads,
    }


def fingerprint(data: Data) -> dict[str, Any]:
    """Return facts on the data: number of tracks, whether they are GTZAN's, and two digests of tracks and genres.

    ``sha256`` depends on the split too; ``tracks_sha256`` is of the training and validation tracks together.
    """
    rows = sorted((track.track_id, track.genre, track.split, track.n_frames) for track in data.tracks)
    names = [gtzan_name(track.track_id) for track in data.tracks]
    lists = fault_filtered()
    return {
        "n_tracks": len(rows),
        "gtzan": all(names),
        "fault_filtered": all(name and lists.get(name) == track.split for name, track in zip(names, data.tracks, strict=True)),
        "sha256": _sha256(rows),
        "tracks_sha256": _sha256([(name, genre, n_frames) for name, genre, split, n_frames in rows if split != "test"]),
    }


def digest(provenance: dict[str, Any]) -> str:
    """Return a digest of settings, tracks and initial checkpoint; a run and its cross-validation have the same.

    The split between training and validation tracks, and settings that need validation tracks, do not count:
    cross-validation ignores them.
    """
    config = {name: value for name, value in provenance["config"].items() if name not in _OF_VALIDATION}
    return _sha256([config, provenance["data"].get("tracks_sha256"), provenance["init_from"]])


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _source(init_from: str | None) -> dict[str, Any]:
    """Return source and licence of the initial weights, if a published network is among their origins; else an empty dict."""
    if init_from is None:
        return {}
    try:
        stated = load_checkpoint(init_from).provenance
    except CheckpointError:
        return {}  # a resumed run no longer needs the file
    # A checkpoint file may come from a stranger: take only what the model card can show.
    for origin in (stated, stated.get("initial")):
        with suppress(ValidationError):
            return _Origin.model_validate(origin).model_dump()
    return {}


def _without_paths(values: dict[str, Any], group: str = "") -> dict[str, Any]:
    return {
        name: _without_paths(value, f"{group}{name}.") if isinstance(value, dict) else value
        for name, value in values.items()
        if f"{group}{name}" not in PATH_FIELDS
    }
