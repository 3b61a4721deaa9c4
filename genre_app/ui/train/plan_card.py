"""The card "What will happen": shows before the start what a run will do."""

from __future__ import annotations

from html import escape

from genre_app.runs.plan import Plan
from genre_app.ui.train.markup import NO_VALUE, SPLITS, duration, facts, notes, row, table

CANNOT = "Can't train on this yet"
"""Heading of an error in the data or the settings."""


def card(body: str, heading: str = "What will happen") -> str:
    """Return the card with a heading."""
    return f'<section class="card" aria-label="Plan" aria-live="polite"><h3 class="eyebrow">{heading}</h3>{body}</section>'


NO_PLAN = card("<p>Check the data to see how the tracks are divided and how long training takes.</p>")
STOPPED = card("<p>The check was stopped. Prepared files are kept. Check again to continue.</p>")
CHANGED = card("<p>The data or the settings have changed: check again.</p>")


def started(name: str) -> str:
    """Return the card after the start of a run."""
    # No event of the run updates this card, so it says nothing that a later event makes untrue.
    return card(f"<p><b>{escape(name)}</b> has been started. Its own card shows how it goes.</p>", "Started")


def plan_card(plan: Plan, *, waits: bool = False) -> str:
    """Return what a run will do.

    Parameters
    ----------
    plan : Plan
    waits : bool
        Whether another run uses the device.
    """
    totals = {split: sum(of_genre.get(split, 0) for of_genre in plan.tracks.values()) for split in SPLITS}
    splits = [split for split in SPLITS if totals[split] or split != "test"]
    rows = []
    for genre, of_genre in (plan.tracks | {"": totals}).items():
        cells = [of_genre.get(split, 0) if totals[split] else NO_VALUE for split in splits]
        rows.append(row(escape(genre or "all"), cells, "" if genre else ' class="total"'))
    values = {
        "Segments": ", ".join(f"{plan.segments[split]:,} {SPLITS[split]}" for split in ("train", "valid") if totals[split]),
        "An epoch": f"{plan.epoch_segments:,} segments in {plan.steps:,} step{'s' * (plan.steps != 1)}",
        "Network": f"{plan.config.model}, {plan.parameters:,} parameters",
        "Time": "not measured here",
    }
    if plan.seconds is not None:
        values["Time"] = f"about {duration(plan.seconds)} for {plan.config.epochs} epochs on {plan.device}"
    lines = list(plan.notes)
    if waits:
        lines.insert(0, "Another run is active. This one waits until the device is free.")
    if plan.config.augment.waveform.changes:
        lines.append("Worker processes change the waveforms, which can take longer than the time above.")
    counts = table(["tracks", *(SPLITS[split] for split in splits)], rows)
    return card(f'<div class="scroll" tabindex="0">{counts}</div>{facts(values)}{notes(lines)}')
