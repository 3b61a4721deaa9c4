"""From a recipe and a mel cache to a checkpoint, its metrics and its model card."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import platform
import shlex
import sys
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from sklearn.model_selection import StratifiedKFold

from genre_app.checkpoint import Checkpoint, checkpoint_folder, load_checkpoint, save_checkpoint
from genre_app.data.dataset import MelDataset
from genre_app.data.mel_cache import CachedTrack, DataError, MelCache
from genre_app.evaluation import Report, TrackResult, evaluate
from genre_app.features import COLUMN_FIELDS
from genre_app.models import GenreModel
from genre_app.training import EpochResult, TrainConfig, fit
from genre_app.training.fit import segment_probabilities, track_means
from genre_app.vote import References
from train.card import write_card

NEIGHBOURS = 15
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's mallopt


def train(recipe: str, data: Path, out: Path | None, settings: Sequence[str], seed: int | None, threads: int) -> Path:
    """Train by a recipe, then write the checkpoint and, beside it, its model card.

    Returns
    -------
    pathlib.Path
        Of the checkpoint.
    """
    config, name = read_recipe(recipe, settings, seed)
    cache = _open(data, config)
    genres = sorted({track.genre for track in cache.tracks})
    train_tracks, valid_tracks = ([track for track in cache.tracks if track.split == split] for split in ("train", "valid"))
    out = out or checkpoint_folder() / f"{name}.safetensors"
    device = _prepare(threads)
    model, best = _fit(config, cache, train_tracks, valid_tracks, genres, device)
    checkpoint = Checkpoint(
        model=model.cpu(),
        spec=config.spec,
        genres=tuple(genres),
        provenance={
            "recipe": name,
            "command": _command(recipe, settings, seed, threads),
            "config": config.model_dump(mode="json"),
            "data": _fingerprint(cache),
            "n_train": len(train_tracks),
            "n_valid": len(valid_tracks),
            "best_epoch": best.epoch,
            "torch": torch.__version__,
            "device": device.type,
            "threads": threads,
        },
        references=_references(model, MelDataset.from_cache(cache, train_tracks, genres, config.spec, torch.device("cpu"))),
        name=out.stem,
    )
    report = evaluate(cache.path, checkpoint, split="valid")
    checkpoint.metrics = {"valid": report.to_dict()}
    save_checkpoint(checkpoint, out)
    folds = _read_folds(out, config)
    write_card(checkpoint, out.with_suffix(".md"), folds)
    print(report.to_table())
    print(f"wrote {out} ({out.stat().st_size / 1e6:.1f} MB) and {out.with_suffix('.md').name}")
    return out


def cross_validate(
    recipe: str, data: Path, out: Path | None, settings: Sequence[str], seed: int | None, threads: int, folds: int
) -> dict[str, Any]:
    """Train once a fold over training and validation tracks together; report the tracks held out, each judged once.

    The numbers are written beside the checkpoint as ``NAME.folds.json`` and into its model card, if it was trained alike.
    """
    config, name = read_recipe(recipe, settings, seed)
    cache = _open(data, config)
    genres = sorted({track.genre for track in cache.tracks})
    tracks = [track for track in cache.tracks if track.split in ("train", "valid")]
    out = out or checkpoint_folder() / f"{name}.safetensors"
    device = _prepare(threads)
    labels = [genres.index(track.genre) for track in tracks]
    results: list[TrackResult] = []
    parts = StratifiedKFold(folds, shuffle=True, random_state=config.seed).split(labels, labels)
    for number, (train_index, held_index) in enumerate(parts, 1):
        print(f"fold {number} of {folds}")
        held = [tracks[i] for i in held_index]
        # The last epoch, not the best on the tracks held out: those must not choose, so nothing before needs validating.
        model, _ = _fit(
            config.model_copy(update={"validate_every": config.epochs}),
            cache,
            [tracks[i] for i in train_index],
            held,
            genres,
            device,
            choose=False,
        )
        dataset = MelDataset.from_cache(cache, held, genres, config.spec, torch.device("cpu"))
        features, owners = dataset.segments()
        probabilities = segment_probabilities(model.cpu(), features).numpy()
        results += [
            TrackResult(track.track_id, genres.index(track.genre), probabilities[owners.numpy() == i])
            for i, track in enumerate(held)
        ]
    report = Report(tuple(genres), tuple(results))
    summary = {
        "folds": folds,
        "command": _command(recipe, [*settings, f"--folds={folds}"], seed, threads),
        "config_sha256": _digest(config),
        **report.to_dict(),
    }
    path = out.with_suffix(".folds.json")
    _replace(path, json.dumps(summary, indent=1))
    if out.is_file():
        checkpoint = load_checkpoint(out)
        write_card(checkpoint, out.with_suffix(".md"), _read_folds(out, TrainConfig(**checkpoint.provenance["config"])))
    print(report.to_table())
    print(f"wrote {path}")
    return summary


def read_recipe(recipe: str, settings: Sequence[str], seed: int | None) -> tuple[TrainConfig, str]:
    """Read a recipe by name or path, with ``FIELD=VALUE`` changes (``augment.mild_share=0.2`` reaches inside).

    Raises
    ------
    ValueError
        If there is no such recipe, or a field is unknown or out of bounds.
    """
    folder = Path(__file__).parent / "recipes"
    path = folder / f"{recipe}.toml" if (folder / f"{recipe}.toml").is_file() else Path(recipe)
    if not path.is_file():
        names = ", ".join(sorted(found.stem for found in folder.glob("*.toml")))
        raise ValueError(f"there is no recipe {recipe!r}; choose one of: {names}, or name a TOML file")
    values = tomllib.loads(path.read_text(encoding="utf-8"))
    for setting in settings:
        field, equals, text = setting.partition("=")
        if not equals:
            raise ValueError(f"--set {setting!r} must read FIELD=VALUE")
        *outer, last = field.split(".")
        place = values
        for key in outer:
            place = place.setdefault(key, {})
        try:
            place[last] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            place[last] = text
    if seed is not None:
        values["seed"] = seed
    try:
        return TrainConfig.model_validate(values), path.stem
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"recipe {path.name}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _open(data: Path, config: TrainConfig) -> MelCache:
    cache = MelCache.open(data)
    for field in COLUMN_FIELDS:
        ours, theirs = getattr(config.spec, field), getattr(cache.spec, field)
        if ours != theirs:
            raise DataError(f"{data} was made with {field} {theirs}, the recipe needs {ours}; make the cache again.")
    return cache


def _fit(
    config: TrainConfig,
    cache: MelCache,
    train_tracks: Sequence[CachedTrack],
    valid_tracks: Sequence[CachedTrack],
    genres: Sequence[str],
    device: torch.device,
    *,
    choose: bool = True,
) -> tuple[GenreModel, EpochResult]:
    sets = [MelDataset.from_cache(cache, tracks, genres, config.spec, device) for tracks in (train_tracks, valid_tracks)]
    best: EpochResult | None = None
    for result in fit(config, *sets, device=device, choose=choose):
        line = f"epoch {result.epoch:4d}  loss {result.train_loss:.4f}  lr {result.learning_rate:.2e}  {result.seconds:.1f} s"
        if result.valid_log_loss is not None:
            line += f"  valid log-loss {result.valid_log_loss:.4f}  accuracy {result.valid_accuracy:.1%}"
        print(line + ("  *" if result.model is not None else ""), flush=True)
        if result.model is not None:
            best = result
    if best is None or best.model is None:
        raise ValueError("training gave no usable network: every validation log-loss was NaN; lower the learning rate")
    return best.model, best


def _references(model: GenreModel, dataset: MelDataset) -> References:
    features, owners = dataset.segments()
    means = track_means(segment_probabilities(model, features), owners, len(dataset))
    return References(means.numpy().astype(np.float32), dataset.labels.numpy(), min(NEIGHBOURS, len(dataset)))


def _prepare(threads: int) -> torch.device:
    torch.set_num_threads(threads)
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        # Each step frees and takes the same few hundred megabytes; handing them back to the kernel in between halves the speed.
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _command(recipe: str, settings: Iterable[str], seed: int | None, threads: int) -> str:
    options = [part for setting in settings for part in ([setting] if setting.startswith("--") else ["--set", setting])]
    if seed is not None:
        options += ["--seed", str(seed)]
    return shlex.join(["python", "-m", "train", recipe, "--data", "DATA", *options, "--threads", str(threads)])


def _fingerprint(cache: MelCache) -> dict[str, Any]:
    digest = hashlib.sha256((cache.path / "index.csv").read_bytes()).hexdigest()
    return {"n_tracks": len(cache.tracks), "index_sha256": digest}


def _digest(config: TrainConfig) -> str:
    return hashlib.sha256(config.model_dump_json().encode()).hexdigest()


def _read_folds(out: Path, config: TrainConfig) -> dict[str, Any] | None:
    path = out.with_suffix(".folds.json")
    if not path.is_file():
        return None
    summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return summary if summary["config_sha256"] == _digest(config) else None


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
