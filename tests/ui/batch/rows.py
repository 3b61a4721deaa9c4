"""What the tests of Batch share: a run of the tab, predictions, and what the table and the CSV show."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator

import gradio as gr
import numpy as np

from genre_app.checkpoint import Checkpoint
from genre_app.predict import Prediction, from_segments
from genre_app.ui.batch import tab
from tests.pages import handler


def batch(
    app, paths: list[str], folders: dict[str, str] | None = None, before: tab.Going | None = None, asked: float = 1.0
) -> Iterator[dict]:
    """What the page shows, step by step, after files were dropped that came from these folders."""
    run = handler(app, "Songs", "upload").fn
    return run(paths, "default", "mean", folders, asked, None, before, gr.Request(session_hash="one"))


def predicted(checkpoint: Checkpoint, *probabilities: float, name: str = "song.wav") -> Prediction:
    """A prediction from one segment whose first genres have these probabilities and whose other genres share the rest."""
    rest = (1 - sum(probabilities)) / (10 - len(probabilities))
    row = np.array([[*probabilities, *[rest] * (10 - len(probabilities))]], np.float32)
    sounds = np.ones(1, bool)
    return from_segments(checkpoint, [0], row, spec=checkpoint.spec, sounds=sounds, name=name, duration_seconds=3.0)


def cells(html: str) -> list[str]:
    """The cells of the table's only row, as text: file with remarks, genre, probability with agreement."""
    return [re.sub("<[^>]+>", "", cell) for cell in re.findall("<td[^>]*>(.*?)</td>", html)]


def lines(text: str) -> list[dict[str, str]]:
    """The rows of a CSV."""
    return list(csv.DictReader(io.StringIO(text)))
