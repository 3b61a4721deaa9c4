"""Classify the genre of a piece of music.

>>> from genre_app import classify, load_checkpoint, load_clip
>>> checkpoint = load_checkpoint()
>>> prediction = classify(load_clip("song.mp3", sample_rate=checkpoint.spec.sample_rate), checkpoint)
>>> prediction.genre, prediction.top(3), prediction.warnings

Layers; each may import only what stands to its right, and import-linter enforces that:

``app, train > cli | ui > runs > training > evaluation > data > augment > predict > checkpoint > vote | models >
features > audio > errors | files | progress``

Nothing happens at import: the public names are looked up when they are first used, so that the command line's help and the
page's first byte do not wait for torch.
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
    "Prediction": "genre_app.predict",
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
