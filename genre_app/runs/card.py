"""Model card: what a checkpoint is, how it was made, how good it is, and its weaknesses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genre_app.checkpoint import Checkpoint
from genre_app.evaluation.metrics import decimal
from genre_app.files import write_whole
from genre_app.runs.recipes import recipes_folder

_TEMPLATE = """# {provenance[recipe]}

Predicts one of {n_genres} genres for a clip of music: {genres}.

| | |
|---|---|
| network | `{model.name}`, {parameters:,} parameters |
| input | {spec.n_bins} x {spec.segment_frames} `{spec.kind}`, segments of {spec.segment_seconds:g} s |
| features | {spec.sample_rate} Hz, n_fft {spec.n_fft}, hop {spec.hop_length}, {spec.n_mels} mel bands |
| made with | `{provenance[command]}` |
| on | torch {provenance[torch]}, {provenance[device]}, {provenance[threads]} threads; epoch {provenance[best_epoch]} was kept |

## Data

{tracks}{origin}
{notes}
## Results

{results}
## Weaknesses

{weakest}- It answers with one of its {n_genres} genres{time} to any music. Only noise and speech get no genre.
- Genres overlap. If the second genre is close to the first, the app says that it is not sure.
- Recordings through a microphone in a room are harder than files. {recordings}
{about}"""

_RESULTS = """{what}:

| n | accuracy | 95 % interval | log-loss | macro F1 | segment accuracy |
|---|---|---|---|---|---|
| {n_tracks} | {accuracy:.1%} | {accuracy_ci95[0]:.1%} to {accuracy_ci95[1]:.1%} | {log_loss:.3f} | {macro_f1:.3f} | \
{segment_accuracy:.1%} |

Accuracy by vote: {votes}.

{chosen}
{more}
| genre | precision | recall | F1 | n | wrong answers |
|---|---|---|---|---|---|
{genre_rows}
"""

_NOTHING = """All tracks are training tracks, so nothing was measured.
"""

_REFIT = """All tracks are training tracks. These results are of a cross-validation with {folds} folds (`{command}`):
each track was classified by a network that was not trained on it. Mean vote"""

_REFIT_CHOSEN = """The last epoch was kept. The folds do not separate artists, so the accuracy on new artists is lower."""

_GTZAN = """ of 30 s from GTZAN{split}.
GTZAN has no licence, and its author claims none. It is used here for research and is not redistributed. The weights are
published for research on the same terms."""

_FAULT_FILTERED = ", in the artist- and fault-filtered split of Kereliuk et al. (2015)"
_OTHER_SPLIT = ", in a split other than its artist- and fault-filtered one"

_TEST = """
Test tracks, used neither for training nor for selection: accuracy {accuracy:.1%} \
(95 % interval {accuracy_ci95[0]:.1%} to {accuracy_ci95[1]:.1%},
n = {n_tracks}), log-loss {log_loss:.3f}.
"""

_RECORDED = {
    True: "Training simulated them, but the numbers above are for files.",
    False: "Training did not simulate them.",
}

_FOLDS = """
Cross-validation with {folds} folds over training and validation tracks, without selection of an epoch (`{command}`):
accuracy {accuracy:.1%} (95 % interval {accuracy_ci95[0]:.1%} to {accuracy_ci95[1]:.1%}, n = {n_tracks}), \
log-loss {log_loss:.3f}. The folds do not
separate artists, so the accuracy on new artists is lower.
"""


_INITIAL = """
## Initial weights

Network {network} of {package} by {authors}, trained on the {trained_on}. Licence {licence}:

> {text}
"""


def write_card(checkpoint: Checkpoint, path: Path, folds: dict[str, Any] | None) -> None:
    """Write the model card of a checkpoint.

    Parameters
    ----------
    checkpoint : Checkpoint
        With the metrics and the provenance of a finished run.
    path : pathlib.Path
    folds : dict or None
        Summary of a cross-validation with the same settings, if there is one.
    """
    provenance, spec = checkpoint.provenance, checkpoint.spec
    is_recorded = provenance["config"]["augment"]["recorded_share"] > 0
    is_gtzan = provenance["data"].get("gtzan")
    report = checkpoint.metrics.get("valid") or checkpoint.metrics.get("folds")
    text = _TEMPLATE.format(
        provenance=provenance,
        spec=spec,
        model=checkpoint.model,
        genres=", ".join(checkpoint.genres),
        n_genres=len(checkpoint.genres),
        parameters=sum(parameter.numel() for parameter in checkpoint.model.parameters()),
        tracks=_tracks(provenance),
        origin=_GTZAN.format(split=_split(provenance)) if is_gtzan else ".",
        notes="".join(f"- {note}\n" for note in provenance["notes"]),
        results=_results(checkpoint, report, folds, is_recorded) if report else _NOTHING,
        weakest=_weakest(report) if report else "",
        time=", as in a collection of about the year 2000," if is_gtzan else "",
        recordings=_RECORDED[is_recorded],
        about=_about(provenance) + _initial(provenance),
    )
    write_whole(path, text.encode())


def _tracks(provenance: dict[str, Any]) -> str:
    counts = {"training": provenance["n_train"], "validation": provenance["n_valid"]}
    return " and ".join(f"{n} {which}" for which, n in counts.items() if n) + " tracks"


def _split(provenance: dict[str, Any]) -> str:
    if not provenance["n_valid"]:
        return ""
    return _FAULT_FILTERED if provenance["data"]["fault_filtered"] else _OTHER_SPLIT


def _results(checkpoint: Checkpoint, report: dict[str, Any], folds: dict[str, Any] | None, is_recorded: bool) -> str:
    """Return the results on validation tracks or, without these, of the cross-validation."""
    provenance, test = checkpoint.provenance, checkpoint.metrics.get("test")
    if "valid" in checkpoint.metrics:
        evaluate = " (`genre-app evaluate DATA --split valid --checkpoint FILE`)"
        what = f"Validation tracks, mean vote{evaluate if provenance['data']['fault_filtered'] else ''}"
        chosen = _chosen(provenance["config"]["keep"], is_recorded)
        more = (_TEST.format(**test) if test else "") + (_FOLDS.format(**folds) if folds else "")
    else:
        what, chosen, more = _REFIT.format(**report), _REFIT_CHOSEN, ""
    return _RESULTS.format(
        what=what,
        votes=", ".join(f"{vote} {accuracy:.1%}" for vote, accuracy in report["by_vote"].items()),
        chosen=chosen,
        more=more,
        genre_rows="\n".join(_genre_rows(report)),
        **report,
    )


def _weakest(report: dict[str, Any]) -> str:
    known = [(genre, row) for genre, row in report["per_genre"].items() if row["f1"] is not None]
    weakest = sorted(known, key=lambda entry: entry[1]["f1"])[:3]
    listed = ", ".join(f"{genre} ({row['f1']:.2f})" for genre, row in weakest)
    return f"- Lowest F1 in the results above: {listed}.\n{_confusions(report)}"


def _initial(provenance: dict[str, Any]) -> str:
    if not provenance.get("initial"):
        return ""
    initial = provenance["initial"]
    return _INITIAL.format(**initial["source"], licence=initial["licence"], text=initial["licence_text"].replace("\n", "\n> "))


def _chosen(keep: str, is_recorded: bool) -> str:
    if keep == "last":
        return "The last epoch was kept; the validation tracks selected nothing."
    recordings = ", as files and as simulated recordings" if is_recorded else ""
    return f"The epoch was selected by the log-loss on these tracks{recordings}, so expect less on other music."


def _genre_rows(report: dict[str, Any]) -> list[str]:
    names, matrix = report["confusion"]["genres"], report["confusion"]["matrix"]
    rows = []
    for (genre, row), answers in zip(report["per_genre"].items(), matrix, strict=True):
        wrong = sorted(((n, name) for n, name in zip(answers, names, strict=True) if n and name != genre), reverse=True)
        cells = [genre, *(decimal(row[key], 2) for key in ("precision", "recall", "f1")), str(row["n"])]
        rows.append(f"| {' | '.join(cells)} | {', '.join(f'{name} {n}' for n, name in wrong)} |")
    return rows


def _confusions(report: dict[str, Any]) -> str:
    names, matrix = report["confusion"]["genres"], report["confusion"]["matrix"]
    wrong = [
        (-n, true, answer)
        for true, answers in zip(names, matrix, strict=True)
        for answer, n in zip(names, answers, strict=True)
        if n and answer != true
    ]
    listed = ", ".join(f"{true} as {answer} ({-n})" for n, true, answer in sorted(wrong)[:4])
    return f"- Most frequent confusions: {listed}.\n" if listed else ""


def _about(provenance: dict[str, Any]) -> str:
    """Return the notes beside the recipe. A recipe of the user with the name of one of ours has none."""
    name = provenance["recipe"]
    path = recipes_folder() / f"{name}.md"
    if f" train {name} " not in provenance["command"] or not path.is_file():
        return ""
    return f"\n## Effect of each part of the recipe\n\n{path.read_text(encoding='utf-8').strip()}\n"
