"""Labelled tracks: as audio files, and as rows of a cache; and the names of the splits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

SPLITS = ("train", "valid", "test")
_OTHER_NAMES = {"training": "train", "validation": "valid", "val": "valid", "dev": "valid", "testing": "test"}


@dataclass(frozen=True)
class AudioTrack:
    """An audio file of a known genre.

    Attributes
    ----------
    path : pathlib.Path
    track_id : str
        Path below the data's folder, with forward slashes.
    genre : str
        Name of the genre's folder.
    split : str
        ``train``, ``valid`` or ``test`` if the folders state a split, otherwise empty.
    """

    path: Path
    track_id: str
    genre: str
    split: str = ""


class CachedTrack(BaseModel):
    """A track of a cache: rows ``offset : offset + n_frames`` of the cache's array. One line of ``index.csv``."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    track_id: str
    genre: str
    split: str
    offset: int
    n_frames: int


def split_of_name(name: str) -> str | None:
    """Return ``train``, ``valid`` or ``test`` for a common name of that split ("validation", "Dev"), otherwise None."""
    name = name.strip().casefold()
    return name if name in SPLITS else _OTHER_NAMES.get(name)
