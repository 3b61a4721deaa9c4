"""Parts of the Train tab's HTML that several cards share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from html import escape

from genre_app.ui.cards import bar

SPLITS = {"train": "training", "valid": "validation", "test": "test"}
"""Splits of the tracks, and the page's words for them."""

NO_VALUE = "–"


def duration(seconds: float) -> str:
    """Return a time in the units that people use: ``8 s``, ``3 min``, ``1 h 20 min``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def percent(share: float | None) -> str:
    """Return a share as a percentage with one decimal; empty for None."""
    return "" if share is None else f"{100 * share:.1f} %"


def progress_bar(stage: str, done: int, total: int, eta_seconds: float | None) -> str:
    """Return the bar of a stage of the preparation."""
    words = f"{stage[:1].upper()}{stage[1:]}" + (f": {done:,} of {total:,}" if total else " …")
    return bar(words + (f" · {duration(eta_seconds)} left" if eta_seconds else ""), done, total)


def facts(values: Mapping[str, str], style: str = "facts") -> str:
    """Return a list of named values; empty if there are none."""
    rows = "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in values.items())
    return f'<dl class="{style}">{rows}</dl>' if rows else ""


def notes(lines: Iterable[str], style: str = "notes") -> str:
    """Return a bulleted list; empty if there are no lines."""
    rows = "".join(f"<li>{escape(line[:1].upper() + line[1:])}</li>" for line in lines)
    return f'<ul class="{style}">{rows}</ul>' if rows else ""


def table(heads: Iterable[str], rows: Iterable[str], style: str = "counts") -> str:
    """Return a table with a head; ``heads`` are HTML, and ``rows`` come from `row`."""
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    return f'<table class="{style}"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def row(head: str, cells: Iterable[object], attributes: str = "") -> str:
    """Return a row of a table; its head and its cells are HTML."""
    return f'<tr{attributes}><th scope="row">{head}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'


def share_bar(share: float) -> str:
    """Return a bar as long as a share, 0 to 1."""
    return f'<span class="track"><span class="bar" style="width:{100 * share:.1f}%"></span></span>'


def breakable(name: str) -> str:
    """Return a long name that breaks between its words; otherwise a browser breaks it anywhere."""
    return re.sub(r"([._-]+)", r"\1<wbr>", escape(name))
