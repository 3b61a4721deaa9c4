"""Clips to try the page with, synthesised by the project itself when the app starts."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from threading import Lock

from genre_app.synth import STYLES, write_examples

_SECONDS = 20.0
_writing = Lock()


def example_path(style: str) -> Path:
    """Return the file of one of `STYLES`; the first call synthesises them all."""
    with _writing:
        return _paths()[style]


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="genre-app-examples-")  # removed when the app ends


@cache
def _paths() -> dict[str, Path]:
    return dict(zip(STYLES, write_examples(_folder().name, seconds=_SECONDS), strict=True))
