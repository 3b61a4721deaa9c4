"""Cross-validation: train once a fold, and judge each track by the network that has not seen it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import torch
from sklearn.model_selection import StratifiedGroupKFold

from genre_app.checkpoint import Checkpoint
from genre_app.data.labelled import Data
from genre_app.data.tracks import CachedTrack
from genre_app.errors import DataError
from genre_app.evaluation.metrics import Report
from genre_app.training.config import TrainConfig
from genre_app.training.datasets import load_split, wave_pool
from genre_app.training.final import report_on
from genre_app.training.fit import EpochResult, fit
from genre_app.training.state import TrainState


def train_folds(
    config: TrainConfig,
    data: Data,
    folds: int,
    *,
    device: torch.device,
    source: str,
    init: Checkpoint | None = None,
    on_epoch: Callable[[EpochResult], object] = lambda _: None,
) -> Iterator[Report]:
    """Train once a fold over training and validation tracks together, and yield the report on its held-out tracks.

    Tracks with the same music are in one fold. The last epoch is kept, not the best one: the held-out tracks must not choose.

    Parameters
    ----------
    config : TrainConfig
    data : Data
    folds : int
        At least 2.
    device : torch.device
    source : str
        Name of the data in messages.
    init : Checkpoint, optional
        As in `TrainState.begin`.
    on_epoch : callable
        Called with each `EpochResult`.

    Raises
    ------
    DataError
        If a genre has fewer different tracks than there are folds, or training diverges.
    """
    fixed = config.model_copy(update={"validate_every": config.epochs, "keep": "last", "patience": 0, "fit_temperature": False})
    tracks = [track for track in data.tracks if track.split in ("train", "valid")]
    _check_enough(data, tracks, folds)
    labels = [data.genres.index(track.genre) for track in tracks]
    music = [data.music[track.track_id] for track in tracks]
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=config.seed)
    for _, held_out in splitter.split(labels, labels, music):
        held = set(held_out.tolist())
        divided = [
            track.model_copy(update={"split": "valid" if place in held else "train"}) for place, track in enumerate(tracks)
        ]
        yield _train_fold(fixed, replace(data, tracks=tuple(divided)), device, source, init, on_epoch)


def _check_enough(data: Data, tracks: list[CachedTrack], folds: int) -> None:
    for genre in data.genres:
        different = len({data.music[track.track_id] for track in tracks if track.genre == genre})
        if different < folds:
            raise DataError(
                f"The genre {genre} has {different} different tracks, too few for {folds} folds; "
                "choose fewer folds, or leave the genre out."
            )


def _train_fold(
    config: TrainConfig,
    data: Data,
    device: torch.device,
    source: str,
    init: Checkpoint | None,
    on_epoch: Callable[[EpochResult], object],
) -> Report:
    train, valid = (load_split(data, split, config, device) for split in ("train", "valid"))
    state = TrainState.begin(config, train, device, init=init)
    last: EpochResult | None = None
    with ExitStack() as held:
        pool = wave_pool(data, train, config, source)
        if pool is not None:
            held.callback(pool.close)
            pool.begin(1)
        for last in fit(config, train, valid, device=device, state=state, pool=pool):
            on_epoch(last)
    if last is None or last.model is None:
        raise DataError("Training diverged: the validation log-loss is not a number; lower learning_rate.")
    checkpoint = Checkpoint(last.model.cpu(), config.spec, data.genres)
    return report_on(checkpoint, load_split(data, "valid", config, torch.device("cpu")), config)
