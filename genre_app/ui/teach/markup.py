"""HTML of what teaching found: how many clips were right, and which were wrong. Text from visitors is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from genre_app.evaluation.metrics import wilson_interval
from genre_app.progress import Progress
from genre_app.ui.cards import bar, percent

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
    return bar(words, found.done, found.total)


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


def wrong(found: dict[str, Any], sources: Mapping[str, str]) -> str:
    """Return the list of wrong clips, each with a button that plays it.

    Parameters
    ----------
    found : dict
    sources : mapping of str to str
        Original name of each clip that is still in the collection, by its file.
    """
    rows = [
        f"{play_button(one['name'], sources)}<span>{escape(one['genre'])}, answered as <b>{escape(one['answer'])}</b></span>"
        for one in found["wrong"]
        if one["name"] in sources
    ]
    return listed("Wrong when left out", rows, most=_MAX_WRONG)


def play_button(name: str, sources: Mapping[str, str]) -> str:
    """Return a button that plays a clip, with the clip's original name."""
    return f'<button type="button" data-play="{escape(name)}">▶ {escape(sources.get(name, name))}</button>'


def listed(title: str, rows: list[str], about: str = "", *, most: int) -> str:
    """Return the first rows of HTML as a list with a title, and how many more there are; empty without rows."""
    if not rows:
        return ""
    items = "".join(f"<li>{row}</li>" for row in rows[:most])
    more = f"<p>and {len(rows) - most} more</p>" if len(rows) > most else ""
    return f'<h3>{title}</h3>{about}<ul class="wrong-clips">{items}</ul>{more}'
