"""Cross-validation: train once a fold, judge each track by the network that has not seen it, and keep the results.

``folds.json`` is the summary; the model card of a run with the same settings repeats it. ``folds.npz`` holds the predictions
(see `genre_app.training.held_out`); a run that trains on all tracks takes its temperature and knn references from them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from genre_app.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from genre_app.data.labelled import Data
from genre_app.errors import DataError
from genre_app.files import write_whole
from genre_app.progress import QUIET, Monitor
from genre_app.runs.card import write_card
from genre_app.runs.data import open_data
from genre_app.runs.host import prepare_process
from genre_app.runs.provenance import digest, provenance
from genre_app.runs.report import read_report
from genre_app.runs.request import Request
from genre_app.training.config import TrainConfig
from genre_app.training.datasets import load_split, wave_pool
from genre_app.training.fit import EpochResult, fit
from genre_app.training.held_out import HeldOut
from genre_app.training.processes import join
from genre_app.training.state import TrainState

_FOLDS, _HELD_OUT = "folds.json", "folds.npz"
_PART = "folds.{}-of-{}.{}.npz"  # number, folds and settings: predictions of a fold, until all folds are done

Say = Callable[[str], object]


def cross_validate(
    request: Request,
    folds: int,
    out: Path,
    *,
    say: Say = print,
    after_fold: Callable[[TrainConfig, Sequence[HeldOut]], object] = lambda *_: None,
    monitor: Monitor = QUIET,
) -> dict[str, Any]:
    """Train once a fold over training and validation tracks together, and write the results of all held-out tracks.

    Tracks with the same music are in one fold. The last epoch is kept, not the best one: the held-out tracks must not choose.
    After an interruption, the same call in the same folder continues with the fold that was interrupted.

    Parameters
    ----------
    request : Request
    folds : int
        At least 2.
    out : pathlib.Path
        Folder of ``folds.json`` and ``folds.npz``. If it is the folder of a finished run with the same settings, its model card
        is written again, with the summary.
    say : callable
        Gets one line of text at a time.
    after_fold : callable
        Called after each fold with the settings and the predictions for the tracks of all folds so far. If it raises an error,
        the cross-validation ends, and can be continued.
    monitor : Monitor

    Returns
    -------
    dict
        Content of ``folds.json``.

    Raises
    ------
    DataError
        If a genre has fewer different tracks than there are folds, or training diverges.
    StoppedError
        If ``monitor`` says so.
    """
    prepare_process(request.threads)
    data, config = open_data(request, request.config(), processes=request.threads, monitor=monitor)
    fixed = config.model_copy(update={"validate_every": config.epochs, "keep": "last", "patience": 0, "fit_temperature": False})
    divisions = list(_divide(data, folds, config.seed))
    out.mkdir(parents=True, exist_ok=True)
    asked = digest(provenance(request, config, data))
    parts: list[HeldOut] = []
    for number, divided in enumerate(divisions, 1):
        place = out / _PART.format(number, folds, asked[:12])
        if not place.exists():
            _train_fold(fixed, divided, request, say, monitor).save(place)
        parts.append(HeldOut.load(place))
        say(f"fold {number} of {folds}: accuracy {parts[-1].report(config.temperature).accuracy:.1%}")
        after_fold(config, parts)
    held_out = HeldOut.join(parts)
    report = held_out.report(config.temperature)
    summary = {
        "folds": folds,
        "command": f"{request.command(data='DATA')} --folds {folds}",
        "asked_sha256": asked,
        **report.to_dict(),
    }
    held_out.save(out / _HELD_OUT)
    write_whole(out / _FOLDS, json.dumps(summary, indent=1).encode())
    for part in out.glob(_PART.format("*", "*", "*")):
        part.unlink()
    if (out / "best.safetensors").is_file() and (out / "report.json").is_file():
        _add_to_run(out)
    say(report.to_table())
    say(f"wrote {out / _FOLDS} and {_HELD_OUT}")
    return summary


def read_folds(folder: Path, provenance: dict[str, Any]) -> dict[str, Any] | None:
    """Read ``folds.json`` of a run's folder; None if there is none, or it has other settings than this provenance."""
    path = folder / _FOLDS
    if not path.is_file():
        return None
    summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return summary if summary["asked_sha256"] == digest(provenance) else None


def calibrate(checkpoint: Checkpoint, held_out: HeldOut) -> None:
    """Set temperature (if the recipe fits it), knn references and limits of a sure answer by held-out predictions."""
    model = checkpoint.model
    if checkpoint.provenance["config"]["fit_temperature"]:
        model.temperature.fill_(held_out.temperature())
        checkpoint.provenance["temperature"] = float(model.temperature)
    checkpoint.references = held_out.references(float(model.temperature))
    checkpoint.sure = held_out.sure_limits(float(model.temperature))


def calibrate_by_folds(checkpoint: Checkpoint, folder: Path) -> None:
    """Calibrate a checkpoint without validation tracks by the cross-validation in a folder, if its settings match.

    The checkpoint gets the metrics of the cross-validation too.
    """
    summary = read_folds(folder, checkpoint.provenance)
    if summary is not None:
        calibrate(checkpoint, HeldOut.load(folder / _HELD_OUT))
        checkpoint.metrics["folds"] = {name: value for name, value in summary.items() if name != "asked_sha256"}


def _add_to_run(folder: Path) -> None:
    """Add the cross-validation to a finished run in its folder."""
    checkpoint = load_checkpoint(folder / "best.safetensors")
    if not checkpoint.provenance["n_valid"]:
        calibrate_by_folds(checkpoint, folder)
        save_checkpoint(checkpoint, folder / "best.safetensors")
        report = read_report(folder / "report.json") | checkpoint.metrics
        write_whole(folder / "report.json", json.dumps(report, indent=1).encode())
    write_card(checkpoint, folder / "card.md", read_folds(folder, checkpoint.provenance))


def _divide(data: Data, folds: int, seed: int) -> Iterator[Data]:
    """Yield the data once a fold, with the tracks of the fold as validation tracks."""
    from sklearn.model_selection import StratifiedGroupKFold  # here: slow to import, and most runs have no folds

    tracks = [track for track in data.tracks if track.split in ("train", "valid")]
    music = [data.music[track.track_id] for track in tracks]
    for genre in data.genres:
        different = len({group for track, group in zip(tracks, music, strict=True) if track.genre == genre})
        if different < folds:
            raise DataError(
                f"The genre {genre} has {different} different tracks, too few for {folds} folds; "
                "choose fewer folds, or leave the genre out."
            )
    labels = [data.genres.index(track.genre) for track in tracks]
    for _, held_out in StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(labels, labels, music):
        held = set(held_out.tolist())
        splits = ("valid" if place in held else "train" for place in range(len(tracks)))
        divided = [track.model_copy(update={"split": split}) for track, split in zip(tracks, splits, strict=True)]
        yield replace(data, tracks=tuple(divided))


def _train_fold(config: TrainConfig, data: Data, request: Request, say: Say, monitor: Monitor) -> HeldOut:
    _, device = join()
    train, valid = (load_split(data, split, config, device) for split in ("train", "valid"))
    state = TrainState.begin(config, train, device, init=request.initial_checkpoint())
    last: EpochResult | None = None
    with wave_pool(data, train, config, request.data) as pool:
        for last in fit(config, train, valid, device=device, state=state, pool=pool, monitor=monitor):
            say(f"epoch {last.epoch:4d}  loss {last.train_loss:.4f}  {last.seconds:.1f} s")
    if last is None or last.model is None:
        raise DataError("Training diverged: the validation log-loss is not a number; lower learning_rate.")
    return HeldOut.of(config, last.model.cpu(), load_split(data, "valid", config, torch.device("cpu")), monitor)
