"""What all figures have in common: their size and colours, the spectrogram, the time axis, and how they are rendered.

They use matplotlib's `Figure`, not pyplot, whose global state visitors would share. The background is transparent, and the
colours of text and lines follow the page's theme.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath
from PIL import Image

from genre_app.ui.overview import Overview

RANGE_DB = 80.0
"""Range of the spectrogram's colours, from the loudest value down."""

DPI = 100
"""CSS pixels to an inch of the layout."""

_WIDTHS = (280, 1600)  # CSS pixels: the narrowest and the widest figure
_NARROW = 560  # CSS pixels; narrower figures have smaller text and panels
_TICKS_HZ = (50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000)
_TICKS_SECONDS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)


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

    @property
    def is_narrow(self) -> bool:
        """Whether the figure gets smaller text and panels."""
        return self.width < _NARROW

    @property
    def ink(self) -> Ink:
        """Colours of the theme."""
        return DARK if self.dark else LIGHT

    @property
    def text_size(self) -> float:
        """Size of the text in points, at 100 dpi."""
        return 8.0 if self.is_narrow else 9.5

    def blank(self, height: float) -> Figure:
        """Return an empty figure, ``height`` CSS pixels high."""
        return Figure(figsize=(self.width / DPI, height / DPI), dpi=DPI * self.pixel_ratio, facecolor="none")


@dataclass(frozen=True)
class Ink:
    """Colours of a theme; ``heat`` starts at the page's background."""

    text: str
    faint: str
    heat: Colormap


LIGHT = Ink("#1f2430", "#6b7280", LinearSegmentedColormap.from_list("heat", ["#f1f3f9", "#a5b4fc", "#4f46e5", "#312e81"]))
DARK = Ink("#e8eaf0", "#9ca3af", LinearSegmentedColormap.from_list("heat", ["#1c2030", "#3f3aa8", "#818cf8", "#e0e7ff"]))


def clock(seconds: float, duration: float | None = None) -> str:
    """Write a time in the format of a clip of this duration: ``12.5``, ``1:05``, ``1:02:30``."""
    duration = seconds if duration is None else duration
    if duration < 60:
        return f"{seconds:.1f}" if duration < 10 or seconds % 1 else f"{seconds:.0f}"
    minutes, rest = divmod(round(seconds), 60)
    if duration < 3600:
        return f"{minutes}:{rest:02d}"
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def shortened(name: str, most: int) -> str:
    """Cut a name to at most ``most`` letters."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


@lru_cache(maxsize=256)
def text_width(text: str, size: float) -> float:
    """Return the width of a text of ``size`` points in CSS pixels."""
    return float(TextPath((0, 0), text.replace("$", r"\$"), size).get_extents().width) * DPI / 72


def draw_spectrogram(ax: Axes, overview: Overview) -> None:
    """Draw a clip's spectrogram over seconds, with round frequencies beside it."""
    step, n_mels = overview.column_seconds, overview.spec.n_mels
    top = float(overview.db.max())
    ax.imshow(
        overview.db,
        cmap="magma",
        vmin=top - RANGE_DB,
        vmax=top,
        origin="lower",
        aspect="auto",
        interpolation="antialiased",
        extent=(-0.5 * step, (overview.db.shape[1] - 0.5) * step, -0.5, n_mels - 0.5),
    )
    ax.set_yticks(*mel_rows(overview))
    ax.set_ylim(-0.5, n_mels - 0.5)


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


def style_axes(ax: Axes, view: View) -> None:
    """Give the ticks and the frame the colours of the theme."""
    ax.tick_params(colors=view.ink.text, labelsize=view.text_size, length=3, width=0.8)
    for spine in ax.spines.values():
        spine.set_edgecolor(view.ink.faint)
        spine.set_linewidth(0.8)


def write_title(ax: Axes, words: str, y: float, view: View) -> None:
    """Write a title above axes, ``y`` of the figure's height above its bottom."""
    # On a phone, above the labels too, where there is room.
    x = 4 / view.width if view.is_narrow else ax.get_position().x0
    style: dict[str, Any] = {"fontsize": view.text_size + 0.5, "color": view.ink.text, "parse_math": False}
    ax.figure.text(x, y, words, va="center", **style)


def mark_time(axes: Sequence[Axes], start: float, duration: float, view: View, remark: str = "") -> None:
    """Mark round times of a clip on axes that lie one above another; the lowest gets the labels.

    Parameters
    ----------
    axes : sequence of Axes
        Their left end is ``start``, from the top down.
    start, duration : float
        Seconds.
    view : View
    remark : str
        Put after the unit.
    """
    step = next((s for s in _TICKS_SECONDS if duration / s <= (4 if view.is_narrow else 9)), duration)
    end = start + duration
    ticks = np.arange(step * max(0.0, np.ceil(start / step - 1e-6)), end + 1e-6, step)
    for ax in axes[:-1]:
        ax.set_xticks(ticks - start, [])
    names = axes[-1].set_xticks(ticks - start, [clock(t, end) for t in ticks])
    if ticks[-1] - start > 0.985 * duration:
        names[-1].label1.set_horizontalalignment("right")  # to stay within the picture
    unit = "s" if end < 60 else "min:s" if end < 3600 else "h:min:s"
    axes[-1].set_xlabel(f"time, {unit}{remark}", fontsize=view.text_size, color=view.ink.text, labelpad=1)


def to_webp(figure: Figure) -> bytes:
    """Render a figure as a WebP image with a transparent background."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba()), "RGBA")
    file = io.BytesIO()
    image.save(file, "webp", quality=88, method=1)
    return file.getvalue()


def to_url(figure: Figure) -> str:
    """Render a figure as `to_webp` does, as a URL for an image of the page."""
    return f"data:image/webp;base64,{base64.b64encode(to_webp(figure)).decode('ascii')}"
