"""The Live tab's answer and picture as HTML.

The picture is drawn anew each second, so it is not drawn by matplotlib, which takes ten times as long: two images as small as
what they show, which the page stretches, and labels beside them that are text. It follows the page's theme by itself.
"""

from __future__ import annotations

import base64
import io
from functools import lru_cache
from html import escape

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from genre_app.ui import cards
from genre_app.ui.figures import RANGE_DB, cells, mel_rows, shortened
from genre_app.ui.live.listener import WINDOW_SECONDS, Heard

_HEAT_COLUMNS = 300
_HEAT_RGB = (79, 70, 229)
_TICKS = (30, 25, 20, 15, 10, 5, 0)

IDLE = """
<section class="card" aria-label="Live vote">
  <p class="eyebrow">What to do</p>
  <ol class="steps">
    <li><b>Press Record</b> and let the microphone hear the music.</li>
    <li><b>Watch.</b> Every second the vote over the last 30 seconds stands here, and the evidence beside it.</li>
    <li><b>Press Stop.</b> The last answer stays.</li>
  </ol>
  <p class="small">Nothing of what is heard is kept on the server.</p>
</section>
"""

NO_FIGURE = """
<div class="empty">The spectrogram of the last 30 seconds and the prediction of each second will move past here.</div>
"""

_BUSY = "{:.0f} s of sound did not get through: the server or the way to it is too slow, so the answer is of what did."


def card(heard: Heard, *, stopped: bool = False) -> str:
    """Write the answer of this second."""
    seconds = min(heard.seconds, WINDOW_SECONDS)
    eyebrow = f"{'Stopped' if stopped else 'Live vote'} · the last {seconds:.0f} s"
    warnings = [_BUSY.format(heard.missed_seconds)] if heard.missed_seconds else []
    prediction = heard.prediction
    if prediction is None:
        words = (
            "Silence: nothing is heard. Is the microphone muted, or another one chosen?"
            if heard.is_silent
            else f"{cards.NO_MUSIC}."
            if heard.is_noise
            else "Too short for an answer: let it listen for 5 s."
            if stopped
            else "Listening …"
        )
        body = f'<p class="genre quiet">{"Nothing yet" if heard.is_silent or heard.is_noise else ""}</p><p>{escape(words)}</p>'
    else:
        agree, n = prediction.n_agree, prediction.n_sounding
        short = prediction.duration_seconds < 5
        sub = "only a guess yet" if short else f"{agree} of {n} frames agree" if n > 1 else "a single frame"
        body = f'{cards.headline(prediction)}<p class="sub">{sub}</p>{cards.bars(prediction)}'
    remarks = "".join(f"<li>{escape(words)}</li>" for words in warnings)
    return f"""
<section class="card" aria-label="Live vote">
  <p class="eyebrow">{eyebrow}</p>
  {body}
  {f'<ul class="warnings">{remarks}</ul>' if remarks else ""}
</section>
"""


def spoken(heard: Heard) -> str:
    """Say the answer in a few words, for those who listen to the page; they hear it when it changes."""
    if heard.prediction is None:
        return "silence" if heard.is_silent else "no music" if heard.is_noise else ""
    return ("" if heard.prediction.is_sure else "perhaps ") + heard.prediction.guess


def figure(heard: Heard, genres: tuple[str, ...]) -> str:
    """Draw what the last half minute sounded like."""
    rows, labels = mel_rows(heard.overview)
    n_mels = heard.overview.spec.n_mels
    hertz = "".join(
        f'<span style="bottom:{100 * (row + 0.5) / n_mels:.1f}%">{label}</span>'
        for row, label in zip(rows, labels, strict=True)
    )
    width = 100 * heard.overview.db.shape[1] * heard.overview.column_seconds / WINDOW_SECONDS
    names = "".join(f"<span>{escape(shortened(name, 14))}</span>" for name in genres)
    ticks = "".join(f"<span>{f'−{seconds} s' if seconds else 'now'}</span>" for seconds in _TICKS)
    words = "Mel-spectrogram of the last 30 seconds, and below it the probabilities of the genres in each second."
    if heard.prediction is not None:
        words += f" {heard.prediction.n_agree} of {heard.prediction.n_sounding} frames are won by {heard.prediction.guess}."
    return f"""
<figure class="live" role="img" aria-label="{escape(words, quote=True)}">
  <p class="live-title">Mel-spectrogram, Hz <span class="live-key magma">−{RANGE_DB:.0f} <i></i> 0 dB</span></p>
  <div class="live-hertz">{hertz}</div>
  <div class="live-mel"><img decoding="sync" alt="" style="width:{width:.1f}%" src="{_spectrogram(heard.overview.db)}"></div>
  <p class="live-title">Genre by frame <span class="live-key"><b>●</b> wins &nbsp; 0 <i></i> 100 %</span></p>
  <div class="live-names">{names}</div>
  <div class="live-heat" style="--genres:{len(genres)}">{_heat(heard, len(genres))}</div>
  <div class="live-ticks">{ticks}</div>
</figure>
"""


def _spectrogram(db: NDArray[np.float32]) -> str:
    top = float(db.max())
    levels = np.clip((db[::-1] - (top - RANGE_DB)) * (255 / RANGE_DB), 0, 255).astype(np.uint8)
    image = Image.fromarray(_magma()[levels], "RGB")
    return _as_url(image, "webp", quality=80, method=0)


def _heat(heard: Heard, n_genres: int) -> str:
    """Draw the probabilities as an image whose opacity they are, and a dot on the winner of each frame."""
    image = np.zeros((n_genres, _HEAT_COLUMNS, 4), np.uint8)
    image[..., :3] = _HEAT_RGB
    dots = ""
    if heard.prediction is not None:
        layout = cells(heard.prediction)
        edges = layout.edges + heard.offset_seconds
        seconds = (np.arange(_HEAT_COLUMNS) + 0.5) * (WINDOW_SECONDS / _HEAT_COLUMNS)
        which = np.searchsorted(edges, seconds, side="right") - 1
        inside = (which >= 0) & (which < len(layout.sounds)) & (seconds >= edges[0])
        inside[inside] = layout.sounds[which[inside]]
        image[:, inside, 3] = (255 * layout.probabilities[which[inside]]).astype(np.uint8).T
        centres = (edges[:-1] + edges[1:]) / 2
        dots = "".join(
            f'<i style="left:{100 * centre / WINDOW_SECONDS:.1f}%;top:{100 * (winner + 0.5) / n_genres:.1f}%"></i>'
            for centre, winner, sounds in zip(centres, layout.probabilities.argmax(axis=1), layout.sounds, strict=True)
            if sounds and 0 <= centre <= WINDOW_SECONDS
        )
    return f'<img decoding="sync" alt="" src="{_as_url(Image.fromarray(image, "RGBA"), "png", compress_level=1)}">{dots}'


@lru_cache(maxsize=1)
def _magma() -> NDArray[np.uint8]:
    table: NDArray[np.uint8] = (colormaps["magma"](np.arange(256))[:, :3] * 255).astype(np.uint8)
    return table


def _as_url(image: Image.Image, kind: str, **options: int) -> str:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
