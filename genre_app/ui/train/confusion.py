"""Draws a confusion matrix: one row for each true genre, one column for each answer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from html import escape
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from genre_app.ui.figures import DPI, View, shortened, text_width, to_url

_CELL_SIZE = (16, 52)  # CSS pixels, smallest and largest
_MARGIN, _AXIS_TITLE = 8, 34  # CSS pixels
_DARK_TEXT, _BRIGHT_TEXT = "#111827", "#ffffff"
_KEPT_IMAGES = 64  # of up to 60 kB each


def confusion_image(matrix: Sequence[Sequence[int]], genres: Sequence[str], words: str, view: View) -> str:
    """Return the drawn matrix as HTML, with ``words`` for those who cannot see it; other parameters as in `draw_confusion`.

    An image is drawn once: a run's matrix often stays the same for many looks of a page, and drawing one of 10 genres takes
    0.2 s (measured).
    """
    url, width = _image(tuple(map(tuple, matrix)), tuple(genres), view)
    return f'<img class="confusion" style="width:{width}px" alt="{escape(words)}" src="{url}">'


@lru_cache(_KEPT_IMAGES)
def _image(matrix: tuple[tuple[int, ...], ...], genres: tuple[str, ...], view: View) -> tuple[str, int]:
    figure = draw_confusion(matrix, genres, view)
    return to_url(figure), round(figure.get_size_inches()[0] * DPI)


def confusion_card(
    matrix: Sequence[Sequence[int]], genres: Sequence[str], title: str, view: View, counted: str = "validation tracks"
) -> str:
    """Return the drawn matrix below a title; ``counted`` says of what, and the other parameters are as in `draw_confusion`."""
    right, total = sum(row[i] for i, row in enumerate(matrix)), sum(map(sum, matrix))
    image = confusion_image(matrix, genres, f"{right} of {total} {counted} on the diagonal", view)
    return f'<section class="card"><h3 class="eyebrow">{escape(title)}</h3>{image}</section>'


def draw_confusion(matrix: Sequence[Sequence[int]], genres: Sequence[str], view: View) -> Figure:
    """Draw the number of tracks by true genre (rows) and answer (columns); the colour of a cell is its share of the row.

    Parameters
    ----------
    matrix : sequence of sequence of int, [g, g]
        Counts of tracks.
    genres : sequence of str, [g]
    view : View
        Width and theme of the page. The figure is at most this wide.
    """
    counts = np.asarray(matrix, dtype=float)
    n = len(genres)
    size = 8.0 if view.is_narrow else 9.0
    names = [shortened(name, 12) for name in genres]
    longest = max(text_width(name, size) for name in names)
    labels = longest + _AXIS_TITLE
    cell = float(np.clip((view.width - labels - _MARGIN) / n, *_CELL_SIZE))
    width = height = labels + n * cell + _MARGIN
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI * view.pixel_ratio, facecolor="none")
    ax = figure.add_axes((labels / width, labels / height, n * cell / width, n * cell / height), facecolor="none")
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    ax.imshow(shares, cmap=view.ink.heat, vmin=0.0, vmax=1.0, aspect="auto", interpolation="nearest")
    for row, column in zip(*np.nonzero(counts), strict=True):
        is_bright = (shares[row, column] > 0.5) == view.dark  # large shares are bright on a dark page, dark on a bright page
        style: dict[str, Any] = {"fontsize": min(size, cell * 0.34), "color": _DARK_TEXT if is_bright else _BRIGHT_TEXT}
        ax.text(column, row, f"{counts[row, column]:.0f}", ha="center", va="center", **style)
    ax.set_xticks(range(n), names, rotation=90, parse_math=False)
    ax.set_yticks(range(n), names, parse_math=False)
    ax.set_xticks(np.arange(n + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(n + 1) - 0.5, minor=True)
    ax.grid(which="minor", color=view.ink.faint, linewidth=0.3, alpha=0.5)
    ax.tick_params(which="minor", length=0)
    ax.tick_params(colors=view.ink.text, labelsize=size, length=0, pad=4)
    ax.spines[:].set(edgecolor=view.ink.faint, linewidth=0.8)
    ax.set_xlabel("answer", fontsize=size, color=view.ink.text, labelpad=4)
    ax.set_ylabel("true genre", fontsize=size, color=view.ink.text, labelpad=4)
    return figure
