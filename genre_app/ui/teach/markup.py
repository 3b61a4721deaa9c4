"""HTML of what teaching found: how many clips were right, and which were wrong. Text from visitors is escaped."""

from __future__ import annotations

from html import escape
from typing import Any

from genre_app.evaluation.metrics import wilson_interval
from genre_app.progress import Progress
from genre_app.ui.cards import percent

WELCOME = """
<p class="intro">Makes a model of your own from these clips, usually within half a minute. Then it tests itself: each clip is
left out, and the model is asked about it.</p>
"""

_MAX_WRONG = 40  # clips that are listed


def progress(found: Progress) -> str:
    """Return a progress bar."""
    words = f"{found.stage[:1].upper()}{found.stage[1:]}: {found.done} of {found.total}"
    if found.eta_seconds:
        words += f", about {found.eta_seconds:.0f} s left"
    return (
        f'<div class="progress" role="status"><progress value="{found.done}" max="{max(1, found.total)}" '
        f'aria-label="Teaching"></progress><p>{escape(words)}</p></div>'
    )


def done(seconds: float, collection: str | None) -> str:
    """Say that a model was taught; the collection is named where a visitor may look at another one meanwhile."""
    model = "The model" if collection is None else f"The model of {escape(collection)}"
    return f'<p role="status">{model} is taught. It took {seconds:.0f}\N{NO-BREAK SPACE}s.</p>'


def result(found: dict[str, Any]) -> str:
    """Return the card of a taught model; ``found`` is `genre_app.teaching.teach.Taught.to_dict`."""
    n = found["left_out"]["n_tracks"]
    right, recorded = (round(found[key]["accuracy"] * n) for key in ("left_out", "recorded"))
    low, high = wilson_interval(right, n)
    before = found["before"]["right"]
    genres = ", ".join(map(escape, found["genres"]))
    failed = "".join(f"<li>{escape(one['reason'])}</li>" for one in found["failed"])
    return f"""
<section class="card" aria-label="Taught model" id="taught">
  <h2 class="eyebrow">Your model · {genres}</h2>
  <p class="genre">{right} of {n} right</p>
  <p class="sub">before: {before} of {n} · as simulated recordings: {recorded} of {n}</p>
  <p>Each clip was left out, the model was taught without it, and then asked about it. With as many other clips, expect
  {percent(low)} to {percent(high)} right (95 % interval).</p>
  {f'<ul class="warnings">{failed}</ul>' if failed else ""}
</section>
"""


def wrong(found: dict[str, Any], sources: dict[str, str]) -> str:
    """Return the list of wrong clips, each with a button that plays it.

    Parameters
    ----------
    found : dict
    sources : dict of str to str
        Original name of each clip that is still in the collection, by its file.
    """
    rows = [one for one in found["wrong"] if one["name"] in sources]
    if not rows:
        return ""
    items = "".join(
        f'<li><button type="button" data-play="{escape(one["name"], quote=True)}">▶ {escape(sources[one["name"]])}</button>'
        f"<span>{escape(one['genre'])}, answered as <b>{escape(one['answer'])}</b></span></li>"
        for one in rows[:_MAX_WRONG]
    )
    more = f"<p>and {len(rows) - _MAX_WRONG} more</p>" if len(rows) > _MAX_WRONG else ""
    return f'<h3>Wrong when left out</h3><ul class="wrong-clips">{items}</ul>{more}'
