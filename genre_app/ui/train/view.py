"""What the Train tab says, as HTML: a plan, a run as it goes, its report, and two runs beside each other."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING, Any

from genre_app.runs.run import Status
from genre_app.ui.permission import shown_data
from genre_app.ui.service import VOTE_NAMES
from genre_app.ui.train.snapshot import Brief, Snapshot

if TYPE_CHECKING:
    from genre_app.runs.plan import Plan

SPLITS = {"train": "to learn", "valid": "to choose", "test": "kept back"}

_BADGES = {Status.died: "broke off"}

NO_RUNS = """
<div class="empty">No run yet. Say where the music is, check it, and start: here you will watch it learn.</div>
"""

NO_PLAN = """
<section class="card" aria-label="Plan"><p class="eyebrow">What will happen</p>
<p>Check the data, and this tells how the tracks are divided and how long training will take.</p></section>
"""

HALTED = """
<section class="card" aria-label="Plan"><p class="eyebrow">What will happen</p>
<p>Stopped. What was prepared is kept; check again to go on.</p></section>
"""

CHANGED = """
<section class="card" aria-label="Plan"><p class="eyebrow">What will happen</p>
<p>The data or the settings have changed: check again.</p></section>
"""


def duration(seconds: float) -> str:
    """Write a time as people say it: ``8 s``, ``3 min``, ``1 h 20 min``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def share(value: float | None) -> str:
    """Write an accuracy."""
    return "" if value is None else f"{100 * value:.1f} %"


def plan_card(plan: Plan, *, waits: bool = False) -> str:
    """Tell what a run will do."""
    totals = {split: sum(of.get(split, 0) for of in plan.tracks.values()) for split in SPLITS}
    kept = [split for split in SPLITS if totals[split] or split != "test"]
    head = "".join(f'<th scope="col">{SPLITS[split]}</th>' for split in kept)
    rows = "".join(
        f'<tr><th scope="row">{escape(genre)}</th>{"".join(f"<td>{of.get(split, 0)}</td>" for split in kept)}</tr>'
        for genre, of in plan.tracks.items()
    )
    rows += f'<tr class="total"><th scope="row">all</th>{"".join(f"<td>{totals[split]}</td>" for split in kept)}</tr>'
    seconds = plan.seconds
    facts = {
        "Segments": f"{plan.segments['train']:,} to learn, {plan.segments['valid']:,} to choose",
        "An epoch": f"{plan.epoch_segments:,} segments in {plan.steps:,} step{'s' * (plan.steps != 1)}",
        "Network": f"{plan.config.model}, {plan.parameters:,} parameters",
        "Time": "not measured here"
        if seconds is None
        else f"about {duration(seconds)} for {plan.config.epochs} epochs on {plan.device}",
    }
    notes = list(plan.notes)
    if waits:
        notes.insert(0, "Another run is at work; this one waits until the device is free.")
    if plan.config.augment.waveform.changes:
        notes.append("Waveforms are changed by processes of their own, which may take longer than the time above.")
    return f"""
<section class="card" aria-label="Plan" aria-live="polite"><p class="eyebrow">What will happen</p>
<div class="scroll"><table class="counts"><thead><tr><th scope="col">tracks</th>{head}</tr></thead>
<tbody>{rows}</tbody></table></div>
{_facts(facts)}{_notes(notes)}</section>
"""


def problem(message: str, eyebrow: str = "This cannot be trained") -> str:
    """Say in place what is wrong."""
    return f'<section class="card problem" role="alert"><p class="eyebrow">{eyebrow}</p><p>{escape(message)}</p></section>'


def wrong(message: str) -> str:
    """Say under the fields what is wrong with a value; who listens to the page hears it from `problem`."""
    return f'<p class="wrong">{escape(message)}</p>'


def note(refused: str | None) -> str:
    """Say who may train, where that is not everybody."""
    return f'<p class="intro">{escape(refused)}</p>' if refused else ""


def begun(name: str) -> str:
    """Say that a run has begun."""
    return f"""
<section class="card" aria-label="Plan"><p class="eyebrow">Started</p>
<p><b>{escape(name)}</b> is a process of its own now: you may close this page, and look again later.</p></section>
"""


def question(name: str) -> str:
    """Ask whether a run is to be deleted."""
    return f"<p>Delete <b>{escape(name)}</b> with its checkpoint and its report? There is no way back.</p>"


def bar(words: str, done: float, total: float) -> str:
    """Show how far something is."""
    value = f'max="{total:g}" value="{done:g}"' if total > 0 else ""
    return f'<div class="progress"><progress {value}></progress><p role="status">{escape(words)}</p></div>'


def preparing(stage: str, done: int, total: int, eta_seconds: float | None) -> str:
    """Show how far data are prepared."""
    words = f"{stage[:1].upper()}{stage[1:]}" + (f": {done:,} of {total:,}" if total else " …")
    return bar(words + (f" · {duration(eta_seconds)} left" if eta_seconds else ""), done, total)


def list_row(brief: Brief) -> list[str]:
    """Return a row of the table of runs."""
    accuracy = "" if brief.accuracy is None else f"{100 * brief.accuracy:.0f} %"
    return [brief.name, _BADGES.get(brief.status, brief.status.value), accuracy, f"{brief.epoch}/{brief.epochs}"]


def head(seen: Snapshot) -> str:
    """Tell where a run stands: its state in words, its bars and its figures."""
    status, started = seen.status, seen.last("started")
    stopping = status.is_active and seen.run.should_stop
    warnings = [event["message"] for event in seen.events if event["event"] == "warning"]
    bars = ""
    if status is Status.preparing and (now := seen.last("preparing")):
        bars = preparing(now["stage"], now["done"], now["total"], now["eta_seconds"])
    elif started and status is not Status.finished:
        bars = _run_bars(seen)
    label = "stopping" if stopping else _BADGES.get(status, status.value)
    return f"""
<section class="card run" aria-label="Run"><p class="eyebrow">Run</p>
<p class="name">{escape(seen.run.name)} <span class="badge {status.value}">{label}</span></p>
<p class="sub" role="status">{escape(_sentence(seen, stopping))}</p>
{bars}{_facts(_figures(seen))}{_notes(warnings, "warnings")}</section>
"""


def report_card(seen: Snapshot) -> str:
    """Write the numbers of a run that has finished; empty before."""
    report = seen.run.report() if seen.status is Status.finished else None
    if report is None:
        return ""
    valid = report["valid"]
    low, high = valid["accuracy_ci95"]
    votes = ", ".join(f"{VOTE_NAMES.get(vote, vote).lower()} {share(value)}" for vote, value in valid["by_vote"].items())
    facts = {
        "Best epoch": f"{report['best_epoch']} of {seen.n_epochs}",
        "Log-loss": f"{valid['log_loss']:.3f}",
        "Macro F1": f"{valid['macro_f1']:.3f}",
        "Segments": share(valid["segment_accuracy"]),
        "Training took": duration(report["seconds"]),
    }
    wide = {"By vote": votes}
    if "test" in report:
        test = report["test"]
        below, above = test["accuracy_ci95"]
        wide["Test tracks"] = f"{share(test['accuracy'])} right ({share(below)} to {share(above)}, n = {test['n_tracks']})"
    rows = "".join(
        f'<tr><th scope="row">{escape(genre)}</th>'
        f'<td><span class="track"><span class="bar" style="width:{100 * row["f1"]:.1f}%"></span></span></td>'
        f"<td>{row['f1']:.2f}</td><td>{row['precision']:.2f}</td><td>{row['recall']:.2f}</td><td>{row['n']}</td></tr>"
        for genre, row in valid["per_genre"].items()
    )
    heads = "".join(f'<th scope="col">{name}</th>' for name in ("", "", "F1", "precision", "recall", "tracks"))
    return f"""
<section class="card" aria-label="Report"><p class="eyebrow">Report, {valid["n_tracks"]} validation tracks</p>
<p class="genre">{share(valid["accuracy"])} right</p>
<p class="sub">95 % interval {share(low)} to {share(high)}</p>
{_facts(facts)}{_facts(wide, "facts wide")}
<div class="scroll"><table class="counts f1"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div></section>
"""


def confusion_of(seen: Snapshot) -> tuple[list[list[int]], list[str], str] | None:
    """Return a run's newest confusion matrix, its genres and a title; None before the first validation."""
    report = seen.run.report() if seen.status is Status.finished else None
    if report is not None:
        confusion = report["valid"]["confusion"]
        return confusion["matrix"], confusion["genres"], f"Confusion, epoch {report['best_epoch']} (the one kept)"
    latest = next((epoch for epoch in reversed(seen.epochs) if epoch.get("confusion")), None)
    genres = seen.last("started").get("genres")
    if latest is None or not genres:
        return None
    return latest["confusion"], genres, f"Confusion, epoch {latest['epoch']}"


def confusion_figure(webp_base64: str, title: str, matrix: list[list[int]], width: int) -> str:
    """Put the drawn matrix on the page, with words for those who cannot see it."""
    right, total = sum(row[i] for i, row in enumerate(matrix)), sum(map(sum, matrix))
    return (
        f'<section class="card"><p class="eyebrow">{escape(title)}</p><img class="confusion" style="width:{width}px" '
        f'alt="{right} of {total} validation tracks on the diagonal" src="data:image/webp;base64,{webp_base64}"></section>'
    )


def comparison(one: Snapshot, other: Snapshot) -> str:
    """Put two runs beside each other: what they reached, then the settings in which they differ."""
    results = [(name, first, second) for (name, first), (_, second) in zip(_results(one), _results(other), strict=True)]
    mine, theirs = _settings(one), _settings(other)
    differing = [
        (name, mine.get(name, ""), theirs.get(name, "")) for name in {**mine, **theirs} if mine.get(name) != theirs.get(name)
    ]
    if not differing:
        differing = [("settings", "the same", "the same")]
    heads = "".join(f'<th scope="col">{_breakable(seen.run.name)}</th>' for seen in (one, other))
    rows = "".join(
        f'<tr class="part"><th colspan="3" scope="rowgroup">{part}</th></tr>'
        + "".join(
            f'<tr><th scope="row">{_breakable(name)}</th><td>{escape(first)}</td><td>{escape(second)}</td></tr>'
            for name, first, second in lines
        )
        for part, lines in (("Reached", results), ("Settings that differ", differing))
    )
    return f"""
<div class="scroll tall"><table class="counts compared"><thead><tr><th></th>{heads}</tr></thead>
<tbody>{rows}</tbody></table></div>
"""


def _sentence(seen: Snapshot, stopping: bool) -> str:
    status, epoch, of = seen.status, seen.epochs[-1]["epoch"] if seen.epochs else 0, seen.n_epochs
    if stopping:
        return "Stopping after the step under way; what is learned is saved."
    if status is Status.finished:
        ended = seen.last("finished")
        took, early = duration(ended["seconds"]), f", ended early after epoch {epoch}" if epoch < of else ""
        return f"Finished after {took} of training{early}: {share(ended['accuracy'])} of the validation tracks are right."
    if status is Status.failed:
        return str(seen.last("failed").get("message", "Failed."))
    if status is Status.running:
        now = seen.last("step")
        left = now.get("eta_seconds") if now and now in seen.since_start else None
        return f"Epoch {min(epoch + 1, of)} of {of}" + (f" · about {duration(left)} left" if left else "")
    return {
        Status.starting: "Starting a process of its own.",
        Status.queued: "Waiting until the device is free; it begins by itself.",
        Status.preparing: "Preparing the data.",
        Status.paused: f"Between two turns on the GPU, {epoch} of {of} epochs done; it goes on by itself.",
        Status.stopped: f"Stopped after {epoch} of {of} epochs; Resume goes on exactly from there.",
        Status.died: f"The process ended without a word after {epoch} of {of} epochs, as when it is killed or the machine goes "
        "down; Resume goes on from the last saved state.",
    }[status]


def _run_bars(seen: Snapshot) -> str:
    started, now = seen.last("started"), seen.last("step")
    steps = started["steps"]
    over = seen.epochs[-1]["epoch"] if seen.epochs else started.get("epoch", 0)
    step = now["step"] if now and now["epoch"] > over else started.get("step", 0) if started.get("epoch", 0) >= over else 0
    of = seen.n_epochs
    epochs = bar(f"Run: {over} of {of} epochs", over + step / max(1, steps), of)
    return f'<div class="bars-two">{epochs}{bar(f"Epoch {min(over + 1, of)}: step {step} of {steps}", step, steps)}</div>'


def _figures(seen: Snapshot) -> dict[str, str]:
    started, now, best = seen.last("started"), seen.last("step"), seen.best
    facts: dict[str, str] = {}
    if seen.status is not Status.finished and best.get("valid_accuracy") is not None:
        facts["Best so far"] = f"{share(best['valid_accuracy'])} of the tracks, epoch {best['epoch']}"
    if best.get("recorded_accuracy") is not None:
        facts["As imitated recordings"] = f"{share(best['recorded_accuracy'])} of the tracks"
    if seen.status is Status.running and now:
        facts["Speed"] = f"{now['samples_per_second']:,.0f} segments/s"
        facts["Memory"] = f"{now['memory_bytes'] / 1e9:.1f} GB"
        facts["Learning rate"] = f"{now['learning_rate']:.2g}"
    if started:
        tracks = started["tracks"]
        facts["Device"] = started["device"] + (f" × {started['processes']}" if started.get("processes", 1) > 1 else "")
        facts["Network"] = f"{seen.description.config.model}, {started['parameters']:,} parameters"
        facts["Tracks"] = ", ".join(f"{tracks[split]} {words}" for split, words in SPLITS.items() if tracks.get(split))
    facts["Started"] = time.strftime("%d %b %Y, %H:%M", time.localtime(seen.description.created))
    return facts


def _results(seen: Snapshot) -> list[tuple[str, str]]:
    report = seen.run.report() if seen.status is Status.finished else None
    if report is not None:
        valid = report["valid"]
        low, high = valid["accuracy_ci95"]
        accuracy = f"{share(valid['accuracy'])} ({share(low)} to {share(high)}, n = {valid['n_tracks']})"
        loss, f1, best, took = f"{valid['log_loss']:.3f}", f"{valid['macro_f1']:.3f}", report["best_epoch"], report["seconds"]
    else:
        kept = seen.best
        accuracy, f1, best = share(kept.get("valid_accuracy")), "", kept.get("epoch", "")
        loss = f"{kept['valid_log_loss']:.3f}" if kept.get("valid_log_loss") is not None else ""
        took = sum(epoch["seconds"] for epoch in seen.epochs)
    parameters = seen.last("started").get("parameters")
    return [
        ("status", seen.status.value),
        ("accuracy", accuracy),
        ("as imitated recordings", share(seen.best.get("recorded_accuracy"))),
        ("log-loss", loss),
        ("macro F1", f1),
        ("best epoch", str(best)),
        ("time", duration(took) if took else ""),
        ("parameters", f"{parameters:,}" if parameters else ""),
    ]


def _settings(seen: Snapshot) -> dict[str, str]:
    request = seen.description.request
    asked = {
        "recipe": request.recipe,
        "data": shown_data() or request.data,
        "init-from": request.init_name,
        "columns": request.columns,
    }
    return asked | dict(_flat(seen.description.config.model_dump(mode="json")))


def _flat(values: dict[str, Any], group: str = "") -> Iterable[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{group}{name}.")
        else:
            yield f"{group}{name}", str(value)


def _breakable(name: str) -> str:
    """Let the name of a setting or of a run break between its words, for a browser breaks it anywhere if it has to."""
    return re.sub(r"([._-]+)", r"\1<wbr>", escape(name))


def _facts(facts: dict[str, str], style: str = "facts") -> str:
    if not facts:
        return ""
    return f'<dl class="{style}">{"".join(f"<div><dt>{k}</dt><dd>{escape(v)}</dd></div>" for k, v in facts.items())}</dl>'


def _notes(notes: Iterable[str], style: str = "notes") -> str:
    lines = "".join(f"<li>{escape(note[:1].upper() + note[1:])}</li>" for note in notes)
    return f'<ul class="{style}">{lines}</ul>' if lines else ""
