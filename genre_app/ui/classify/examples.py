"""Files of the examples, each written when a visitor first asks for it."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from threading import Lock

import soundfile

from genre_app.audio.demos import DEMOS
from genre_app.files import move

_SECONDS = 20.0
_RATE = 44100  # Hz
_writing = Lock()


def example_path(genre: str) -> Path:
    """Return the file of an example, one of `genre_app.audio.demos.DEMOS`; it is written if it is missing."""
    demo = DEMOS[genre]  # first, because a visitor's text must not become a path
    with _writing:  # a second visitor waits for the folder and the file
        path = Path(_folder().name) / f"{genre}.flac"
        if not path.exists():
            unfinished = path.with_suffix(".part")
            soundfile.write(unfinished, demo(_SECONDS, _RATE), _RATE, format="FLAC")
            move(unfinished, path)
    return path


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="genre-app-examples-")  # deleted when the app ends
