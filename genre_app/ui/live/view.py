"""The answer and the picture of the Live tab, as HTML.

The picture is drawn every second, and matplotlib takes ten times as long. So it consists of two small images, which the page
stretches, and of labels that are text and follow the page's theme.
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

from genre_app.prediction import REJECTED_WORDS
from genre_app.ui import cards
from genre_app.ui.cells import cells
from genre_app.ui.figures import RANGE_DB, mel_rows, shortened
from genre_app.ui.live.listener import WINDOW_SECONDS, LiveResult

_HEAT_COLUMNS = 300  # ten a second
_HEAT_RGB = (79, 70, 229)  # the page's primary colour, indigo 600
_TICKS = (30, 25, 20, 15, 10, 5, 0)  # seconds ago
_LEAST_TOP_DB = -20.0  # digital silence is at -100 dB: so it is drawn black, not in the colour of the maximum
_GUESS_SECONDS = 5.0  # answers from less sound are often wrong

IDLE = """
<section class="card" aria-label="Live vote">
  <h2 class="eyebrow">What to do</h2>
  <ol class="steps">
    <li><b>Press Record</b> and let the microphone hear the music.</li>
    <li><b>Watch.</b> Every second you see the vote over the last 30 seconds, and the frames behind it.</li>
    <li><b>Press Stop.</b> The last answer stays. Leaving this tab stops too.</li>
  </ol>
  <p class="small">The last 30 s stay in memory until you record again or leave. Nothing is stored unless you add it to your
  collection.</p>
</section>
"""

NO_FIGURE = """
<div class="empty">The spectrogram of the last 30 seconds and the genre of each second will move past here.</div>
"""

_MISSED = "{:.0f} s of sound did not arrive. Your connection or the server is slow; the answer uses only what arrived."


def card(result: LiveResult, *, stopped: bool = False) -> str:
    """Return the card with the answer."""
    seconds = min(result.seconds, WINDOW_SECONDS)
    eyebrow = f"{'Stopped' if stopped else 'Live vote'} · the last {seconds:.0f} s"
    missed = f'<ul class="warnings"><li>{_MISSED.format(result.missed_seconds)}</li></ul>' if result.missed_seconds else ""
    prediction = result.prediction
    # The page's script stops a recording that was begun with Listen at the first sure answer.
    is_sure = prediction is not None and prediction.is_sure and prediction.duration_seconds >= _GUESS_SECONDS
    if prediction is not None:
        first = not prediction.rejected and prediction.duration_seconds < _GUESS_SECONDS
        note = "only a first guess" if first else cards.agreement(prediction)
        heading = "" if prediction.is_music else f'<h3 class="measure">{escape(cards.measure(prediction))}</h3>'
        body = f'{cards.headline(prediction)}<p class="sub">{escape(note)}</p>{heading}{cards.bars(prediction)}'
    elif result.is_silent:
        body = _without_answer("Silence", "Is the microphone muted, or the wrong one chosen?")
    elif result.is_noise:
        body = _without_answer(
            "No music heard", "Only noise arrives: move closer to the music, turn it up, or choose another microphone."
        )
    elif stopped and missed:
        missed = ""  # Stop may have arrived late too, so the seconds are not known
        body = _without_answer("No answer", "Too little sound arrived. Record in Classify: it can wait for a slow connection.")
    elif stopped:
        body = _without_answer("No answer", "The recording is too short: listen for at least 5 s.")
    else:
        body = '<p class="genre quiet">Listening …</p>'
    return f"""
<section class="card" aria-label="Live vote"{" data-sure" if is_sure else ""}>
  <h2 class="eyebrow">{eyebrow}</h2>
  {body}
  {missed}
</section>
"""


def _without_answer(headline: str, advice: str) -> str:
    return f'<p class="genre unsure">{headline}</p><p>{advice}</p>'


def announcement(result: LiveResult) -> str:
    """Return the answer in a few words, as plain text escaped for HTML, for screen readers."""
    if result.prediction is None:
        return "silence" if result.is_silent else "no music" if result.is_noise else ""
    if result.prediction.rejected:
        return REJECTED_WORDS["other"] if result.prediction.is_music else result.prediction.rejected
    return escape(("" if result.prediction.is_sure else "perhaps ") + result.prediction.guess)


def figure(result: LiveResult, genres: tuple[str, ...]) -> str:
    """Draw the mel-spectrogram of the last 30 seconds and the probabilities of the frames."""
    rows, labels = mel_rows(result.overview)
    n_mels = result.overview.spec.n_mels
    hertz = "".join(
        f'<span style="bottom:{100 * (row + 0.5) / n_mels:.1f}%">{label}</span>'
        for row, label in zip(rows, labels, strict=True)
    )
    width = 100 * result.overview.db.shape[1] * result.overview.column_seconds / WINDOW_SECONDS
    names = "".join(f"<span>{escape(shortened(name, 14))}</span>" for name in genres)
    ticks = "".join(f"<span>{f'−{seconds} s' if seconds else 'now'}</span>" for seconds in _TICKS)
    words = "Mel-spectrogram of the last 30 seconds, and below it the probabilities of the genres in each second."
    if result.prediction is not None and result.prediction.is_music:
        words += f" {result.prediction.n_agree} of {result.prediction.n_sounding} frames are won by {result.prediction.guess}."
    return f"""
<figure class="live" role="img" aria-label="{escape(words, quote=True)}">
  <p class="live-title">Mel-spectrogram, Hz <span class="live-key magma">−{RANGE_DB:.0f} <i></i> 0 dB</span></p>
  <div class="live-hertz">{hertz}</div>
  <div class="live-mel"><img decoding="sync" alt="" style="width:{width:.1f}%" src="{_spectrogram(result.overview.db)}"></div>
  <p class="live-title">Genre by frame <span class="live-key"><b></b> wins &nbsp; 0 <i></i> 100 %</span></p>
  <div class="live-names">{names}</div>
  <div class="live-heat" style="--genres:{len(genres)}">{_heat(result, len(genres))}</div>
  <div class="live-ticks">{ticks}</div>
</figure>
"""


def _spectrogram(db: NDArray[np.float32]) -> str:
    top = max(float(db.max()), _LEAST_TOP_DB)
    levels = np.clip((db[::-1] - (top - RANGE_DB)) * (255 / RANGE_DB), 0, 255).astype(np.uint8)
    image = Image.fromarray(_magma()[levels], "RGB")
    return _as_url(image, "webp", quality=80, method=0)


def _heat(result: LiveResult, n_genres: int) -> str:
    """Draw the probabilities as the opacity of an image, and a dot on the winner of each frame."""
    image = np.zeros((n_genres, _HEAT_COLUMNS, 4), np.uint8)
    image[..., :3] = _HEAT_RGB
    dots = ""
    if result.prediction is not None:
        layout = cells(result.prediction)
        edges = layout.edges + result.offset_seconds
        seconds = (np.arange(_HEAT_COLUMNS) + 0.5) * (WINDOW_SECONDS / _HEAT_COLUMNS)
        which = np.searchsorted(edges, seconds, side="right") - 1
        inside = (which >= 0) & (which < len(layout.sounds)) & (seconds >= edges[0])
        inside[inside] = layout.sounds[which[inside]]
        image[:, inside, 3] = (255 * layout.probabilities[which[inside]]).astype(np.uint8).T
        centres = (edges[:-1] + edges[1:]) / 2
        dots = "".join(
            f'<i style="left:{100 * centre / WINDOW_SECONDS:.1f}%;top:{100 * (winner + 0.5) / n_genres:.1f}%"></i>'
            for centre, winner, sounds in zip(centres, layout.probabilities.argmax(axis=1), layout.sounds, strict=True)
            if sounds and result.prediction.is_music and 0 <= centre <= WINDOW_SECONDS
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
