"""Draw the map of a collection as SVG, and list what is remarkable in it. Text from visitors is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import numpy as np

from genre_app.teaching.data_map import DataMap
from genre_app.ui.teach.markup import listed, play_button

_SIZE, _MARGIN = 400.0, 14.0  # of the drawing, in its own units
# The palette of Okabe and Ito, which colour-blind people can tell apart; the shape tells the genre too.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#e69f00", "#7f7f7f")
_SHAPES = (
    "M-5 0A5 5 0 1 0 5 0A5 5 0 1 0-5 0Z",  # circle
    "M-4.5-4.5H4.5V4.5H-4.5Z",  # square
    "M0-6L5.5 4H-5.5Z",  # triangle
    "M0-6.5L5 0L0 6.5L-5 0Z",  # diamond
    "M-2-6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z",  # cross
    "M0 6L5.5-4H-5.5Z",  # triangle on its tip
    "M-6-3L-3-6L0-3L3-6L6-3L3 0L6 3L3 6L0 3L-3 6L-6 3L-3 0Z",  # saltire
)
_MAX_ROWS = 20


def card(found: DataMap, sources: Mapping[str, str]) -> str:
    """Return the drawing, its key, and the lists of doubtful, alike and odd clips; ``sources`` are as in `markup.wrong`."""
    genres = sorted(set(found.genres), key=str.casefold)
    low, high = found.points.min(axis=0), found.points.max(axis=0)
    places = _MARGIN + (found.points - low) / np.maximum(high - low, 1e-9) * (_SIZE - 2 * _MARGIN)
    doubts = {one.name: f", perhaps {one.answer} ({one.probability:.0%})" for one in found.doubtful}
    marks = "".join(
        f'<g class="clip" role="button" tabindex="{-1 if number else 0}" data-play="{escape(name)}" '
        f'transform="translate({x:.1f} {y:.1f})"><title>{escape(sources.get(name, name))}: {escape(genre)}'
        f"{escape(doubts.get(name, ''))}</title>{_mark(genres.index(genre))}</g>"
        for number, (name, genre, (x, y)) in enumerate(zip(found.names, found.genres, places.tolist(), strict=True))
    )
    key = "".join(
        f'<li><svg viewBox="-8 -8 16 16" width="20" height="20" aria-hidden="true">{_mark(number)}</svg>{escape(genre)}</li>'
        for number, genre in enumerate(genres)
    )
    lists = "\n  ".join(_lists(found, sources))
    words = f"Map of {len(found.names)} clips of {len(genres)} genres; clips that are alike lie close together."
    return f"""
<section class="card" aria-label="Map" tabindex="-1">
  <h2 class="eyebrow">Map of the clips</h2>
  <p>Clips that are alike lie close together. Click a mark to play it. With the keyboard: arrows, then Enter.</p>
  <div class="map-columns"><div>
  <svg class="clip-map" viewBox="0 0 {_SIZE:.0f} {_SIZE:.0f}" role="group" aria-label="{words}">{marks}</svg>
  <p class="small map-said" aria-hidden="true">&nbsp;</p>
  <ul class="map-key">{key}</ul>
  <p class="small">Silhouette of the genres {found.genre_silhouette:.2f}, of as many K-means clusters {found.silhouette:.2f}
  (1 is well separated, 0 is not).</p>
  </div><div>
  {lists}
  </div></div>
</section>
"""


def _mark(number: int) -> str:
    colour, shape = _COLOURS[number % len(_COLOURS)], _SHAPES[number % len(_SHAPES)]
    return f'<path d="{shape}" fill="{colour}"/>'


def _lists(found: DataMap, sources: Mapping[str, str]) -> list[str]:
    """Return the lists of doubtful, alike and odd clips; a clip that is no longer in the collection is left out."""
    doubtful = [
        f"{play_button(one.name, sources)}"
        f"<span>{escape(one.genre)}, or <b>{escape(one.answer)}</b>? ({one.probability:.0%})</span>"
        f'<button type="button" data-move="{escape(one.name)}" data-genre="{escape(one.answer)}">'
        f"Move to {escape(one.answer)}</button>"
        for one in found.doubtful
        if one.name in sources
    ]
    alike = [
        " ".join(play_button(name, sources) for name in pair) for pair in found.alike if all(name in sources for name in pair)
    ]
    odd = [play_button(name, sources) for name in found.odd if name in sources]
    lists = (
        ("Is the genre right?", "A model that was taught without the clip is sure of another genre.", doubtful),
        ("Nearly the same sound", "If one of them is a copy, delete it above: it makes the test too easy.", alike),
        ("Unlike all others", "Listen whether they are what they should be.", odd),
    )
    return [listed(title, rows, f'<p class="small">{words}</p>', most=_MAX_ROWS) for title, words, rows in lists]
