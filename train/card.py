"""The model card: what a checkpoint is, how good it is and what not to expect of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from genre_app.checkpoint import Checkpoint

_TEMPLATE = """# {name}

{what}

| | |
|---|---|
| network | `{model}`, {parameters:,} parameters |
| input | {bins} x {frames} `{kind}`, segments of {segment} s |
| features | {sample_rate} Hz, n_fft {n_fft}, hop {hop_length}, {n_mels} mel bands |
| genres | {genres} |
| made by | `{command}` |
| with | {torch}, {device}, {threads} threads; kept epoch {best_epoch} |

## Data

{n_train} training and {n_valid} validation tracks of 30 s from GTZAN, in the artist- and fault-filtered split of Kereliuk et
al. (2015). GTZAN has no licence and its author claims none; it is used here for research and not redistributed. The weights are
published for research on the same understanding. The test tracks of the split were not used, neither to train nor to choose.

## How good

Validation tracks, mean vote (`genre-app evaluate DATA --split valid --checkpoint {name}`):

| n | accuracy | 95 % interval | log-loss | macro F1 | segments |
|---|---|---|---|---|---|
| {n} | {accuracy:.1%} | {low:.1%} to {high:.1%} | {log_loss:.3f} | {macro_f1:.3f} | {segment_accuracy:.1%} |

By vote: {by_vote}.

The epoch was chosen by the log-loss on these tracks, and so were the settings of the recipe, so expect less on other music.
The interval says how little {n} tracks decide.
{folds}
| genre | precision | recall | F1 | n | answered instead |
|---|---|---|---|---|---|
{per_genre}

## What it is bad at

- Weakest on validation: {weakest}. Most frequent confusions: {confusions}.
- It knows {n_genres} genres as one collection of about the year 2000 understood them, and answers with one of them whatever it
  hears: other music, speech and noise included.
- Genres overlap. A small lead of the first answer over the second means that the network cannot tell, and the app says so.
- Recordings through a microphone in a room are harder than files; training imitated rooms, loudspeakers and noise, but the
  numbers above are of clean files.
"""

_FOLDS = """
Cross-validation over training and validation tracks together, {folds} folds of whole tracks, no choice of epoch
(`{command}`): accuracy {accuracy:.1%} (95 % interval {low:.1%} to {high:.1%}, n = {n}), log-loss {log_loss:.3f}. The folds do
not keep artists apart, so this flatters.
"""


def write_card(checkpoint: Checkpoint, path: Path, folds: dict[str, Any] | None) -> None:
    """Write the model card of a checkpoint from what it carries and the summary of a cross-validation, if there was one."""
    provenance, report, spec = checkpoint.provenance, checkpoint.metrics["valid"], checkpoint.spec
    low, high = report["accuracy_ci95"]
    names, matrix = report["confusion"]["genres"], report["confusion"]["matrix"]
    wrong = [
        (matrix[i][j], names[i], names[j]) for i in range(len(names)) for j in range(len(names)) if i != j and matrix[i][j]
    ]
    wrong.sort(key=lambda entry: (-entry[0], entry[1], entry[2]))
    rows = []
    for index, (genre, row) in enumerate(report["per_genre"].items()):
        others = sorted(
            ((matrix[index][j], names[j]) for j in range(len(names)) if j != index and matrix[index][j]), reverse=True
        )
        instead = ", ".join(f"{other} {count}" for count, other in others)
        rows.append(f"| {genre} | {row['precision']:.2f} | {row['recall']:.2f} | {row['f1']:.2f} | {row['n']} | {instead} |")
    weakest = sorted(report["per_genre"].items(), key=lambda entry: entry[1]["f1"])[:3]
    text = _TEMPLATE.format(
        name=checkpoint.name,
        what=f"Says which of {len(checkpoint.genres)} genres a clip of music belongs to.",
        model=checkpoint.model.name,
        parameters=sum(parameter.numel() for parameter in checkpoint.model.parameters()),
        bins=spec.n_bins,
        frames=spec.segment_frames,
        segment=f"{spec.segment_seconds:g}",
        genres=", ".join(checkpoint.genres),
        n_genres=len(checkpoint.genres),
        command=provenance["command"],
        torch=f"torch {provenance['torch']}",
        device=provenance["device"],
        threads=provenance["threads"],
        best_epoch=provenance["best_epoch"],
        n_train=provenance["n_train"],
        n_valid=provenance["n_valid"],
        n=report["n_tracks"],
        low=low,
        high=high,
        by_vote=", ".join(f"{vote} {accuracy:.1%}" for vote, accuracy in report["by_vote"].items()),
        folds=_folds(folds),
        per_genre="\n".join(rows),
        weakest=", ".join(f"{genre} (F1 {row['f1']:.2f})" for genre, row in weakest),
        confusions=", ".join(f"{true} taken for {answer} ({count})" for count, true, answer in wrong[:4]),
        **{key: report[key] for key in ("accuracy", "log_loss", "macro_f1", "segment_accuracy")},
        **{key: getattr(spec, key) for key in ("kind", "sample_rate", "n_fft", "hop_length", "n_mels")},
    )
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def _folds(folds: dict[str, Any] | None) -> str:
    if folds is None:
        return ""
    low, high = folds["accuracy_ci95"]
    return _FOLDS.format(
        low=low, high=high, n=folds["n_tracks"], **{k: folds[k] for k in ("folds", "command", "accuracy", "log_loss")}
    )
