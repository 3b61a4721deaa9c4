"""The model card: what a checkpoint is, how good it is and what not to expect of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genre_app.checkpoint import Checkpoint
from genre_app.evaluation.metrics import decimal
from genre_app.files import write_whole
from genre_app.runs.recipes import recipes_folder

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

{n_train} training and {n_valid} validation tracks{origin}
{notes}
## How good

Validation tracks, mean vote{evaluate}:

| n | accuracy | 95 % interval | log-loss | macro F1 | segments |
|---|---|---|---|---|---|
| {n} | {accuracy:.1%} | {low:.1%} to {high:.1%} | {log_loss:.3f} | {macro_f1:.3f} | {segment_accuracy:.1%} |

By vote: {by_vote}.

{chosen} The interval says how little {n} tracks decide.
{test}{folds}
| genre | precision | recall | F1 | n | answered instead |
|---|---|---|---|---|---|
{per_genre}

## What it is bad at

- Weakest on validation: {weakest}. Most frequent confusions: {confusions}.
- It knows {n_genres} genres as its training tracks understood them{time}, and answers with one of them whatever it hears: other
  music, speech and noise included.
- Genres overlap. A small lead of the first answer over the second means that the network cannot tell, and the app says so.
- Recordings through a microphone in a room are harder than files; {recordings}
{about}"""

_GTZAN = """ of 30 s from GTZAN, {split}.
GTZAN has no licence and its author claims none; it is used here for research and not redistributed. The weights are published
for research on the same understanding."""

_TEST = """
Test tracks, which neither trained nor chose: accuracy {accuracy:.1%} (95 % interval {low:.1%} to {high:.1%}, n = {n_tracks}),
log-loss {log_loss:.3f}.
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
        scores = " | ".join(decimal(row[name], 2) for name in ("precision", "recall", "f1"))
        rows.append(f"| {genre} | {scores} | {row['n']} | {instead} |")
    known = [(genre, row) for genre, row in report["per_genre"].items() if row["f1"] is not None]
    weakest = sorted(known, key=lambda entry: entry[1]["f1"])[:3]
    config, data = provenance["config"], provenance["data"]
    filtered = data["fault_filtered"]
    split = "in the artist- and fault-filtered split of Kereliuk et\nal. (2015), whose test tracks were not used"
    recorded = config["augment"]["recorded_share"] > 0
    heard = ", as files and as imitated\nrecordings" if recorded else ""
    text = _TEMPLATE.format(
        name=provenance["recipe"],
        origin=_GTZAN.format(split=split if filtered else "split otherwise than by its fault-filtered lists")
        if data.get("gtzan")
        else ".",
        notes="".join(f"- {note}\n" for note in provenance["notes"]),
        evaluate=" (`genre-app evaluate DATA --split valid --checkpoint FILE`)" if filtered else "",
        chosen="The last epoch was kept, without a choice."
        if config["keep"] == "last"
        else f"The epoch was chosen by the log-loss on these tracks{heard}, so expect less on other music.",
        test=_test(checkpoint),
        time=", a collection of about the year 2000" if data.get("gtzan") else "",
        recordings="training imitated rooms, loudspeakers and noise, but the\n  numbers above are of clean files."
        if recorded
        else "training did not imitate them.",
        about=_about(provenance),
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
    write_whole(path, text.encode())


def _about(provenance: dict[str, Any]) -> str:
    """Return what the recipe's own notes say, which lie beside it; a recipe of the user's is no namesake of one of ours."""
    name = provenance["recipe"]
    path = recipes_folder() / f"{name}.md"
    if f" train {name} " not in provenance["command"] or not path.is_file():
        return ""
    return f"\n## About the recipe\n\n{path.read_text(encoding='utf-8').strip()}\n"


def _test(checkpoint: Checkpoint) -> str:
    report = checkpoint.metrics.get("test")
    if report is None:
        return ""
    low, high = report["accuracy_ci95"]
    return _TEST.format(low=low, high=high, **{key: report[key] for key in ("accuracy", "n_tracks", "log_loss")})


def _folds(folds: dict[str, Any] | None) -> str:
    if folds is None:
        return ""
    low, high = folds["accuracy_ci95"]
    return _FOLDS.format(
        low=low, high=high, n=folds["n_tracks"], **{k: folds[k] for k in ("folds", "command", "accuracy", "log_loss")}
    )
