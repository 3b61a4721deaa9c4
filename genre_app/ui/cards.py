"""HTML of an answer: its card, bars, figure and remarks. Text from visitors and checkpoints is escaped."""

from __future__ import annotations

import traceback
from html import escape
from typing import Any

from genre_app.errors import GenreAppError
from genre_app.prediction import REJECTED_WORDS, Prediction, Rejection
from genre_app.progress import StoppedError
from genre_app.sure import SureLimits
from genre_app.ui.figures import clock
from genre_app.ui.limits import MAX_SECONDS
from genre_app.ui.service import MAX_BYTES, VOTE_NAMES

_UNPLAYABLE = (".aif", ".aiff", ".au", ".wma")

WELCOME = f"""
<section class="card" aria-label="Final vote">
  <h2 class="eyebrow">What to do</h2>
  <ol class="steps">
    <li><b>Press Listen</b> near the music: it stops by itself after 5 to 15 seconds. Or <b>drop a song</b> anywhere on this
    page, upload it, or record one.</li>
    <li><b>Wait a second.</b> The answer appears here.</li>
    <li><b>Look closer.</b> Each frame of a few seconds has its own prediction; choose a frame to play it.</li>
  </ol>
  <p class="small">WAV, FLAC, MP3, OGG, Opus, M4A, AIFF, WMA, up to {MAX_BYTES / 1e6:.0f} MB and {MAX_SECONDS / 3600:.0f} hours.
  Files are deleted from the server within two hours.</p>
</section>
"""

CLASSIFYING = """
<section class="card" aria-label="Final vote" aria-busy="true">
  <h2 class="eyebrow">Final vote</h2>
  <p class="genre quiet">Classifying …</p>
</section>
"""

NO_MUSIC = "No music heard: only noise arrived. Move closer to the music, turn it up, or choose another microphone"

FORGOTTEN = "The server no longer has this answer; choose the clip again"

NO_FIGURE = '<div class="empty">Your spectrogram and frame-by-frame genres will appear here.</div>'

REJECTIONS: dict[Rejection | None, str] = {
    "noise": "No music heard",
    "speech": "This sounds like speech, not music",
    "other": "None of these genres",
}
"""Headline of a rejected clip."""

MEASURES = {
    "majority": "Share of frames won",
    "mean": "Mean probability of the frames",
    "geometric": "Geometric mean of the frames' probabilities",
    "knn": "Share of the most similar training tracks",
}
"""What the number beside each genre is, by vote."""

_DOES = {
    "majority": "Picks the genre that wins most frames.",
    "mean": "Averages the frames' probabilities.",
    "geometric": "Averages log-probabilities: one frame that firmly rules a genre out counts heavily.",
    "knn": "Picks the genre of the training tracks with the most similar predictions.",
}


def told(error: Exception) -> str:
    """Return what a visitor reads of an error; if the program did not expect the error, the log gets its traceback."""
    if isinstance(error, GenreAppError | StoppedError):
        return str(error)
    traceback.print_exception(error)
    reason = getattr(error, "strerror", None) or type(error).__name__
    return f"This failed unexpectedly ({reason}); try again, or look into the log of the server."


def problem(message: str, eyebrow: str = "No answer") -> str:
    """Return a card that says what went wrong."""
    words = escape(full_stop(message))
    return f'<section class="card problem" role="alert"><h2 class="eyebrow">{eyebrow}</h2><p>{words}</p></section>'


def remark(words: str) -> str:
    """Return a short note."""
    return f'<p class="remark" role="status">{escape(words)}</p>'


def final_vote(prediction: Prediction) -> str:
    """Return the card of an answer: the genre, how sure it is, five bars and the warnings."""
    warnings = "".join(f"<li>{escape(sentence(warning))}</li>" for warning in prediction.warnings)
    source = escape(f"{prediction.name} · {_length(prediction.duration_seconds)} · {prediction.checkpoint} checkpoint")
    if prediction.name.lower().endswith(_UNPLAYABLE):
        source += "<br>Most browsers cannot play this format. The answer is the same."
    return f"""
<section class="card" aria-label="Final vote" aria-live="polite">
  <h2 class="eyebrow">Final vote</h2>
  {headline(prediction)}
  <p class="sub">{escape(agreement(prediction))}</p>
  <h3 class="measure">{escape(measure(prediction))}</h3>
  {bars(prediction)}
  {f'<ul class="warnings">{warnings}</ul>' if warnings else ""}
  <p class="small">{source}<br>{sure_words(prediction.sure_limits)}</p>
</section>
"""


def measure(prediction: Prediction) -> str:
    """Say what the numbers of `bars` are."""
    return (
        MEASURES[prediction.vote]
        if prediction.is_music
        else f"The model's guess, which means nothing for {prediction.rejected}"
    )


def sure_words(limits: SureLimits) -> str:
    """Say when the checkpoint's answers are sure."""
    lead = f" and leads by at least {100 * limits.margin:.0f} points" if limits.margin > 0 else ""
    return f"A sure answer has at least {percent(limits.probability)}{lead}."


def agreement(prediction: Prediction) -> str:
    """Say how many frames agree, and why the answer is not sure or missing."""
    if not prediction.is_music:
        return f"All of it sounds like {prediction.rejected}."
    if prediction.rejected:
        return f"It sounds most like {prediction.guess}, which stands for all other sounds."
    n = prediction.n_sounding
    return ("a single frame" if n == 1 else f"{prediction.n_agree} of {n} frames agree") + _doubt(prediction)


def _doubt(prediction: Prediction) -> str:
    if prediction.is_sure:
        return ""
    limits = prediction.sure_limits
    if prediction.margin >= limits.margin:
        is_low = prediction.probabilities.max() < limits.probability
        return " · a low probability" if is_low else f" · fewer than {percent(limits.probability)} of the frames"
    points = int(round(100 * prediction.margin, 3))  # rounded down: a lead of 14.6 points is less than 15
    return f" · ahead by {'less than one point' if not points else 'one point' if points == 1 else f'only {points} points'}"


def headline(prediction: Prediction) -> str:
    """Name the genre; two genres if the answer is not sure, none for noise and speech."""
    if prediction.rejected:
        return f'<p class="genre unsure">{REJECTIONS[prediction.rejected]}</p>'
    (first, _), (second, _) = prediction.ranked(2)
    if prediction.is_sure:
        return f'<p class="genre">{escape(first)}</p>'
    return f'<p class="genre unsure"><span>Not sure:</span> {escape(first)} <span>or</span> {escape(second)}</p>'


def bars(prediction: Prediction) -> str:
    """Draw the vote's measure of the first five genres: shares of frames for the majority, else probabilities."""
    values = [(genre, share, percent(share)) for genre, share in prediction.ranked(5)]
    if prediction.vote == "majority":
        n = prediction.n_sounding
        values = [(genre, share, f"{share * n:.0f} of {n} frames") for genre, share, _ in values if share]
    rows = "".join(
        f'<li><span class="name">{escape(genre)}</span>'
        f'<span class="track"><span class="bar" style="width:{100 * share:.1f}%"></span></span>'
        f'<span class="value">{escape(words)}</span></li>'
        for genre, share, words in values
    )
    return f'<ol class="bars">{rows}</ol>'


def vote_radio(prediction: Prediction | None, vote: str) -> dict[str, Any]:
    """Return the settings of the choice of votes, below an answer or, without one, as on a first visit."""
    return {"choices": vote_choices(prediction), "value": vote, "info": vote_info(prediction, vote)}


def vote_choices(prediction: Prediction | None = None) -> list[tuple[str, str]]:
    """Return label and value of each vote; the label has the vote's genre, and ≠ if it differs from the chosen vote's."""
    if prediction is None or not prediction.is_music:
        return [(VOTE_NAMES[name], name) for name in (prediction.votes if prediction else VOTE_NAMES)]
    labels = []
    for name, genre in prediction.votes.items():
        dissent = "\N{NO-BREAK SPACE}≠" if genre != prediction.genre else ""
        labels.append((f"{VOTE_NAMES[name]}: {genre or REJECTED_WORDS['other']}{dissent}", name))
    return labels


def vote_info(prediction: Prediction | None, vote: str) -> str:
    """Say what a vote does, and which votes disagree."""
    does = _DOES[vote]
    if prediction is None or not prediction.is_music:
        return f"How the frames' predictions become one answer. {does}"
    others = [VOTE_NAMES[name] for name, genre in prediction.votes.items() if genre != prediction.genre]
    if not others:
        return f"{does} All {len(prediction.votes)} votes agree."
    return f"{does} {', '.join(others)} {'disagrees' if len(others) == 1 else 'disagree'} (≠)."


def image(url: str, words: str) -> str:
    """Put a drawn figure on the page, with a description for those who cannot see it."""
    return f'<img class="figure" alt="{escape(words)}" src="{url}">'


def figure(url: str, prediction: Prediction, axes: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)) -> str:
    """Put the drawn figure of an answer on the page.

    Parameters
    ----------
    url : str
        Of the image.
    prediction : Prediction
    axes : tuple of float
        Left, top, width and height of the time axis, as shares of the figure. The page's script plays from where it is
        clicked, moves the playhead over it and marks the chosen frame on it.
    """
    frames = len(prediction.segment_starts)
    words = (
        f"Mel-spectrogram of {prediction.name}, and below it the probabilities of {len(prediction.genres)} genres in each of "
        f"{frames} frames."
    )
    if prediction.is_music:
        words += f" {prediction.n_agree} of {prediction.n_sounding} frames are won by {prediction.guess}."
    left, top, width, height = axes
    return (
        f'<div class="marked">{image(url, words)}'
        f'<span class="time-axis" data-duration="{prediction.duration_seconds:.3f}" title="Click to play from here" '
        f'style="left:{left:.2%};top:{top:.2%};width:{width:.2%};height:{height:.2%}">'
        f'<i></i><b class="playhead"></b></span></div>'
    )


def frame_mark(row: int, start: float, end: float) -> str:
    """Mark a frame in the table and in the figure.

    Parameters
    ----------
    row : int
        Index in the table before it was sorted.
    start, end : float
        Shares of the clip, 0 to 1.
    """
    place = f"display:block;left:{start:.2%};width:{end - start:.2%}"
    return f"{row_mark('frames', row)}<style>#figure .marked i{{{place}}}</style>"


def row_mark(table: str, row: int) -> str:
    """Mark a row of a table by a style sheet: gradio has no option for it and replaces the rows' elements."""
    return f'<style>#{table} [role="gridcell"][data-row="{row}"]{{background:var(--chosen)!important}}</style>'


def progress(done: int, total: int, failed: int, doing: str = "") -> str:
    """Show how many files of a batch are done."""
    without = f", {failed} without an answer" if failed else ""
    return bar(f"{done} of {total} done{without}" + (f" · {doing}" if doing else ""), done, total)


def bar(words: str, done: float, total: float) -> str:
    """Return a progress bar with a line of text; without a total, the bar shows no amount."""
    value = f'max="{total:g}" value="{done:g}"' if total > 0 else ""
    label = escape(words)
    return f'<div class="progress"><progress aria-label="{label}" {value}></progress><p role="status">{label}</p></div>'


def percent(p: float) -> str:
    """Write a probability; only 0 and 1 themselves are written as 0 % and 100 %."""
    return "< 1 %" if 0 < p < 0.005 else "> 99 %" if 0.995 <= p < 1 else f"{100 * p:.0f} %"


def _length(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else clock(seconds) + (" min" if seconds < 3600 else " h")


def sentence(words: str) -> str:
    """Return a warning as a sentence: with a capital and a full stop."""
    return words[:1].upper() + full_stop(words[1:])


def full_stop(words: str) -> str:
    """Return a message with a full stop."""
    return words if words.endswith((".", "!", "?")) else f"{words}."
