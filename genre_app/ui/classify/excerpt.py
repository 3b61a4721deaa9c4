"""The part of a clip that is explained and changed, its sound for the players, and the words for its answers."""

from __future__ import annotations

from html import escape

import numpy as np

from genre_app.audio import Clip, open_audio, wav_file
from genre_app.checkpoint import Checkpoint
from genre_app.prediction import Prediction, Rejection
from genre_app.ui import cards
from genre_app.ui.downloads import download
from genre_app.ui.figures import clock
from genre_app.ui.service import RequestError, checkpoint_named

SECONDS = 30.0
"""Length of the excerpt of a longer clip; the work grows with it."""

REJECTIONS: dict[Rejection, str] = {"noise": "no music heard", "speech": "sounds like speech", "other": "none of these"}
"""Words for an answer that is rejected."""

_SPARE_SECONDS = 2.0  # a clip that is only this much longer is used whole
_NOTHING = {
    "noise": "Nothing to explain: no music was heard, only noise",
    "speech": "Nothing to explain: this sounds like speech, not music",
}


def stretch(prediction: Prediction) -> tuple[float, float]:
    """Return start and end in seconds of the excerpt: of all of 30 s, the one whose frames are most like the whole clip."""
    duration = prediction.duration_seconds
    if duration <= SECONDS + _SPARE_SECONDS:
        return 0.0, duration
    starts, ends = prediction.segment_starts, prediction.segment_ends
    sounds, latest = prediction.segment_sounds, duration - SECONDS
    best, distance = 0.0, np.inf
    for first in np.flatnonzero(sounds & (starts <= latest)):
        inside = slice(first, np.searchsorted(ends, starts[first] + SECONDS, side="right"))
        if sounds[inside].any():
            mean = prediction.segment_probabilities[inside][sounds[inside]].mean(axis=0)
            far = float(np.abs(mean - prediction.probabilities).sum())
            if far < distance:
                best, distance = float(starts[first]), far
    return best, best + SECONDS


def asked(
    path: str | None, checkpoint: list[str], own: str | None, prediction: Prediction | None
) -> tuple[Checkpoint, Prediction, Clip]:
    """Return the checkpoint, the answer and the excerpt that a visitor asks about.

    Parameters
    ----------
    path : str or None
        The clip's file.
    checkpoint : list of str
        As in `genre_app.ui.service.checkpoint_named`.
    own : str or None
        Path of the visitor's own checkpoint.
    prediction : Prediction or None
        The answer for the clip.

    Raises
    ------
    RequestError
        If there is no such checkpoint, no answer, or it was rejected; one sentence.
    AudioError
        If the file cannot be decoded.
    CheckpointError
        If the checkpoint cannot be used.
    """
    chosen = checkpoint_named(checkpoint, own)
    if path is None:
        raise RequestError("There is no answer yet: choose a clip first")
    if prediction is None:
        raise RequestError(cards.FORGOTTEN)
    if not prediction.is_music and prediction.rejected:
        raise RequestError(_NOTHING[prediction.rejected])
    return chosen, prediction, read(path, prediction, chosen)


def read(path: str, prediction: Prediction, checkpoint: Checkpoint) -> Clip:
    """Decode the excerpt of the clip that was answered; raises `AudioError` if that fails."""
    start, end = (round(seconds * checkpoint.sample_rate) for seconds in stretch(prediction))
    kept, position = [], 0
    with open_audio(path, sample_rate=checkpoint.sample_rate, name=prediction.name) as stream:
        for block in stream.blocks():
            kept.append(block[max(0, start - position) : max(0, end - position)])
            position += len(block)
            if position >= end:
                break
    return Clip(np.concatenate(kept), checkpoint.sample_rate, prediction.name)


def of_which(prediction: Prediction) -> str:
    """Say which part of a longer clip is used; empty if all of it is."""
    start, end = stretch(prediction)
    if end - start >= prediction.duration_seconds:
        return ""
    return f" This is about {clock(start, prediction.duration_seconds)} to {clock(end, prediction.duration_seconds)}."


def words(prediction: Prediction | None) -> str:
    """Return HTML that names the answer for changed sound, with its runner-up."""
    if prediction is None:
        return "<b>Nothing to hear</b>"
    (first, p), (second, q) = prediction.ranked(2)
    doubt = f" ({REJECTIONS[prediction.rejected]})" if prediction.rejected else ""
    return f"<b>{escape(first)}</b> {cards.percent(p)}, then {escape(second)} {cards.percent(q)}{doubt}"


def playable(clip: Clip, name: str) -> str:
    """Write a clip for a player, within full scale; return its path."""
    return download(f"{name}.wav", wav_file(clip.samples, clip.sample_rate))
