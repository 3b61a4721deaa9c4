"""The frames of an answer: rows of the table, parts of a long clip, and the mark of a chosen frame."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any

import gradio as gr
import numpy as np

from genre_app.prediction import Prediction
from genre_app.ui import cards
from genre_app.ui.cells import cells
from genre_app.ui.figures import clock
from genre_app.ui.service import Answer

HEADERS = ["#", "Start", "Genre", "Probability"]
SUMMARY_SECONDS = 180.0
"""Longer clips get a summary of their parts."""

_ROWS = 200  # frames on one page of the table
_SMOOTH_SECONDS = 30.0  # a part's genre is that of the mean probabilities over this time
_SHORTEST_SECONDS = 20.0  # a shorter part joins its longer neighbour


def pages(prediction: Prediction) -> list[tuple[str, str]]:
    """Return label and number of each page of the table."""
    starts, duration = prediction.segment_starts, prediction.duration_seconds
    firsts = range(0, len(starts), _ROWS)
    times = [*(float(starts[first]) for first in firsts), duration]
    return [
        (f"{clock(start, duration)} to {clock(end, duration)}", str(number))
        for number, (start, end) in enumerate(pairwise(times))
    ]


def rows(prediction: Prediction, page: str) -> list[list[Any]]:
    """Return the rows of a page of the table: frame number, start, genre (a dash if the clip is rejected), probability."""
    first = int(page) * _ROWS
    found: list[list[Any]] = []
    for index in range(first, min(first + _ROWS, len(prediction.segment_starts))):
        seconds = float(prediction.segment_starts[index])
        start = f"{seconds:.1f} s" if prediction.duration_seconds < 60 else clock(seconds, prediction.duration_seconds)
        if prediction.segment_sounds[index]:
            p = float(prediction.segment_probabilities[index].max())
            genre = prediction.segment_genres[index] if prediction.is_music else "–"
            found.append([index + 1, start, genre, cards.percent(p)])
        else:
            found.append([index + 1, start, "(silent)", ""])
    return found


def mark(state: Answer | None, event: gr.SelectData) -> Any:
    """Return the start in seconds of the frame in the chosen row, and the HTML that marks it."""
    # The row names its frame, because sorting and paging change the row's index.
    frame = int(event.row_value[0]) - 1
    if state is None or not 0 <= frame < len(state.prediction.segment_starts):
        return gr.skip()
    prediction = state.prediction
    seconds, length = float(prediction.segment_starts[frame]), prediction.duration_seconds
    # The only frame of a shorter clip ends after it.
    end = min(1.0, float(prediction.segment_ends[frame]) / length)
    return seconds, cards.frame_mark(event.index[0], seconds / length, end)


@dataclass(frozen=True)
class Part:
    """A stretch of a long clip with one genre.

    Attributes
    ----------
    start, end : float
        Seconds.
    genre : str or None
        None if the stretch is silent.
    n_agree, n_frames : int
        Frames that this genre wins, and all frames of the stretch.
    """

    start: float
    end: float
    genre: str | None
    n_agree: int
    n_frames: int


def parts(prediction: Prediction) -> list[Part]:
    """Merge neighbouring frames of about the same genre into parts, in the order of time."""
    n = len(prediction.segment_starts)
    edges = cells(prediction, most=n).edges
    window = np.ones(max(1, round(_SMOOTH_SECONDS * n / prediction.duration_seconds)))
    audible = prediction.segment_probabilities * prediction.segment_sounds[:, None]
    smooth = np.stack([np.convolve(column, window, "same") for column in audible.T])  # [g, s]
    winners = np.where(prediction.segment_sounds, smooth.argmax(axis=0), -1)
    starts = np.append(0, np.flatnonzero(np.diff(winners)) + 1)
    genres = winners[starts]
    while len(starts) > 1:
        lengths = np.diff(edges[np.append(starts, n)])
        shortest = int(lengths.argmin())
        if lengths[shortest] >= _SHORTEST_SECONDS:
            break
        after = shortest == 0 or (shortest < len(lengths) - 1 and lengths[shortest + 1] > lengths[shortest - 1])
        genres[shortest] = genres[shortest + 1 if after else shortest - 1]
        is_other = np.append(True, genres[1:] != genres[:-1])
        starts, genres = starts[is_other], genres[is_other]
    own = np.where(prediction.segment_sounds, prediction.segment_probabilities.argmax(axis=1), -1)
    return [
        Part(
            float(edges[a]),
            float(edges[b]),
            prediction.genres[genre] if genre >= 0 else None,
            int((own[a:b] == genre).sum()),
            int(b - a),
        )
        for (a, b), genre in zip(pairwise([*starts, n]), genres, strict=True)
    ]


def outline(prediction: Prediction) -> str:
    """Return the heading of the table; for a long clip, a list of its parts before it."""
    heading = '<h2>Frames</h2><p class="remark">Choose a row, or click in the figure, to play from there.</p>'
    length = prediction.duration_seconds
    if length < SUMMARY_SECONDS or not prediction.is_music:
        return heading
    items = "".join(
        f'<li><button data-seconds="{part.start:.2f}">{clock(part.start, length)}–{clock(part.end, length)}</button> '
        f"<b>{escape(part.genre or 'silent')}</b> <span>{part.n_agree} of {part.n_frames} frames</span></li>"
        for part in parts(prediction)
    )
    return f'<h2>Parts</h2><ol class="parts">{items}</ol>{heading}'
