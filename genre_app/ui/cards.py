"""The words of an answer as HTML; whatever came from a visitor or a checkpoint is escaped."""

from __future__ import annotations

from html import escape

from genre_app.predict import Prediction
from genre_app.ui.figures import clock
from genre_app.ui.service import MAX_BYTES, MAX_SECONDS, VOTE_NAMES

_UNPLAYABLE = (".aif", ".aiff", ".au", ".wma")

WELCOME = f"""
<section class="card" aria-label="Final vote">
  <p class="eyebrow">What to do</p>
  <ol class="steps">
    <li><b>Drop a song</b> above, choose a file, or record with the microphone: 5 seconds are enough, 15 are better.</li>
    <li><b>Wait a second.</b> The answer comes by itself.</li>
    <li><b>Look closer.</b> Each frame of a few seconds has its own prediction; pick one to hear what the model heard.</li>
  </ol>
  <p class="small">WAV, FLAC, MP3, OGG, Opus, M4A, AIFF, WMA, up to {MAX_BYTES / 1e6:.0f} MB and {MAX_SECONDS / 3600:.0f} hours.
  Files are deleted from the server within two hours.</p>
</section>
"""

LISTENING = """
<section class="card" aria-label="Final vote" aria-busy="true">
  <p class="eyebrow">Final vote</p>
  <p class="genre quiet">Listening …</p>
</section>
"""

NO_MUSIC = (
    "I hear no music: what arrives is noise alone, without tones or rhythm. "
    "Go nearer to the music, turn it up, or choose another microphone"
)

NO_FIGURE = """
<div class="empty">The spectrogram and the prediction of each frame will stand here, over one time axis.</div>
"""


def problem(message: str, eyebrow: str = "No answer") -> str:
    """Say in place what went wrong."""
    words = escape(_full_stop(message))
    return f'<section class="card problem" role="alert"><p class="eyebrow">{eyebrow}</p><p>{words}</p></section>'


def remark(words: str) -> str:
    """Say something in passing."""
    return f'<p class="remark" role="status">{escape(words)}</p>'


def final_vote(prediction: Prediction) -> str:
    """Write the answer: genre, five bars, agreement, warnings."""
    first, p_first = prediction.top(1)[0]
    agree, heard = prediction.n_agree, prediction.n_sounding
    frames = f"{agree} of {heard} frames agree" if heard > 1 else "a single frame"
    doubt = "" if prediction.is_sure else f" · ahead by only {_points(100 * prediction.margin)}"
    told = "what the network says of noise:" if prediction.is_noise else f"{percent(p_first)} {first} · {frames}{doubt}"
    warnings = "".join(f"<li>{escape(_sentence(warning))}</li>" for warning in prediction.warnings)
    source = escape(f"{prediction.name} · {_length(prediction.duration_seconds)} · {prediction.checkpoint} checkpoint")
    if prediction.name.lower().endswith(_UNPLAYABLE):
        source += "<br>Most browsers cannot play this format, so the frames cannot be heard; the answer is the same."
    return f"""
<section class="card" aria-label="Final vote" aria-live="polite">
  <p class="eyebrow">Final vote</p>
  {headline(prediction)}
  <p class="sub">{escape(told)}</p>
  {bars(prediction)}
  {f'<ul class="warnings">{warnings}</ul>' if warnings else ""}
  <p class="small">{source}</p>
</section>
"""


def _points(margin: float) -> str:
    whole = int(round(margin, 3))  # never more than it is: what is not sure leads by less than a stated number of points
    return "less than a point" if not whole else "1 point" if whole == 1 else f"{whole} points"


def headline(prediction: Prediction) -> str:
    """Name the genre, or two of them when it is close; none for noise."""
    (first, _), (second, _) = prediction.top(2)
    if prediction.is_noise:
        return '<p class="genre unsure">No music heard</p>'
    if prediction.is_sure:
        return f'<p class="genre">{escape(first)}</p>'
    return f'<p class="genre unsure"><span>Not sure:</span> {escape(first)} <span>or</span> {escape(second)}</p>'


def bars(prediction: Prediction) -> str:
    """Draw the probabilities of the first five genres."""
    rows = "".join(
        f'<li><span class="name">{escape(genre)}</span>'
        f'<span class="track"><span class="bar" style="width:{100 * p:.1f}%"></span></span>'
        f'<span class="value">{escape(percent(p))}</span></li>'
        for genre, p in prediction.top(5)
    )
    return f'<ol class="bars">{rows}</ol>'


def vote_choices(prediction: Prediction | None, available: tuple[str, ...]) -> list[tuple[str, str]]:
    """Label and value of each vote: its genre, and whether it disagrees with the one chosen."""
    if prediction is None:
        return [(VOTE_NAMES[name], name) for name in available]
    labels = []
    for name, genre in prediction.votes.items():
        dissent = "\N{NO-BREAK SPACE}≠" if genre != prediction.genre else ""
        labels.append((f"{VOTE_NAMES[name]}: {genre or 'no music'}{dissent}", name))
    return labels


def vote_info(prediction: Prediction | None, vote: str) -> str:
    """Say what a vote does and who disagrees."""
    does = {
        "majority": "The genre that wins most frames.",
        "mean": "The average of the frames' probabilities.",
        "geometric": "The average of their logarithms: one firm no counts.",
        "knn": "The genres of the training tracks with the most similar predictions.",
    }[vote]
    if prediction is None:
        return f"How the frames' predictions become one. {does}"
    others = [VOTE_NAMES[name] for name, genre in prediction.votes.items() if genre != prediction.genre]
    if not others:
        return f"{does} All {len(prediction.votes)} votes agree."
    return f"{does} {', '.join(others)} {'disagrees' if len(others) == 1 else 'disagree'} (≠)."


def figure(webp_base64: str, prediction: Prediction, axes: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)) -> str:
    """Put the drawn figure on the page, with words for those who cannot see it.

    Parameters
    ----------
    webp_base64 : str
    prediction : Prediction
    axes : tuple of float
        Where time is drawn: left, top, width and height as shares of the figure; there a frame is marked.
    """
    frames = len(prediction.segment_starts)
    words = (
        f"Mel-spectrogram of {prediction.name}, and below it the probabilities of {len(prediction.genres)} genres in each of "
        f"{frames} frames. {prediction.n_agree} of {prediction.n_sounding} frames are won by {prediction.guess}."
    )
    left, top, width, height = axes
    return (
        f'<div class="marked"><img class="figure" alt="{escape(words, quote=True)}" src="data:image/webp;base64,{webp_base64}">'
        f'<span style="left:{left:.2%};top:{top:.2%};width:{width:.2%};height:{height:.2%}"><i></i></span></div>'
    )


def frame_mark(row: int, start: float, end: float) -> str:
    """Mark a frame in the table and in the figure.

    Parameters
    ----------
    row : int
        Of the table, as it was before it was sorted.
    start, end : float
        Shares of the clip.
    """
    place = f"display:block;left:{start:.2%};width:{end - start:.2%}"
    return f"{row_mark('frames', row)}<style>#figure .marked i{{{place}}}</style>"


def row_mark(table: str, row: int) -> str:
    """Mark a row of a table by its id: gradio has no option for it, and makes the rows anew whenever it likes."""
    return f'<style>#{table} [role="gridcell"][data-row="{row}"]{{background:var(--chosen)!important}}</style>'


def progress(done: int, total: int, failed: int, doing: str = "") -> str:
    """Show how far a batch is."""
    words = (
        f"{done} of {total} done"
        + (f", {failed} without an answer" if failed else "")
        + (f" · {escape(doing)}" if doing else "")
    )
    return f'<div class="progress"><progress max="{total}" value="{done}"></progress><p role="status">{words}</p></div>'


def percent(p: float) -> str:
    """Write a probability, never as a certainty that it is not."""
    return "< 1 %" if 0 < p < 0.005 else "> 99 %" if 0.995 <= p < 1 else f"{100 * p:.0f} %"


def _length(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else clock(seconds) + (" min" if seconds < 3600 else " h")


def _sentence(words: str) -> str:
    return words[:1].upper() + _full_stop(words[1:])


def _full_stop(words: str) -> str:
    return words if words.endswith((".", "!", "?")) else f"{words}."
