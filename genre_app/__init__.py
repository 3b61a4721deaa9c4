"""Classify the genre of a piece of music.

>>> from genre_app import classify, load_checkpoint, load_clip
>>> checkpoint = load_checkpoint()
>>> prediction = classify(load_clip("song.mp3", sample_rate=checkpoint.sample_rate), checkpoint)
>>> prediction.genre, prediction.top(3), prediction.warnings

Layers: each package imports only packages to its right (import-linter checks this), and ``|`` joins packages of one layer.

``app, train > cli | ui > library | runs > teaching | training > evaluation > data > explain > augment > predict | pretrained >
combine | members > checkpoint | prediction > checkpoint_file | hub > checkpoint_header > vote | models | sure > features >
audio > child | errors | files | progress``

Importing the package imports nothing else. A public name is imported at its first use, so that the command line's help and the
first byte of the page do not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genre_app.audio import Clip, load_clip
    from genre_app.checkpoint import load_checkpoint
    from genre_app.errors import AudioError, CheckpointError
    from genre_app.predict import Prediction, classify

__all__ = ["AudioError", "CheckpointError", "Clip", "Prediction", "classify", "load_checkpoint", "load_clip"]

_HOMES = {
    "AudioError": "genre_app.errors",
    "CheckpointError": "genre_app.errors",
    "Clip": "genre_app.audio",
    "Prediction": "genre_app.prediction",
    "classify": "genre_app.predict",
    "load_checkpoint": "genre_app.checkpoint",
    "load_clip": "genre_app.audio",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
