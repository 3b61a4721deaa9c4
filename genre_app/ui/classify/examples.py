"""Clips to try the page with, synthesised by the project itself, each when it is first asked for."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from threading import Lock

from genre_app.audio.synth import write_examples

_SECONDS = 20.0
_writing = Lock()


def example_path(style: str) -> Path:
    """Return the file of one of `genre_app.audio.synth.STYLES`."""
    with _writing:
        (path,) = write_examples(_folder().name, seconds=_SECONDS, styles=(style,))
    return path


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="genre-app-examples-")  # removed when the app ends
