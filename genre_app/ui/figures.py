"""The figure of an answer: the spectrogram and the frames' probabilities over one time axis.

It uses matplotlib's `Figure`, not pyplot, whose global state visitors would share. The background is transparent, and the
colours of text and lines follow the page's theme.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.image import BboxImage
from matplotlib.textpath import TextPath
from matplotlib.transforms import Bbox, TransformedBbox
from PIL import Image

from genre_app.prediction import Prediction
from genre_app.ui.cells import Cells, cells
from genre_app.ui.overview import Overview

RANGE_DB = 80.0
"""Range of the spectrogram's colours, from the loudest value down."""

DPI = 100
"""CSS pixels to an inch of the layout."""

_WIDTHS = (280, 1600)  # CSS pixels: the narrowest and the widest figure
NARROW = 560
"""CSS pixels; narrower figures have smaller text and panels."""

_WINNER = "#ffb020"  # contrasts with both ends of both heat maps
_TICKS_HZ = (50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000)
TICKS_SECONDS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)


@dataclass(frozen=True)
class View:
    """Size and theme of the figure on a visitor's page.

    Attributes
    ----------
    width : int
        Width of the figure in CSS pixels.
    pixel_ratio : float
        Device pixels to a CSS pixel.
    dark : bool
        Whether the page has its dark theme.
    """

    width: int = 900
    pixel_ratio: float = 1.0
    dark: bool = False

    @classmethod
    def from_page(cls, value: Any) -> View:
        """Read the answer of the page's script `genreApp.view`; other values give the defaults."""
        if not isinstance(value, dict):
            return cls()
        width, ratio = value.get("width"), value.get("pixel_ratio")
        return cls(
            width=int(np.clip(width, *_WIDTHS)) if isinstance(width, int) and width > 0 else cls.width,
            # Drawing time grows with the square; more than 2 can hardly be seen.
            pixel_ratio=min(2.0, max(1.0, ratio)) if isinstance(ratio, int | float) and ratio > 0 else cls.pixel_ratio,
            dark=value.get("dark") is True,
        )


@dataclass(frozen=True)
class Ink:
    """Colours of a theme; ``heat`` starts at the page's background."""

    text: str
    faint: str
    mark: str
    heat: Colormap


LIGHT = Ink(
    "#1f2430", "#6b7280", "#111827", LinearSegmentedColormap.from_list("heat", ["#f1f3f9", "#a5b4fc", "#4f46e5", "#312e81"])
)
DARK = Ink(
    "#e8eaf0", "#9ca3af", "#ffffff", LinearSegmentedColormap.from_list("heat", ["#1c2030", "#3f3aa8", "#818cf8", "#e0e7ff"])
)


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
    ink = DARK if view.dark else LIGHT
    narrow = view.width < NARROW
    size = 8.0 if narrow else 9.5  # points at 100 dpi
    n_genres = len(prediction.genres)
    # Heights in CSS pixels: title, spectrogram, gap with title, heat map, time axis.
    heights = (24, 130 if narrow else 190, 34, max(120, 19 * n_genres), 40)
    figure = Figure(figsize=(view.width / DPI, sum(heights) / DPI), dpi=DPI * view.pixel_ratio, facecolor="none")
    names = [shortened(name, 12 if narrow else 24) for name in prediction.genres]
    left = (16 + max(text_width(name, size) for name in (*names, "10 k"))) / view.width
    right = 1 - 10 / view.width

    def axes(top: int, height: int) -> Axes:
        total = sum(heights)
        return figure.add_axes((left, 1 - (top + height) / total, right - left, height / total), facecolor="none")

    spectrogram = axes(heights[0], heights[1])
    heat = axes(sum(heights[:3]), heights[3])
    _draw_spectrogram(spectrogram, prediction, overview, size)
    layout = cells(prediction)
    columns = max(1, int((right - left) * view.width * view.pixel_ratio))
    _draw_heat(heat, names, layout, ink, columns, size)
    if prediction.is_music:  # otherwise the frames have no genre
        _mark_winners(heat, layout)

    for ax in (spectrogram, heat):
        ax.set_xlim(0, prediction.duration_seconds)
        ax.tick_params(colors=ink.text, labelsize=size, length=3, width=0.8)
        for spine in ax.spines.values():
            spine.set_edgecolor(ink.faint)
            spine.set_linewidth(0.8)
    per = f" ({layout.frames_per_cell} frames to a column)" if layout.frames_per_cell > 1 else ""
    _mark_time(spectrogram, heat, prediction.duration_seconds, 4 if narrow else 9, size, ink, per)

    for ax, words in ((spectrogram, "Mel-spectrogram, Hz"), (heat, "Genre by frame")):
        # On a phone, above the labels too, where there is room.
        x, y = 4 / view.width if narrow else left, ax.get_position().y1 + 13 / sum(heights)
        figure.text(x, y, words, fontsize=size + 0.5, color=ink.text, va="center")
    _draw_key(figure, spectrogram, colormaps["magma"], f"−{RANGE_DB:.0f}", "0 dB", view.width, ink, size)
    _draw_key(figure, heat, ink.heat, "0", "100 %", view.width, ink, size, wins=prediction.is_music)
    return figure


def time_axes(figure: Figure) -> tuple[float, float, float, float]:
    """Return left, top, width and height of the time axis in a figure made by `draw`, as shares of the figure."""
    spectrogram, heat = (ax.get_position() for ax in figure.axes[:2])
    return float(heat.x0), float(1 - spectrogram.y1), float(heat.width), float(spectrogram.y1 - heat.y0)


def shortened(name: str, most: int) -> str:
    """Cut a name to at most ``most`` letters."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


@lru_cache(maxsize=256)
def text_width(text: str, size: float) -> float:
    """Return the width of a text of ``size`` points in CSS pixels."""
    return float(TextPath((0, 0), text.replace("$", r"\$"), size).get_extents().width) * DPI / 72


def _draw_spectrogram(ax: Axes, prediction: Prediction, overview: Overview, size: float) -> None:
    step, spec = overview.column_seconds, overview.spec
    top = float(overview.db.max())
    end = (overview.db.shape[1] - 0.5) * step
    ax.imshow(
        overview.db,
        cmap="magma",
        vmin=top - RANGE_DB,
        vmax=top,
        origin="lower",
        aspect="auto",
        interpolation="antialiased",
        extent=(-0.5 * step, end, -0.5, spec.n_mels - 0.5),
    )
    rows, labels = mel_rows(overview)
    ax.set_yticks(rows, labels)
    ax.set_ylim(-0.5, spec.n_mels - 0.5)


def mel_rows(overview: Overview) -> tuple[list[float], list[str]]:
    """Return rows of the spectrogram at round frequencies, and their labels in Hz."""
    import librosa  # here: the first use takes half a second

    spec = overview.spec
    centres = librosa.mel_frequencies(spec.n_mels + 2, fmin=spec.fmin, fmax=spec.fmax)[1:-1]
    shown = [hz for hz in _TICKS_HZ if centres[0] <= hz <= centres[-1]]
    rows = np.interp(librosa.hz_to_mel(shown), librosa.hz_to_mel(centres), np.arange(spec.n_mels))
    kept: list[int] = []
    for index, row in enumerate(rows):
        if not kept or row - rows[kept[-1]] >= spec.n_mels / 9:
            kept.append(index)
    return [float(rows[i]) for i in kept], [f"{shown[i] // 1000} k" if shown[i] >= 1000 else str(shown[i]) for i in kept]


def _draw_heat(ax: Axes, names: list[str], layout: Cells, ink: Ink, columns: int, size: float) -> None:
    n_genres, duration = len(names), float(layout.edges[-1])
    # An image with one column a pixel: cells differ in width, and a mesh takes longer to draw.
    seconds = (np.arange(columns) + 0.5) * duration / columns
    which = np.clip(np.searchsorted(layout.edges, seconds, side="right") - 1, 0, len(layout.sounds) - 1)
    image = ink.heat(layout.probabilities.T[:, which])  # [g, columns, 4]
    image[:, ~layout.sounds[which], 3] = 0.0
    ax.imshow(image, aspect="auto", interpolation="nearest", extent=(0, duration, n_genres - 0.5, -0.5))
    for boundary in np.arange(n_genres - 1) + 0.5:
        ax.axhline(boundary, color=ink.faint, linewidth=0.3, alpha=0.5)
    words: dict[str, Any] = {"rotation": 90, "color": ink.faint, "fontsize": size, "ha": "center", "va": "center"}
    for start, end in _silences(layout):
        ax.text((start + end) / 2, (n_genres - 1) / 2, "silent", **words)
    ax.set_yticks(range(n_genres), names, parse_math=False)
    ax.set_ylim(n_genres - 0.5, -0.5)


def _mark_winners(ax: Axes, layout: Cells) -> None:
    centres = (layout.edges[:-1] + layout.edges[1:])[layout.sounds] / 2
    winners = layout.probabilities.argmax(axis=1)[layout.sounds]
    many = len(layout.sounds) > 60
    dots: dict[str, Any] = {"s": 5, "edgecolors": "none"} if many else {"s": 22, "edgecolors": LIGHT.text}
    ax.scatter(centres, winners, color=_WINNER, linewidths=0.7, zorder=3, **dots)


def _silences(layout: Cells) -> list[tuple[float, float]]:
    """Return start and end in seconds of the silent stretches that are wide enough for a label."""
    change = np.flatnonzero(np.diff(np.concatenate([[True], layout.sounds, [True]]).astype(int)))
    stretches = [(float(layout.edges[a]), float(layout.edges[b])) for a, b in zip(change[::2], change[1::2], strict=True)]
    return [(a, b) for a, b in stretches if b - a > 0.03 * layout.edges[-1]]


def _mark_time(upper: Axes, lower: Axes, duration: float, most: int, size: float, ink: Ink, remark: str) -> None:
    step = next((s for s in TICKS_SECONDS if duration / s <= most), duration)
    ticks = np.arange(0, duration + 1e-6, step)
    upper.set_xticks(ticks, [])
    names = lower.set_xticks(ticks, [clock(t, duration) for t in ticks])
    if ticks[-1] > 0.985 * duration:
        names[-1].label1.set_horizontalalignment("right")  # to stay within the picture
    unit = "s" if duration < 60 else "min:s" if duration < 3600 else "h:min:s"
    lower.set_xlabel(f"time, {unit}{remark}", fontsize=size, color=ink.text, labelpad=1)


def clock(seconds: float, duration: float | None = None) -> str:
    """Write a time in the format of a clip of this duration: ``12.5``, ``1:05``, ``1:02:30``."""
    duration = seconds if duration is None else duration
    if duration < 60:
        return f"{seconds:.1f}" if duration < 10 or seconds % 1 else f"{seconds:.0f}"
    minutes, rest = divmod(round(seconds), 60)
    if duration < 3600:
        return f"{minutes}:{rest:02d}"
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def _draw_key(
    figure: Figure, ax: Axes, colours: Colormap, low: str, high: str, width: int, ink: Ink, size: float, *, wins: bool = False
) -> None:
    """Draw a colour bar at the right end of the title's line; with ``wins``, also a dot that is explained."""
    box = ax.get_position()
    height = figure.get_size_inches()[1] * DPI
    bar_width = 56 / width
    left, middle = box.x1 - (44 if high.endswith("%") else 34) / width - bar_width, box.y1 + 13 / height
    place = TransformedBbox(Bbox.from_bounds(left, middle - 4 / height, bar_width, 8 / height), figure.transFigure)
    bar = BboxImage(place, cmap=colours)  # faster than axes for the colour bar
    bar.set_data(np.linspace(0, 1, 64)[None])
    figure.add_artist(bar)
    words: dict[str, Any] = {"fontsize": size - 0.5, "color": ink.text, "va": "center"}
    figure.text(left - 5 / width, middle, low, ha="right", **words)
    figure.text(left + bar_width + 5 / width, middle, high, ha="left", **words)
    if wins:
        figure.text(left - 22 / width, middle, "wins", ha="right", **words)
        figure.text(left - (22 + 3.6 * size) / width, middle, "●", ha="right", **{**words, "color": _WINNER})


def to_webp(figure: Figure) -> bytes:
    """Render a figure as a WebP image with a transparent background."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba()), "RGBA")
    file = io.BytesIO()
    image.save(file, "webp", quality=88, method=1)
    return file.getvalue()
