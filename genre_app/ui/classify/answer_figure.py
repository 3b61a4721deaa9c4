"""The figure of an answer: the spectrogram and the frames' probabilities over one time axis."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.image import BboxImage
from matplotlib.transforms import Bbox, TransformedBbox

from genre_app.prediction import Prediction
from genre_app.ui import figures
from genre_app.ui.cells import Cells, cells
from genre_app.ui.figures import View
from genre_app.ui.overview import Overview

_WINNER = "#ffb020"  # contrasts with both ends of both heat maps


def draw(prediction: Prediction, overview: Overview, view: View) -> Figure:
    """Draw the figure of an answer.

    Parameters
    ----------
    prediction : Prediction
    overview : Overview
        Of the same clip.
    view : View

    Returns
    -------
    Figure
        Its axes are the spectrogram and the heat map.
    """
    n_genres = len(prediction.genres)
    # Heights in CSS pixels: title, spectrogram, gap with title, heat map, time axis.
    heights = (24, 130 if view.is_narrow else 190, 34, max(120, 19 * n_genres), 40)
    total = sum(heights)
    figure = view.blank(total)
    names = [figures.shortened(name, 12 if view.is_narrow else 24) for name in prediction.genres]
    left = (16 + max(figures.text_width(name, view.text_size) for name in (*names, "10 k"))) / view.width
    right = 1 - 10 / view.width

    def axes(top: int, height: int) -> Axes:
        return figure.add_axes((left, 1 - (top + height) / total, right - left, height / total), facecolor="none")

    spectrogram = axes(heights[0], heights[1])
    heat = axes(sum(heights[:3]), heights[3])
    figures.draw_spectrogram(spectrogram, overview)
    layout = cells(prediction)
    columns = max(1, int((right - left) * view.width * view.pixel_ratio))
    _draw_heat(heat, names, layout, view, columns)
    if prediction.is_music:  # otherwise the frames have no genre
        _mark_winners(heat, layout)

    for ax, words in ((spectrogram, "Mel-spectrogram, Hz"), (heat, "Genre by frame")):
        ax.set_xlim(0, prediction.duration_seconds)
        figures.style_axes(ax, view)
        figures.write_title(ax, words, ax.get_position().y1 + 13 / total, view)
    per = f" ({layout.frames_per_cell} frames to a column)" if layout.frames_per_cell > 1 else ""
    figures.mark_time((spectrogram, heat), 0.0, prediction.duration_seconds, view, per)
    _draw_key(figure, spectrogram, colormaps["magma"], f"−{figures.RANGE_DB:.0f}", "0 dB", view)
    _draw_key(figure, heat, view.ink.heat, "0", "100 %", view, wins=prediction.is_music)
    return figure


def time_axes(figure: Figure) -> tuple[float, float, float, float]:
    """Return left, top, width and height of the time axis in a figure made by `draw`, as shares of the figure."""
    spectrogram, heat = (ax.get_position() for ax in figure.axes[:2])
    return float(heat.x0), float(1 - spectrogram.y1), float(heat.width), float(spectrogram.y1 - heat.y0)


def _draw_heat(ax: Axes, names: list[str], layout: Cells, view: View, columns: int) -> None:
    n_genres, duration = len(names), float(layout.edges[-1])
    # An image with one column a pixel: cells differ in width, and a mesh takes longer to draw.
    seconds = (np.arange(columns) + 0.5) * duration / columns
    which = np.clip(np.searchsorted(layout.edges, seconds, side="right") - 1, 0, len(layout.sounds) - 1)
    image = view.ink.heat(layout.probabilities.T[:, which])  # [g, columns, 4]
    image[:, ~layout.sounds[which], 3] = 0.0
    ax.imshow(image, aspect="auto", interpolation="nearest", extent=(0, duration, n_genres - 0.5, -0.5))
    for boundary in np.arange(n_genres - 1) + 0.5:
        ax.axhline(boundary, color=view.ink.faint, linewidth=0.3, alpha=0.5)
    style: dict[str, Any] = {"color": view.ink.faint, "fontsize": view.text_size, "ha": "center", "va": "center"}
    for start, end in _silences(layout):
        ax.text((start + end) / 2, (n_genres - 1) / 2, "silent", rotation=90, **style)
    ax.set_yticks(range(n_genres), names, parse_math=False)
    ax.set_ylim(n_genres - 0.5, -0.5)


def _mark_winners(ax: Axes, layout: Cells) -> None:
    centres = (layout.edges[:-1] + layout.edges[1:])[layout.sounds] / 2
    winners = layout.probabilities.argmax(axis=1)[layout.sounds]
    many = len(layout.sounds) > 60
    dots: dict[str, Any] = {"s": 5, "edgecolors": "none"} if many else {"s": 22, "edgecolors": figures.LIGHT.text}
    ax.scatter(centres, winners, color=_WINNER, linewidths=0.7, zorder=3, **dots)


def _silences(layout: Cells) -> list[tuple[float, float]]:
    """Return start and end in seconds of the silent stretches that are wide enough for a label."""
    change = np.flatnonzero(np.diff(np.concatenate([[True], layout.sounds, [True]]).astype(int)))
    stretches = [(float(layout.edges[a]), float(layout.edges[b])) for a, b in zip(change[::2], change[1::2], strict=True)]
    return [(a, b) for a, b in stretches if b - a > 0.03 * layout.edges[-1]]


def _draw_key(figure: Figure, ax: Axes, colours: Colormap, low: str, high: str, view: View, *, wins: bool = False) -> None:
    """Draw a colour bar at the right end of the title's line; with ``wins``, also a dot that is explained."""
    box, width, size = ax.get_position(), view.width, view.text_size
    height = figure.get_size_inches()[1] * figures.DPI
    bar_width = 56 / width
    left, middle = box.x1 - (44 if high.endswith("%") else 34) / width - bar_width, box.y1 + 13 / height
    place = TransformedBbox(Bbox.from_bounds(left, middle - 4 / height, bar_width, 8 / height), figure.transFigure)
    bar = BboxImage(place, cmap=colours)  # faster than axes for the colour bar
    bar.set_data(np.linspace(0, 1, 64)[None])
    figure.add_artist(bar)
    words: dict[str, Any] = {"fontsize": size - 0.5, "color": view.ink.text, "va": "center"}
    figure.text(left - 5 / width, middle, low, ha="right", **words)
    figure.text(left + bar_width + 5 / width, middle, high, ha="left", **words)
    if wins:
        figure.text(left - 22 / width, middle, "wins", ha="right", **words)
        figure.text(left - (22 + 3.6 * size) / width, middle, "●", ha="right", **{**words, "color": _WINNER})
