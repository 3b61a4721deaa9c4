"""Provenance of a checkpoint: how it was made, without any path of this machine."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch

from genre_app.checkpoint import load_checkpoint
from genre_app.data.labelled import Data
from genre_app.data.sources.gtzan import fault_filtered, gtzan_name
from genre_app.errors import CheckpointError
from genre_app.runs.request import Request
from genre_app.training.config import PATH_FIELDS, TrainConfig


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
    """Return facts on the data: number of tracks, whether they are GTZAN's, and a digest of tracks, genres and split."""
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
    """Return a digest of settings, data and initial checkpoint; it is equal for two runs if all three are."""
    asked = [provenance["config"], provenance["data"]["sha256"], provenance["init_from"]]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


def _source(init_from: str | None) -> dict[str, Any]:
    """Return source and licence of the initial weights, if a published network is among their origins; else an empty dict."""
    if init_from is None:
        return {}
    try:
        stated = load_checkpoint(init_from).provenance
    except CheckpointError:
        return {}  # a resumed run no longer needs the file
    return {key: stated[key] for key in ("source", "licence", "licence_text") if key in stated} or stated.get("initial", {})


def _without_paths(values: dict[str, Any], group: str = "") -> dict[str, Any]:
    return {
        name: _without_paths(value, f"{group}{name}.") if isinstance(value, dict) else value
        for name, value in values.items()
        if f"{group}{name}" not in PATH_FIELDS
    }
