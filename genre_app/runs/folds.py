"""Cross-validation from the command line: its summary in ``folds.json``, and in the card of a run with the same settings."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from genre_app.checkpoint import load_checkpoint
from genre_app.evaluation.metrics import Report, TrackResult
from genre_app.files import write_whole
from genre_app.runs.card import write_card
from genre_app.runs.data import open_data
from genre_app.runs.host import prepare_process
from genre_app.runs.provenance import digest, provenance
from genre_app.runs.request import Request
from genre_app.training.fit import EpochResult
from genre_app.training.folds import train_folds
from genre_app.training.processes import join


def cross_validate(request: Request, folds: int, out: Path, *, say: Callable[[str], object] = print) -> dict[str, Any]:
    """Train once a fold over training and validation tracks together, and write the summary of all held-out tracks.

    Parameters
    ----------
    request : Request
    folds : int
    out : pathlib.Path
        Folder of ``folds.json``. If it is the folder of a finished run with the same settings, its model card is written again,
        with the summary.
    say : callable
        Gets one line of text at a time.

    Returns
    -------
    dict
        Content of ``folds.json``.

    Raises
    ------
    DataError
        As in `genre_app.training.folds.train_folds`.
    """
    prepare_process(request.threads)
    data, config = open_data(request, request.config(), processes=request.threads)
    init = load_checkpoint(request.init_from) if request.init_from else None
    _, device = join()

    def on_epoch(result: EpochResult) -> None:
        say(f"epoch {result.epoch:4d}  loss {result.train_loss:.4f}  {result.seconds:.1f} s")

    results: list[TrackResult] = []
    trained = train_folds(config, data, folds, device=device, source=request.data, init=init, on_epoch=on_epoch)
    for number, report in enumerate(trained, 1):
        results += report.tracks
        say(f"fold {number} of {folds}: accuracy {report.accuracy:.1%}")
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


def read_folds(folder: Path, provenance: dict[str, Any]) -> dict[str, Any] | None:
    """Read ``folds.json`` of a run's folder; None if there is none, or it has other settings than this provenance."""
    path = folder / "folds.json"
    if not path.is_file():
        return None
    summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return summary if summary["asked_sha256"] == digest(provenance) else None
