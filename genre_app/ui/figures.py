"""The figure of an answer: the spectrogram and the per-frame predictions over one time axis.

Drawn with matplotlib's `Figure` on its own canvas, never with pyplot, whose global state visitors would share. The background
is transparent and the ink follows the page's theme.
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
from numpy.typing import NDArray
from PIL import Image

from genre_app.predict import Prediction
from genre_app.ui.overview import Overview

RANGE_DB = 80.0  # from the loudest place down
MAX_CELLS = 480  # frames drawn one by one; more are averaged
DPI = 100  # of the layout, which is given in CSS pixels
_WIDTHS = (280, 1600)
_WINNER = "#ffb020"  # seen on both ends of both heat maps
_HZ = (50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000)


@dataclass(frozen=True)
class View:
    """How a visitor's page looks.

    Attributes
    ----------
    width : int
        CSS pixels that the figure may take.
    pixel_ratio : float
        Device pixels to a CSS pixel.
    dark : bool
    """

    width: int = 900
    pixel_ratio: float = 1.0
    dark: bool = False

    @classmethod
    def from_page(cls, value: Any) -> View:
        """Read what the page's script sent; anything else gives the defaults."""
        if not isinstance(value, dict):
            return cls()
        width, ratio = value.get("width"), value.get("pixel_ratio")
        return cls(
            width=int(np.clip(width, *_WIDTHS)) if isinstance(width, int) and width > 0 else cls.width,
            # Twice as many pixels take four times as long to draw and can hardly be told from thrice as many.
            pixel_ratio=min(2.0, max(1.0, ratio)) if isinstance(ratio, int | float) and ratio > 0 else cls.pixel_ratio,
            dark=value.get("dark") is True,
        )


@dataclass(frozen=True)
class Ink:
    """Colours of a theme; ``heat`` goes from the page's own to what stands out most."""

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


@dataclass(frozen=True)
class Cells:
    """The heat map: each frame's place on the time axis and its probabilities.

    Attributes
    ----------
    edges : numpy.ndarray, float64 [c + 1]
        Seconds. Frames overlap, so each one's cell reaches half-way to its neighbours' centres.
    probabilities : numpy.ndarray, float32 [c, g]
    sounds : numpy.ndarray, bool [c]
    frames_per_cell : int
        More than one for a long clip, whose frames are averaged.
    """

    edges: NDArray[np.float64]
    probabilities: NDArray[np.float32]
    sounds: NDArray[np.bool_]
    frames_per_cell: int


def cells(prediction: Prediction, most: int = MAX_CELLS) -> Cells:
    """Lay the frames out on the time axis, averaged if there are more than ``most``."""
    n = len(prediction.segment_starts)
    per_cell = -(-n // most)
    first = np.arange(0, n, per_cell)
    weights = prediction.segment_sounds.astype(np.float32)[:, None]
    heard = np.add.reduceat(weights, first)  # [c, 1]
    total = np.add.reduceat(prediction.segment_probabilities * weights, first)
    centres = (prediction.segment_starts + prediction.segment_ends) / 2
    last = np.append(first[1:], n) - 1
    between = (centres[last[:-1]] + centres[first[1:]]) / 2
    edges = np.concatenate([[0.0], between, [prediction.duration_seconds]])
    return Cells(edges, (total / np.maximum(heard, 1.0)).astype(np.float32), heard[:, 0] > 0, per_cell)


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
    narrow = view.width < 560
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
    _draw_key(figure, heat, ink.heat, "0", "100 %", view.width, ink, size, wins=True)
    return figure


def time_axes(figure: Figure) -> tuple[float, float, float, float]:
    """Return where time is drawn in a figure made by `draw`: left, top, width and height as shares of it."""
    spectrogram, heat = (ax.get_position() for ax in figure.axes[:2])
    return float(heat.x0), float(1 - spectrogram.y1), float(heat.width), float(spectrogram.y1 - heat.y0)


def shortened(name: str, most: int) -> str:
    """Cut a name that has more letters than there is room for."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


@lru_cache(maxsize=256)
def text_width(text: str, size: float) -> float:
    """Width in CSS pixels."""
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
    """Rows of the spectrogram at round frequencies, and their names in Hz."""
    spec = overview.spec
    # The filters' centres, as slaney's and librosa's mel scale has them.
    mels = np.linspace(_mel(spec.fmin), _mel(spec.fmax), spec.n_mels + 2)[1:-1]
    shown = [f for f in _HZ if mels[0] <= _mel(f) <= mels[-1]]
    rows = np.interp([_mel(f) for f in shown], mels, np.arange(spec.n_mels))
    kept: list[int] = []
    for index, row in enumerate(rows):
        if not kept or row - rows[kept[-1]] >= spec.n_mels / 9:
            kept.append(index)
    return [float(rows[i]) for i in kept], [f"{shown[i] // 1000} k" if shown[i] >= 1000 else str(shown[i]) for i in kept]


def _mel(hz: float) -> float:
    """Slaney's mel scale: linear up to 1 kHz, logarithmic above."""
    return 3 * hz / 200 if hz < 1000 else 15 + 27 * float(np.log(hz / 1000)) / float(np.log(6.4))


def _draw_heat(ax: Axes, names: list[str], layout: Cells, ink: Ink, columns: int, size: float) -> None:
    n_genres, duration = len(names), float(layout.edges[-1])
    # One column a pixel: frames need not be equally long, and this is faster than drawing a mesh.
    seconds = (np.arange(columns) + 0.5) * duration / columns
    which = np.clip(np.searchsorted(layout.edges, seconds, side="right") - 1, 0, len(layout.sounds) - 1)
    image = ink.heat(layout.probabilities.T[:, which])  # [g, columns, 4]
    image[:, ~layout.sounds[which], 3] = 0.0
    ax.imshow(image, aspect="auto", interpolation="nearest", extent=(0, duration, n_genres - 0.5, -0.5))
    for boundary in np.arange(n_genres - 1) + 0.5:
        ax.axhline(boundary, color=ink.faint, linewidth=0.3, alpha=0.5)
    centres = (layout.edges[:-1] + layout.edges[1:]) / 2
    winners = layout.probabilities.argmax(axis=1)
    many = len(centres) > 60
    ax.scatter(
        centres[layout.sounds],
        winners[layout.sounds],
        s=5 if many else 22,
        color=_WINNER,
        edgecolors="none" if many else LIGHT.text,
        linewidths=0.7,
        zorder=3,
    )
    for start, end in _silences(layout):
        ax.text(
            (start + end) / 2,
            (n_genres - 1) / 2,
            "silent",
            rotation=90,
            color=ink.faint,
            fontsize=size,
            ha="center",
            va="center",
        )
    ax.set_yticks(range(n_genres), names, parse_math=False)
    ax.set_ylim(n_genres - 0.5, -0.5)


def _silences(layout: Cells) -> list[tuple[float, float]]:
    """Start and end, in seconds, of the stretches of silent cells that are wide enough to be named."""
    change = np.flatnonzero(np.diff(np.concatenate([[True], layout.sounds, [True]]).astype(int)))
    stretches = [(float(layout.edges[a]), float(layout.edges[b])) for a, b in zip(change[::2], change[1::2], strict=True)]
    return [(a, b) for a, b in stretches if b - a > 0.03 * layout.edges[-1]]


def _mark_time(upper: Axes, lower: Axes, duration: float, most: int, size: float, ink: Ink, remark: str) -> None:
    steps = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
    step = next((s for s in steps if duration / s <= most), duration)
    ticks = np.arange(0, duration + 1e-6, step)
    upper.set_xticks(ticks, [])
    names = lower.set_xticks(ticks, [clock(t, duration) for t in ticks])
    if ticks[-1] > 0.985 * duration:
        names[-1].label1.set_horizontalalignment("right")  # so that it stays within the picture
    unit = "s" if duration < 60 else "min:s" if duration < 3600 else "h:min:s"
    lower.set_xlabel(f"time, {unit}{remark}", fontsize=size, color=ink.text, labelpad=1)


def clock(seconds: float, duration: float | None = None) -> str:
    """Write a time as a clip of this duration needs it: ``12.5``, ``1:05``, ``1:02:30``."""
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
    """Put a colour bar at the right end of the line with the title, and what the dots mean."""
    box = ax.get_position()
    height = figure.get_size_inches()[1] * DPI
    bar_width = 56 / width
    left, middle = box.x1 - (44 if high.endswith("%") else 34) / width - bar_width, box.y1 + 13 / height
    place = TransformedBbox(Bbox.from_bounds(left, middle - 4 / height, bar_width, 8 / height), figure.transFigure)
    bar = BboxImage(place, cmap=colours)  # an axes of its own would take longer than all the rest of the key
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
