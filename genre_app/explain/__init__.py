"""Explain an answer: which frequency bands and moments decided, and how the answer changes with the sound.

Conventions
-----------
A `Grid` cuts a clip into *cells*: a band of frequencies during a moment of one to three seconds. ``importance``
[bands, moments] is how far the log-odds of a genre fall if a cell is removed.
"""

from genre_app.explain.changes import CHANGES, Change, answer, changed, what_if
from genre_app.explain.grid import Grid, hertz
from genre_app.explain.masking import mask_audio
from genre_app.explain.occlusion import MARKED_SHARE, Explanation, explain
from genre_app.explain.threads import at_once

__all__ = [
    "CHANGES",
    "MARKED_SHARE",
    "Change",
    "Explanation",
    "Grid",
    "answer",
    "at_once",
    "changed",
    "explain",
    "hertz",
    "mask_audio",
    "what_if",
]
