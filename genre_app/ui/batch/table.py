"""The table of a batch, as HTML for the page and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from genre_app.prediction import Prediction
from genre_app.ui import cards

GENRE_LETTERS = 40
"""Longest name of a true genre, as in checkpoints."""


@dataclass(frozen=True)
class Row:
    """Result of one file: a prediction, or the reason why there is none; and its true genre, empty if unknown."""

    file: str
    prediction: Prediction | None
    error: str = ""
    path: str = ""
    truth: str = ""


def to_html(rows: list[Row], genres: Sequence[str] | None = None) -> str:
    """Return the table for the page; on a phone each row becomes a card.

    Parameters
    ----------
    rows : list of Row
    genres : sequence of str, optional
        Offered as true genres. By default the true genres cannot be changed.
    """
    if not rows:
        return ""
    has_truth = genres is not None or any(row.truth for row in rows)
    names = ["File", "Genre", *(["True genre"] if has_truth else []), "Probability", "Agree", "Remarks"]
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    body = "".join(
        _html_row(row, _truth_cell(row, number, can_edit=genres is not None) if has_truth else None)
        for number, row in enumerate(rows)
    )
    options = "".join(f'<option value="{escape(genre)}"></option>' for genre in genres or ())
    kind = "results with-truth" if has_truth else "results"
    return (
        f'<table class="{kind}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        f'<datalist id="batch-genres">{options}</datalist>'
    )


def _truth_cell(row: Row, number: int, *, can_edit: bool) -> str:
    """Return the true genre and whether the answer is right, which can be changed and added to the collection."""
    genre, file = escape(row.truth), escape(row.file)
    p = row.prediction
    is_right = p is not None and (p.genre or "").casefold() == row.truth.casefold()
    mark = "" if p is None or not row.truth else "✓ " if is_right else "≠ "
    if not can_edit or p is None:
        return f"{mark}{genre}"
    return (
        f'<span class="mark">{mark}</span><input class="truth" list="batch-genres" data-row="{number}" value="{genre}" '
        f'data-answer="{escape(p.genre or "")}" '
        f'maxlength="{GENRE_LETTERS}" placeholder="true genre" aria-label="True genre of {file}">'
        f'<button type="button" class="keep" data-row="{number}" aria-label="Add {file} to my collection" '
        f'title="Add to my collection">+</button>'
    )


def _html_row(row: Row, truth_cell: str | None = None) -> str:
    p = row.prediction
    probability = agree = ""
    if p is None:
        genre, remarks = "no answer", row.error.removeprefix(f"{row.file}: ")
    else:
        remarks = "; ".join(p.warnings)
        if p.rejected:
            genre, remarks = cards.REJECTIONS[p.rejected], _guess(p)
        else:
            (first, _), (second, _) = p.ranked(2)
            genre = f"<b>{escape(first)}</b>" if p.is_sure else f"not sure: {escape(first)} or {escape(second)}"
            probability = escape(cards.percent(p.probabilities.max()))
            agree = f"{p.n_agree} of {p.n_sounding} frames" if p.n_sounding > 1 else "a single frame"
    remarks = escape(remarks[:1].upper() + remarks[1:]).replace(" %", "&nbsp;%")
    truth_cells = [] if truth_cell is None else [truth_cell]
    cells = "".join(f"<td>{cell}</td>" for cell in (_unbroken(row.file), genre, *truth_cells, probability, agree, remarks))
    return f'<tr class="failed">{cells}</tr>' if p is None else f"<tr>{cells}</tr>"


def _unbroken(file: str) -> str:
    """Return a file's name as HTML whose lines never break inside the extension."""
    suffix = Path(file).suffix
    return f'{escape(file.removesuffix(suffix))}<span class="suffix">{escape(suffix)}</span>'


def _guess(p: Prediction) -> str:
    first, share = p.top(1)[0]
    means = "" if p.is_music else f", which means nothing for {p.rejected}"
    return f"The model's guess{means}: {first}, {cards.percent(share)}"


def to_csv(rows: list[Row]) -> str:
    """Return one line per file: genre or why it is rejected, agreement, remarks or the error, and the probabilities."""
    genres = next((row.prediction.genres for row in rows if row.prediction), ())
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [
            "file",
            "true_genre",
            "genre",
            "rejected",
            "sure",
            "frames",
            "frames_agree",
            "vote",
            "checkpoint",
            "warnings",
            "error",
            *genres,
        ]
    )
    for row in rows:
        if (p := row.prediction) is None:
            writer.writerow([row.file, row.truth, *[""] * 8, row.error, *[""] * len(genres)])
            continue
        remarks = "; ".join([*p.warnings, _guess(p)] if p.rejected else p.warnings)
        agree = "" if p.rejected else p.n_agree
        facts = [
            p.genre or "",
            p.rejected or "",
            str(p.is_sure).lower(),
            p.n_sounding,
            agree,
            p.vote,
            p.checkpoint,
            remarks,
            "",
        ]
        writer.writerow([row.file, row.truth, *facts, *(f"{value:.8g}" for value in p.probabilities)])
    return text.getvalue()
