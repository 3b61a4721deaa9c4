"""The figures of an explanation: the spectrogram with the decisive parts, and the genres' probabilities along a change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import librosa
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke
from numpy.typing import NDArray

from genre_app.explain import Grid
from genre_app.ui.figures import View, draw_spectrogram, mark_time, shortened, style_axes, text_width, write_title
from genre_app.ui.overview import Overview

_PADDING = 27  # CSS pixels: both sides of an accordion, which the page measures, around its figure
_SHADE = 0.55  # opacity of the black over what is not marked
# Colours that all eyes can tell apart (Okabe and Ito 2008), each with a marker of its own; they are visible on both themes.
_LINES = (("#e69f00", "o"), ("#3b9ddd", "s"), ("#009e73", "^"), ("#cc79a7", "D"))


def draw_parts(
    overview: Overview, grid: Grid, marked: Mapping[str, NDArray[np.bool_]], start_seconds: float, view: View
) -> Figure:
    """Draw a spectrogram for each genre, with the cells that speak for it outlined and the others darkened.

    Parameters
    ----------
    overview : Overview
        Of the excerpt.
    grid : Grid
        Of the excerpt.
    marked : mapping of str to numpy.ndarray, bool [bands, moments]
        Title and marked cells of each spectrogram.
    start_seconds : float
        Where the excerpt begins in the clip.
    view : View
    """
    title, panel, foot = 26, 110 if view.is_narrow else 150, 38  # CSS pixels
    height = len(marked) * (title + panel) + foot
    figure = view.blank(height)
    left, right = (16 + text_width("10 k", view.text_size)) / view.width, 1 - 10 / view.width
    for index, (words, mask) in enumerate(marked.items()):
        top = index * (title + panel) + title
        ax = figure.add_axes((left, 1 - (top + panel) / height, right - left, panel / height), facecolor="none")
        _draw_panel(ax, overview, grid, mask)
        style_axes(ax, view)
        write_title(ax, words, 1 - (top - 11) / height, view)
    mark_time(figure.axes, start_seconds, float(grid.times[-1]), view)
    return figure


def draw_change(
    ticks: Sequence[str],
    label: str,
    probabilities: Mapping[str, Sequence[float]],
    gaps: Sequence[tuple[float, str]],
    neutral: int,
    at: float | None,
    view: View,
) -> Figure:
    """Draw the probabilities of some genres along the values of a change.

    Parameters
    ----------
    ticks : sequence of str
        The values, evenly spaced.
    label : str
        Of the axis.
    probabilities : mapping of str to sequence of float
        By genre; NaN leaves a gap.
    gaps : sequence of tuple of float and str
        Middle of each gap among the ticks, and why there is no answer.
    neutral : int
        Index of the value that changes nothing.
    at : float or None
        Place of the slider's value among the ticks.
    view : View
    """
    ink, size = view.ink, view.text_size
    height = 220 if view.is_narrow else 260
    figure = view.blank(height)
    names = [shortened(name, 12 if view.is_narrow else 24) for name in probabilities]
    left, right = (16 + text_width("100 %", size)) / view.width, 1 - (22 + max(text_width(n, size) for n in names)) / view.width
    ax = figure.add_axes((left, 46 / height, right - left, 1 - (46 + 26) / height), facecolor="none")
    style_axes(ax, view)
    _draw_place(ax, neutral, "as it is", 1.0, ":", view)
    if at is not None and at != neutral:
        is_apart = abs(at - neutral) * (right - left) * view.width > 60 * len(ticks)
        _draw_place(ax, at, "now", 1.0 if is_apart else 0.9, "-", view)
    for (colour, marker), values in zip(_LINES, probabilities.values(), strict=False):
        ax.plot(values, color=colour, marker=marker, markersize=5, linewidth=2)
    for place, words in gaps:
        ax.text(place, 0.5, words.replace(" ", "\n"), fontsize=size, color=ink.faint, ha="center", va="center")
    lasts = [max((i for i, v in enumerate(values) if np.isfinite(v)), default=0) for values in probabilities.values()]
    ends = [values[last] for values, last in zip(probabilities.values(), lasts, strict=True)]
    # Names beside the lines instead of a legend: nobody must match colours.
    places = _apart(ends, (size + 5) / (height - 72))
    for name, (colour, _), last, end, y in zip(names, _LINES, lasts, ends, places, strict=False):
        ax.annotate(
            name, (last, end), (1 + 8 / ((right - left) * view.width), y), textcoords="axes fraction",
            fontsize=size, color=ink.text, va="center", parse_math=False,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 1.5},
        )  # fmt: skip
    ax.set_ylim(0, 1)
    ax.set_xlim(-0.3, len(ticks) - 0.7)
    ax.set_yticks([0, 0.25, 0.5, 0.75, 1.0], ["0", "", "50 %", "", "100 %"])
    ax.set_xticks(range(len(ticks)), ticks)
    ax.set_xlabel(label, fontsize=size, color=ink.text, labelpad=2)
    return figure


def _draw_place(ax: Axes, place: float, words: str, height: float, style: str, view: View) -> None:
    """Draw a vertical line at a value, with its name at a height of the axes."""
    ax.axvline(place, color=view.ink.faint, linestyle=style, linewidth=1.2)
    ax.annotate(
        words, (place, height), (5, -4) if height < 1 else (0, 5), xycoords=("data", "axes fraction"),
        textcoords="offset points", fontsize=view.text_size, color=view.ink.text, ha="left" if height < 1 else "center",
    )  # fmt: skip


def within(view: object) -> View:
    """Return the view of a figure in an accordion, of which the page's script has measured the width."""
    seen = View.from_page(view)
    return replace(seen, width=seen.width - _PADDING)


def _draw_panel(ax: Axes, overview: Overview, grid: Grid, mask: NDArray[np.bool_]) -> None:
    draw_spectrogram(ax, overview)
    rows = band_rows(overview, grid)
    shade = np.zeros((*mask.shape, 4))
    shade[..., 3] = np.where(mask, 0.0, _SHADE)
    ax.pcolorfast(grid.times, rows, shade)
    outline = LineCollection(outlines(mask, grid.times, rows), colors="#ffffff", linewidths=1.6, capstyle="projecting")
    outline.set_path_effects([Stroke(linewidth=3.2, foreground="#000000"), Normal()])
    ax.add_collection(outline)
    ax.set_xlim(0, grid.times[-1])


def band_rows(overview: Overview, grid: Grid) -> NDArray[np.float64]:
    """Return the rows of a spectrogram at which the bands end, float64 [bands + 1]; the outermost reach its edges."""
    spec = overview.spec
    low, high = librosa.hz_to_mel([spec.fmin, spec.fmax])
    rows = (librosa.hz_to_mel(grid.bands_hz) - low) / (high - low) * (spec.n_mels + 1) - 1.0
    return np.asarray(np.clip(rows, -0.5, spec.n_mels - 0.5))


def outlines(mask: NDArray[np.bool_], times: NDArray[np.float64], rows: NDArray[np.float64]) -> list[Any]:
    """Return the sides at which a marked cell meets an unmarked one or the edge, each as two points (seconds, row)."""
    padded = np.pad(mask, 1)
    level = np.argwhere(padded[1:, 1:-1] != padded[:-1, 1:-1])  # below band i, in moment j
    upright = np.argwhere(padded[1:-1, 1:] != padded[1:-1, :-1])  # in band i, before moment j
    return [
        *([(times[j], rows[i]), (times[j + 1], rows[i])] for i, j in level),
        *([(times[j], rows[i]), (times[j], rows[i + 1])] for i, j in upright),
    ]


def _apart(places: Sequence[float], least: float) -> list[float]:
    """Move places on a line of length 1 until they are ``least`` apart; their order stays."""
    order = np.argsort(places, kind="stable")
    moved = np.array(places, np.float64)
    for _ in range(50):
        for a, b in pairwise(order):
            lack = least - (moved[b] - moved[a])
            if lack > 1e-9:
                moved[a] -= lack / 2
                moved[b] += lack / 2
        moved += max(0.0, -moved.min()) - max(0.0, moved.max() - 1.0)
    return [float(place) for place in moved]
