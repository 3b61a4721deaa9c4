"""The cards of a run: its state, its report, and its comparison with another run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from html import escape
from pathlib import Path

import pandas as pd

from genre_app.errors import RunError
from genre_app.runs.events import Failed, Finished, Preparing, Process, Started, Stepped, Warned
from genre_app.runs.report import Accuracy, Metrics, Report, Scores
from genre_app.runs.settings import without_folders
from genre_app.runs.status import Status
from genre_app.ui import cards
from genre_app.ui.permission import shown_data
from genre_app.ui.service import VOTE_NAMES
from genre_app.ui.train import markup
from genre_app.ui.train.data import shortened
from genre_app.ui.train.markup import NO_VALUE, SPLITS, breakable, duration, facts, percent
from genre_app.ui.train.snapshot import Snapshot

NO_RUNS = """
<div class="empty">No run yet. Say where the music is, check the data and start: the run will appear here.</div>
"""
_BADGES = {Status.died: "broke off"}
_RECORDED = "Under simulated recording"


def list_row(seen: Snapshot) -> list[str]:
    """Return a row of the table of runs."""
    accuracy = f"{100 * seen.accuracy:.0f} %" if seen.accuracy is not None else NO_VALUE if seen.trains_on_all else ""
    return [seen.run.name, _BADGES.get(seen.status, seen.status.value), accuracy, f"{seen.n_finished}/{seen.n_epochs}"]


def not_shown(damaged: Sequence[RunError]) -> str:
    """Say why runs and searches are not listed: the first error, and how many more there are; empty if there is none."""
    if not damaged:
        return ""
    first, *others = sorted(map(str, damaged))
    more = f" {len(others)} more cannot be read." if others else ""
    return cards.problem(shortened(first) + more, "Not shown")


def state_card(seen: Snapshot) -> str:
    """Return the state of a run: a sentence, progress bars, figures and warnings."""
    status = seen.status
    stopping = status.is_active and seen.run.should_stop
    warnings = [event.message for event in seen.journal.events if isinstance(event, Warned)]
    if seen.journal.n_broken:
        left_out = "Lines of the journal that cannot be read were left out, so this page may show less than happened"
        warnings.append(f"{left_out} ({seen.journal.n_broken})")
    bars = ""
    if status is Status.preparing and (now := seen.journal.last(Preparing)):
        bars = markup.progress_bar(now.stage, now.done, now.total, now.eta_seconds)
    elif seen.started and status is not Status.finished:
        bars = _bars(seen, seen.started)
    leave = '<p class="small">You can close this page and come back.</p>' if status.is_active and not stopping else ""
    badge = "stopping" if stopping else _BADGES.get(status, status.value)
    return f"""
<section class="card run" aria-label="Run"><p class="eyebrow">Run</p>
<h2 class="name">{escape(seen.run.name)} <span class="badge {status.value}">{badge}</span></h2>
<p class="sub" role="status">{escape(shortened(_sentence(seen, stopping)))}</p>
{bars}{facts(_figures(seen))}{leave}{markup.notes(map(shortened, warnings), "warnings")}</section>
"""


def report_card(seen: Snapshot) -> str:
    """Return the metrics of a finished run, or why they cannot be read; empty before."""
    try:
        report = seen.read_report()
    except RunError as error:
        return cards.problem(shortened(str(error)), "No report")
    if report is None:
        return ""
    valid = _measured(report)
    if valid is None:
        words = "All tracks are training tracks, so nothing was measured."
        return f'<section class="card" aria-label="Report"><h3 class="eyebrow">Report</h3><p>{words}</p></section>'
    votes = ", ".join(f"{VOTE_NAMES.get(vote, vote).lower()} {percent(value)}" for vote, value in valid["by_vote"].items())
    heading = (
        "Report on the validation tracks" if "valid" in report else f"Cross-validation with {report['folds']['folds']} folds"
    )
    values = {
        "Best epoch" if "valid" in report else "Kept epoch": f"{report['best_epoch']} of {seen.n_epochs}",
        "Log-loss": f"{valid['log_loss']:.3f}",
        "Macro F1": f"{valid['macro_f1']:.3f}",
        "Segments": percent(valid["segment_accuracy"]),
        "Training took": duration(report["seconds"]),
    }
    wide = {"By vote": votes}
    if "test" in report:
        wide["Test tracks"] = f"{_right(report['test'])} right, {_accuracy(report['test'])}"
    rows = (_genre_row(genre, scores) for genre, scores in valid["per_genre"].items())
    genres = markup.table(["", "", "F1", "precision", "recall", "tracks"], rows, "counts f1")
    return f"""
<section class="card" aria-label="Report"><h3 class="eyebrow">{heading}</h3>
<p class="genre">{_right(valid)} right</p>
<p class="sub">{_accuracy(valid)}</p>
{facts(values)}{facts(wide, "facts wide")}
<div class="scroll" tabindex="0">{genres}</div></section>
"""


def confusion_of(seen: Snapshot) -> tuple[list[list[int]], list[str], str] | None:
    """Return a run's newest confusion matrix, its genres and a title; None before the first validation."""
    report = seen.report
    if report is not None:
        measured = _measured(report)
        if measured is None:
            return None
        kept = f"epoch {report['best_epoch']} (the kept one)" if "valid" in report else "cross-validation"
        return measured["confusion"]["matrix"], measured["confusion"]["genres"], f"Confusion, {kept}"
    latest = next((epoch for epoch in reversed(seen.journal.epochs) if epoch.confusion), None)
    if latest is None or latest.confusion is None or seen.started is None:
        return None
    if len(latest.confusion) != len(seen.started.genres):  # the journal is damaged
        return None
    return latest.confusion, seen.started.genres, f"Confusion, epoch {latest.epoch}"


def comparison(one: Snapshot, other: Snapshot) -> str:
    """Return a table of two runs: their results, then the settings in which they differ."""
    theirs = _results(other)
    results = {name: (first, theirs[name]) for name, first in _results(one).items() if first or theirs[name]}
    mine, theirs = _settings(one), _settings(other)
    differing = {
        name: (mine.get(name, ""), theirs.get(name, "")) for name in mine | theirs if mine.get(name) != theirs.get(name)
    }
    rows = []
    for part, lines in (("Results", results), ("Different settings", differing or {"settings": ("the same", "the same")})):
        rows.append(f'<tr class="part"><th colspan="3" scope="rowgroup">{part}</th></tr>')
        rows += [markup.row(breakable(name), map(escape, values)) for name, values in lines.items()]
    heads = ["", breakable(one.run.name), breakable(other.run.name)]
    return f'<div class="scroll tall" tabindex="0">{markup.table(heads, rows, "counts compared")}</div>'


def question(name: str) -> str:
    """Return the question before a run is deleted."""
    return f"<p>Delete <b>{escape(name)}</b> with its checkpoint and its report? This cannot be undone.</p>"


def _sentence(seen: Snapshot, stopping: bool) -> str:
    status, epoch, epochs = seen.status, seen.n_finished, seen.n_epochs
    if stopping:
        return "Stopping after the current step; the state is saved."
    if status is Status.finished and (end := seen.journal.last(Finished)):
        early = f", ended early after epoch {epoch}" if epoch < epochs else ""
        done = f"Finished after {duration(end.seconds)} of training{early}"
        return f"{done}: {_tracks(end.accuracy or 0, seen)} are right." if not seen.trains_on_all else f"{done}."
    if status is Status.failed and (failure := seen.journal.last(Failed)):
        return failure.message
    if status is Status.running:
        # Without a step since the last start, the time left is unknown.
        now = seen.journal.latest(Stepped, Process)
        left = now.eta_seconds if isinstance(now, Stepped) else None
        return f"Epoch {min(epoch + 1, epochs)} of {epochs}" + (f" · about {duration(left)} left" if left else "")
    return {
        Status.starting: "Starting the training process.",
        Status.queued: "Waiting until the device is free. The run then starts by itself.",
        Status.preparing: "Preparing the data.",
        Status.paused: f"Between two turns on the GPU, {epoch} of {epochs} epochs done. The run continues by itself.",
        Status.stopped: f"Stopped after {epoch} of {epochs} epochs. Resume continues exactly from there.",
        Status.died: f"The process ended without a message after {epoch} of {epochs} epochs: it was killed, or the machine "
        "went down. Resume continues from the last saved state.",
    }[status]


def _bars(seen: Snapshot, started: Started) -> str:
    steps, epochs, now = started.steps, seen.n_epochs, seen.step
    done = seen.n_finished or started.epoch
    step = now.step if now and now.epoch > done else started.step if started.epoch >= done else 0
    run = cards.bar(f"Run: {done} of {epochs} epochs", done + step / max(1, steps), epochs)
    return (
        f'<div class="bars-two">{run}{cards.bar(f"Epoch {min(done + 1, epochs)}: step {step} of {steps}", step, steps)}</div>'
    )


def _figures(seen: Snapshot) -> dict[str, str]:
    started, now, best = seen.started, seen.step, seen.journal.best
    values: dict[str, str] = {}
    if best and best.valid_accuracy is not None and seen.status is not Status.finished:
        values["Best so far"] = f"{_tracks(best.valid_accuracy, seen)}, epoch {best.epoch}"
    if best and best.recorded_accuracy is not None:
        values[_RECORDED] = _tracks(best.recorded_accuracy, seen)
    if now and seen.status is Status.running:
        values["Speed"] = f"{now.samples_per_second:,.0f} segments/s"
        values["Memory"] = f"{now.memory_bytes / 1e9:.1f} GB"
        values["Learning rate"] = f"{now.learning_rate:.2g}"
    if started:
        values["Device"] = started.device + (f" × {started.processes}" if started.processes > 1 else "")
        values["Network"] = f"{seen.description.config.model}, {started.parameters:,} parameters"
        tracks = started.tracks
        values["Tracks"] = ", ".join(f"{tracks[split]} {words}" for split, words in SPLITS.items() if tracks.get(split))
    values["Started"] = time.strftime("%d %b %Y, %H:%M", time.localtime(seen.description.created))
    return values


def _measured(report: Report) -> Metrics | None:
    """Return the metrics of the validation tracks or, without these, of the cross-validation; None if nothing was measured."""
    return report.get("valid") or report.get("folds")


def _tracks(accuracy: float | None, seen: Snapshot) -> str:
    """Return an accuracy as a count of validation tracks, which says how much it is worth; empty for None."""
    if accuracy is None:
        return ""
    n = seen.started.tracks.get("valid", 0) if seen.started else 0
    return f"{round(accuracy * n)} of {n} validation tracks" if n else f"{percent(accuracy)} of the validation tracks"


def _right(metrics: Accuracy) -> str:
    return f"{round(metrics['accuracy'] * metrics['n_tracks'])} of {metrics['n_tracks']}"


def _accuracy(metrics: Accuracy) -> str:
    low, high = metrics["accuracy_ci95"]
    return f"{percent(metrics['accuracy'])}, 95 % interval {percent(low)} to {percent(high)}"


def _genre_row(genre: str, scores: Scores) -> str:
    """Return a row of the report; without tracks, a genre has no F1."""
    shares = [scores[key] if scores["n"] else None for key in ("f1", "precision", "recall")]
    shown = [NO_VALUE if share is None else f"{share:.2f}" for share in shares]
    return markup.row(escape(genre), [markup.share_bar(shares[0] or 0), *shown, scores["n"]])


def _results(seen: Snapshot) -> dict[str, str]:
    report, best = seen.report, seen.journal.best
    found = {"status": seen.status.value}
    found |= dict.fromkeys(("accuracy", _RECORDED.lower(), "log-loss", "macro F1", "best epoch"), "")
    seconds = sum(epoch.seconds for epoch in seen.journal.epochs)
    if best:
        found["best epoch"] = str(best.epoch)
        found["accuracy"] = _tracks(best.valid_accuracy, seen)
        found["log-loss"] = "" if best.valid_log_loss is None else f"{best.valid_log_loss:.3f}"
        found[_RECORDED.lower()] = _tracks(best.recorded_accuracy, seen)
    if report is not None:
        valid, seconds = _measured(report), report["seconds"]
        found["best epoch"] = str(report["best_epoch"])
        found |= dict.fromkeys(("accuracy", "log-loss", "macro F1"), NO_VALUE)
        if valid is not None:
            found |= {"accuracy": f"{_right(valid)}, {_accuracy(valid)}", "log-loss": f"{valid['log_loss']:.3f}"}
            found["macro F1"] = f"{valid['macro_f1']:.3f}"
    found["time"] = duration(seconds) if seconds else ""
    found["parameters"] = f"{seen.started.parameters:,}" if seen.started else ""
    return found


def _settings(seen: Snapshot) -> dict[str, str]:
    request, settings = seen.description.request, seen.description.config.model_dump(mode="json")
    own = {"recipe": request.recipe, "data": shortened(request.data), "init-from": request.init_name}
    if (data := shown_data()) is not None:  # others may not see the folders of this machine
        own |= {"recipe": Path(request.recipe).name, "data": data}
        settings = without_folders(settings)
    (flat,) = pd.json_normalize(settings).to_dict("records")  # by dotted path
    return own | {"columns": request.columns} | {path: str(value) for path, value in flat.items()}
