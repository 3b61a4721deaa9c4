"""Cross-validation: how a recipe does, whichever tracks are held out."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from sklearn.model_selection import StratifiedGroupKFold

from genre_app.checkpoint import Checkpoint, load_checkpoint
from genre_app.data.labelled import Data, open_data
from genre_app.data.tracks import CachedTrack
from genre_app.errors import DataError
from genre_app.evaluation import Report, TrackResult
from genre_app.files import write_whole
from genre_app.runs.card import write_card
from genre_app.runs.executor import prepare_process
from genre_app.runs.request import Request
from genre_app.runs.results import adapted, columns_of, dataset, digest, provenance, read_folds, report_on, wave_pool
from genre_app.runs.run import work_folder
from genre_app.training.config import TrainConfig
from genre_app.training.fit import EpochResult, fit
from genre_app.training.processes import join
from genre_app.training.state import TrainState


def cross_validate(request: Request, folds: int, out: Path, *, say: Callable[[str], object] = print) -> dict[str, Any]:
    """Train once a fold over training and validation tracks together; report the tracks held out, each judged once.

    The numbers are written to ``folds.json`` in the folder ``out``, and into the model card of the run that is there, if it has
    the same settings.
    """
    config = request.config()
    prepare_process(request.threads)
    data = open_data(
        request.data,
        columns_of(config, request),
        config.split,
        seed=config.seed,
        work=work_folder(),
        processes=request.threads,
    )
    config = adapted(config, data, request.columns)
    _, device = join()
    tracks = [track for track in data.tracks if track.split in ("train", "valid")]
    labels = [data.genres.index(track.genre) for track in tracks]
    results: list[TrackResult] = []
    # The last epoch, not the best on the tracks held out: those must not choose, so nothing before needs validating.
    fixed = config.model_copy(update={"validate_every": config.epochs, "keep": "last", "patience": 0})
    music = [data.music[track.track_id] for track in tracks]
    _check_enough(data, tracks, folds)
    init = load_checkpoint(request.init_from) if request.init_from else None
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=config.seed)
    for number, (_, held) in enumerate(splitter.split(labels, labels, music), 1):
        say(f"fold {number} of {folds}")
        sides = ["valid" if index in set(held.tolist()) else "train" for index in range(len(tracks))]
        parts = replace(
            data, tracks=tuple(track.model_copy(update={"split": side}) for track, side in zip(tracks, sides, strict=True))
        )
        results += _fold(fixed, parts, device, init, request, say).tracks
    report = Report(data.genres, tuple(results))
    summary = {
        "folds": folds,
        "command": f"{request.command(data='DATA')} --folds {folds}",
        "asked_sha256": digest(provenance(request, config, data)),
        **report.to_dict(),
    }
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "folds.json", json.dumps(summary, indent=1).encode())
    if (out / "best.safetensors").is_file() and (out / "report.json").is_file():
        checkpoint = load_checkpoint(out / "best.safetensors")
        write_card(checkpoint, out / "card.md", read_folds(out, checkpoint.provenance))
    say(report.to_table())
    say(f"wrote {out / 'folds.json'}")
    return summary


def _check_enough(data: Data, tracks: list[CachedTrack], folds: int) -> None:
    for genre in data.genres:
        different = len({data.music[track.track_id] for track in tracks if track.genre == genre})
        if different < folds:
            raise DataError(
                f"The genre {genre} has {different} different tracks, so that not each of {folds} folds can hold one out; "
                "take fewer folds, or leave the genre out."
            )


def _fold(
    config: TrainConfig,
    data: Data,
    device: torch.device,
    init: Checkpoint | None,
    request: Request,
    say: Callable[[str], object],
) -> Report:
    train, valid = (dataset(data, split, config, device) for split in ("train", "valid"))
    state = TrainState.begin(config, train, device, init=init)
    last: EpochResult | None = None
    with ExitStack() as held:
        pool = wave_pool(data, train, config, request.data)
        if pool is not None:
            held.callback(pool.close)
            pool.begin(1)
        for last in fit(config, train, valid, device=device, state=state, pool=pool):
            say(f"epoch {last.epoch:4d}  loss {last.train_loss:.4f}  {last.seconds:.1f} s")
    if last is None or last.model is None:
        raise ValueError("training gave no usable network: its validation log-loss was NaN; lower the learning rate")
    cpu = torch.device("cpu")
    return report_on(Checkpoint(last.model.cpu(), config.spec, data.genres), dataset(data, "valid", config, cpu), config)
