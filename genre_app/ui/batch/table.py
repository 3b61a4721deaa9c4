"""The table of a batch, as HTML for the page and as CSV."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from genre_app.prediction import Prediction
from genre_app.ui import cards

# Columns of the CSV between the true genre and the probabilities.
_FACTS = ("genre", "rejected", "sure", "frames", "frames_agree", "vote", "checkpoint", "warnings", "error")

GENRE_LETTERS = 40
"""Longest name of a true genre, as in checkpoints."""

_OTHER_GROUPS = {"unsure": "not sure", "none": "no genre", "error": "errors"}
_SORTED = {"File": "file", "Genre": "genre", "Probability": "share"}
"""Columns that the page's script can sort by, and its names of them."""

_ICON = (
    '<svg viewBox="0 0 12 12" width="12" height="12" fill="currentColor" aria-hidden="true">'
    '<path class="go" d="M2 0v12l10-6z"/><path class="halt" d="M1 1h4v10H1zM7 1h4v10H7z"/></svg>'
)


@dataclass(frozen=True)
class Row:
    """Result of one file: a prediction, or the reason why there is none; and its true genre, empty if unknown."""

    file: str
    prediction: Prediction | None
    error: str = ""
    path: str = ""
    truth: str = ""


def to_html(rows: list[Row], genres: Sequence[str] | None = None) -> str:
    """Return the filters and the table for the page; on a phone each row becomes a card.

    The page's script ``batch.js`` filters and orders the rows.

    Parameters
    ----------
    rows : list of Row
    genres : sequence of str, optional
        Offered as true genres. By default the batch is not finished: neither the true genres nor the order can be changed.
    """
    if not rows:
        return ""
    is_done = genres is not None
    has_truth = is_done or any(row.truth for row in rows)
    head = "".join(
        f'<th role="columnheader" scope="col">{_sorter(name) if is_done and name in _SORTED else name}</th>'
        for name in ("File", "Genre", *(["True genre"] if has_truth else []), "Probability")
    )
    body = "".join(
        _html_row(row, number, _truth_cell(row, can_edit=is_done) if has_truth else None) for number, row in enumerate(rows)
    )
    options = "".join(f'<option value="{escape(genre)}"></option>' for genre in genres or ())
    # A style sheet that lays table cells out anew would take their roles from them.
    done = " data-done" if is_done else ""
    return (
        f'{_filters(rows, is_done=is_done)}<table class="results" role="table" aria-label="Answers"{done}>'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead><tbody role="rowgroup">{body}</tbody></table>'
        f'<p class="unplayed" role="alert"></p><datalist id="batch-genres">{options}</datalist>'
    )


def group_of(row: Row) -> str:
    """Return the group that a row is counted in: ``genre:NAME`` for a sure answer, ``unsure``, ``none`` or ``error``."""
    p = row.prediction
    if p is None:
        return "error"
    return "none" if p.rejected else f"genre:{p.genre}" if p.is_sure else "unsure"


def _filters(rows: list[Row], *, is_done: bool) -> str:
    """Return a button for each group, with its number of rows."""
    counts = Counter(map(group_of, rows))
    genres = next((row.prediction.genres for row in rows if row.prediction), ())
    names = {"": "all", **{f"genre:{genre}": genre for genre in genres}, **_OTHER_GROUPS}
    buttons = "".join(
        f'<button type="button" class="filter" data-group="{escape(group)}" aria-pressed="{str(not group).lower()}">'
        f"{escape(name)} <b>{counts[group] if group else len(rows)}</b></button>"
        for group, name in names.items()
        if not group or counts[group]
    )
    first = '<button type="button" class="unsure-first" aria-pressed="true">Unsure first</button>'
    order = first if is_done and 0 < counts["unsure"] < len(rows) else ""
    shown = '<p class="remark shown" role="status"></p>'
    return f'<div class="filters"><div role="group" aria-label="Show">{buttons}</div>{shown}{order}</div>'


def _sorter(name: str) -> str:
    return f'<button type="button" class="sorter" data-by="{_SORTED[name]}">{name}</button>'


def _truth_cell(row: Row, *, can_edit: bool) -> str:
    """Return the true genre and whether the answer is right, which can be changed and added to the collection."""
    genre, file = escape(row.truth), escape(row.file)
    p = row.prediction
    is_right = p is not None and (p.genre or "").casefold() == row.truth.casefold()
    mark = "" if p is None or not row.truth else "✓ " if is_right else "≠ "
    if not can_edit or p is None:
        return f"{mark}{genre}"
    return (
        f'<span class="mark">{mark}</span><input class="truth" list="batch-genres" value="{genre}" '
        f'data-answer="{escape(p.genre or "")}" '
        f'maxlength="{GENRE_LETTERS}" placeholder="true genre" aria-label="True genre of {file}">'
        f'<button type="button" class="keep" aria-label="Add {file} to my collection" '
        f'title="Add to my collection">+</button>'
    )


def _html_row(row: Row, number: int, truth_cell: str | None) -> str:
    p = row.prediction
    share = ""
    if p is None:
        genre, remarks = "no answer", row.error.removeprefix(f"{row.file}: ")
    else:
        remarks = "; ".join(p.warnings)
        if p.rejected:
            genre, remarks = cards.REJECTIONS[p.rejected], _guess(p)
        else:
            (first, _), (second, _) = p.ranked(2)
            genre = f"<b>{escape(first)}</b>" if p.is_sure else f"not sure: {escape(first)} or {escape(second)}"
            agree = f"{p.n_agree} of {p.n_sounding} frames" if p.n_sounding > 1 else "a single frame"
            share = f"{escape(cards.percent(p.probabilities.max()))} <small>{agree}</small>"
    cells = {"file": _file_cell(row, remarks[:1].upper() + remarks[1:]), "answer": genre, "right": truth_cell, "share": share}
    shown = "".join(f'<td role="cell" class="{name}">{cell}</td>' for name, cell in cells.items() if cell is not None)
    values = f'data-row="{number}" data-group="{escape(group_of(row))}"'
    if p is not None and not p.rejected:
        values += f' data-genre="{escape(p.ranked(1)[0][0])}" data-share="{p.probabilities.max():.6f}"'
    return f'<tr role="row" {values}{" class=failed" if p is None else ""}>{shown}</tr>'


def _file_cell(row: Row, remarks: str) -> str:
    """Return the file's name over its remarks, with buttons that play it and open it in Classify if it was decoded."""
    file, below = escape(row.file), escape(remarks).replace(" %", "&nbsp;%")
    name = f'<p><span class="name">{_unbroken(row.file)}</span>{f"<small>{below}</small>" if below else ""}</p>'
    if row.prediction is None:
        return f'<div class="song">{name}</div>'
    return (
        f'<div class="song"><button type="button" class="play" aria-label="Play {file}">{_ICON}</button>{name}'
        f'<button type="button" class="open" aria-label="Open {file} in Classify" title="Open in Classify">Open</button></div>'
    )


def _unbroken(file: str) -> str:
    """Return a file's name as HTML whose lines break after a dot, hyphen or underscore, never inside the extension."""
    suffix = Path(file).suffix
    stem = re.sub(r"([._-]+)(?=[^._-])", r"\1<wbr>", escape(file.removesuffix(suffix)))
    return f'{stem}<span class="suffix">{escape(suffix)}</span>'


def _guess(p: Prediction) -> str:
    first, share = p.top(1)[0]
    means = "" if p.is_music else f", which means nothing for {p.rejected}"
    return f"The model's guess{means}: {first}, {cards.percent(share)}"


def to_csv(rows: list[Row]) -> str:
    """Return one line per file: genre or why it is rejected, agreement, remarks or the error, and the probabilities."""
    genres = next((row.prediction.genres for row in rows if row.prediction), ())
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "true_genre", *_FACTS, *genres])
    for row in rows:
        if (p := row.prediction) is None:
            writer.writerow([row.file, row.truth, *[""] * (len(_FACTS) - 1), row.error, *[""] * len(genres)])
            continue
        remarks = "; ".join([*p.warnings, _guess(p)] if p.rejected else p.warnings)
        counts = [p.n_sounding, "" if p.rejected else p.n_agree]
        facts = [p.genre or "", p.rejected or "", str(p.is_sure).lower(), *counts, p.vote, p.checkpoint, remarks, ""]
        writer.writerow([row.file, row.truth, *facts, *(f"{value:.8g}" for value in p.probabilities)])
    return text.getvalue()
