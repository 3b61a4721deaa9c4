"""What a visitor does with a row of a batch: play it, open it in Classify, correct it, keep it.

The browser sends the number of a row, never a path, so a visitor reaches only the files of their own batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from genre_app.ui import cards
from genre_app.ui.batch.table import GENRE_LETTERS, Row, to_csv
from genre_app.ui.classify.answers import AS_TRAINED
from genre_app.ui.collect.correct import add_corrected
from genre_app.ui.downloads import download
from genre_app.ui.frame import PRIVATE, Frame
from genre_app.ui.offered import offered_now
from genre_app.ui.service import names_of

_GONE = "This row is gone; classify the files again."


def set_truth(rows: list[Row] | None, event: gr.EventData) -> tuple[Any, Any]:
    """Take the true genre that the visitor has typed beside a row."""
    row = _chosen_row(rows, event)
    if rows is None or row is None:
        return gr.skip(), gr.skip()
    genre = event._data.get("genre")
    genre = " ".join(genre.split())[:GENRE_LETTERS] if isinstance(genre, str) else ""
    changed = [replace(other, truth=genre) if other is row else other for other in rows]
    return changed, download("genres.csv", to_csv(changed))


def keep(rows: list[Row] | None, chosen: str | None, event: gr.EventData, request: gr.Request) -> str:
    """Add the file of a row, with its true genre, to the visitor's collection."""
    row = _chosen_row(rows, event)
    missing = _missing(row)
    if row is None or missing:
        return cards.problem(missing, "Not added")
    if not row.truth:
        return cards.problem(f"Type the true genre of {row.file} first.", "Not added")
    return add_corrected(row.truth, row.path, row.prediction, chosen, request, origin="batch", name=row.file)


def play(rows: list[Row] | None, event: gr.EventData) -> tuple[Any, str]:
    """Play the file of a row; return the player, and what there is to say."""
    row = _chosen_row(rows, event)
    missing = _missing(row)
    if row is None or missing:
        return gr.Audio(value=None, visible=False), cards.problem(missing, "Not played")
    return gr.Audio(value=row.path, label=row.file, visible=True), ""


def connect_classify(frame: Frame, opened: Any, rows: gr.State, said: gr.HTML) -> None:
    """Let an event open the row that it names in Classify, with the checkpoint and the vote of its answer.

    Parameters
    ----------
    frame : Frame
    opened : callable
        The event of the table.
    rows : gradio.State
    said : gradio.HTML
        Says why a row cannot be opened.
    """
    audio, checkpoint, vote, overlap, own = (frame.parts[part] for part in ("audio", "checkpoint", "vote", "overlap", "own"))
    is_open, path = gr.Checkbox(visible=False), gr.State(None)

    def open_row(rows: list[Row] | None, own: str | None, event: gr.EventData) -> Mapping[Any, Any]:
        row = _chosen_row(rows, event)
        missing = _missing(row)
        if row is None or row.prediction is None or missing:
            return {said: cards.problem(missing or _GONE, "Not opened"), is_open: False, path: None}
        return {
            path: row.path,
            checkpoint: offered_now(names_of(row.prediction.checkpoint), own),
            vote: gr.Radio(**cards.vote_radio(None, row.prediction.vote)),
            overlap: AS_TRAINED,
            frame.tabs: gr.Tabs(selected="Classify"),
            said: "",
            is_open: True,
        }

    outputs = [path, checkpoint, vote, overlap, frame.tabs, said, is_open]
    shown = opened(open_row, [rows, own], outputs, cancels=frame.answering, **PRIVATE)
    filled = shown.then(lambda path: path or gr.skip(), path, audio, **PRIVATE)  # an event of its own, as in Classify
    frame.classify_after(filled.then(None, is_open, None, js="(opened) => opened && genreApp.show('#music')"), is_open)


def _chosen_row(rows: list[Row] | None, event: gr.EventData) -> Row | None:
    """Return the row whose number the browser has sent."""
    number = event._data.get("row") if isinstance(event._data, dict) else None
    return rows[number] if rows and isinstance(number, int) and 0 <= number < len(rows) else None


def _missing(row: Row | None) -> str:
    """Say why there is no file of a row; nothing if there is one."""
    if row is None:
        return _GONE
    return "" if Path(row.path).is_file() else f"{row.file} is no longer here; upload it again."
