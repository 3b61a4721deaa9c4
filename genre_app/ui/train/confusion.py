"""The figure of a confusion matrix: a row for each true genre, a column for each answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from genre_app.ui.figures import DARK, DPI, LIGHT, View, shortened, text_width

_CELL = (16, 52)  # CSS pixels, least and most
_MARGIN = 8


def draw_confusion(matrix: Sequence[Sequence[int]], genres: Sequence[str], view: View) -> Figure:
    """Draw counts of tracks by true genre (rows) and answer (columns); a cell's colour is its share of the row.

    Parameters
    ----------
    matrix : sequence of sequence of int, [g, g]
    genres : sequence of str
    view : View

    Returns
    -------
    Figure
        As wide as it needs to be, at most as wide as the view.
    """
    ink = DARK if view.dark else LIGHT
    counts = np.asarray(matrix, dtype=float)
    n = len(genres)
    size = 8.0 if view.width < 560 else 9.0
    names = [shortened(name, 12) for name in genres]
    longest = max(text_width(name, size) for name in names)
    left, bottom = longest + 34, longest + 34  # the labels, and the words along the axis
    cell = float(np.clip((view.width - left - _MARGIN) / n, *_CELL))
    width, height = left + n * cell + _MARGIN, n * cell + bottom + _MARGIN
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI * view.pixel_ratio, facecolor="none")
    ax = figure.add_axes((left / width, bottom / height, n * cell / width, n * cell / height), facecolor="none")
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    ax.imshow(shares, cmap=ink.heat, vmin=0.0, vmax=1.0, aspect="auto", interpolation="nearest")
    dark_on_bright = ("#111827", "#ffffff")
    for row, column in zip(*np.nonzero(counts), strict=True):
        bright = (shares[row, column] > 0.5) == view.dark  # the heat goes to bright on a dark page, to dark on a bright one
        ax.text(
            column,
            row,
            f"{counts[row, column]:.0f}",
            ha="center",
            va="center",
            fontsize=min(size, cell * 0.34),
            color=dark_on_bright[0 if bright else 1],
        )
    ax.set_xticks(range(n), names, rotation=90, parse_math=False)
    ax.set_yticks(range(n), names, parse_math=False)
    ax.set_xticks(np.arange(n + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(n + 1) - 0.5, minor=True)
    ax.grid(which="minor", color=ink.faint, linewidth=0.3, alpha=0.5)
    ax.tick_params(which="minor", length=0)
    ax.tick_params(colors=ink.text, labelsize=size, length=0, pad=4)
    for spine in ax.spines.values():
        spine.set_edgecolor(ink.faint)
        spine.set_linewidth(0.8)
    ax.set_xlabel("answer", fontsize=size, color=ink.text, labelpad=4)
    ax.set_ylabel("true genre", fontsize=size, color=ink.text, labelpad=4)
    return figure
