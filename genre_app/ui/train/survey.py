"""A quick look at the music that a visitor names: how many tracks, and of what kind. Nothing is decoded."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from genre_app.data.cache.feature_table import FeatureTable
from genre_app.data.cache.mel_cache import MelCache
from genre_app.data.sources.archive import member_names
from genre_app.data.sources.folder import AUDIO_SUFFIXES
from genre_app.data.sources.gtzan import gtzan_name
from genre_app.errors import DataError

_SECONDS = 2.0  # after which the rest of a large folder is left out
_MAX_TRACKS = 20_000
_MAX_ROW = 1 << 16  # bytes of a row of an index

Kind = Literal["audio", "spectrograms", "table", "unknown"]


@dataclass(frozen=True)
class Survey:
    """What was seen of the music.

    Attributes
    ----------
    kind : {"audio", "spectrograms", "table", "unknown"}
    tracks : int or None
        Number of tracks, or at least that many; None if it is unknown.
    gtzan : bool
        Whether most tracks are named as GTZAN's. The shipped networks have learned from those.
    """

    kind: Kind = "unknown"
    tracks: int | None = None
    gtzan: bool = False


UNKNOWN = Survey()


def read_survey(value: Any) -> Survey:
    """Return the survey that a browser has kept as a dictionary; `UNKNOWN` if it is none."""
    with suppress(ValidationError):
        return TypeAdapter(Survey).validate_python(value)
    return UNKNOWN


def survey(data: str) -> Survey:
    """Look at the music; ``data`` is what `genre_app.ui.train.data.resolve` returns."""
    path = Path(data)
    with suppress(OSError, DataError, ValueError, csv.Error):
        if path.is_dir():
            if MelCache.is_cache(path):
                return _of("spectrograms", _index(path / "index.csv"))
            if FeatureTable.is_cache(path):
                return _of("table", _index(path / "index.csv"))
            return _of("audio", _audio(path))
        if path.suffix.lower() == ".csv" and path.is_file():
            return Survey("table")
        if path.suffix.lower() == ".zip" and path.is_file():
            names = member_names(path)
            if any(name.endswith(MelCache.ARRAY) for name in names):
                return Survey("spectrograms")
            return _of("audio", (name for name in names if Path(name).suffix.lower() in AUDIO_SUFFIXES))
    return UNKNOWN


def _of(kind: Kind, names: Iterable[str]) -> Survey:
    found = list(islice(names, _MAX_TRACKS))
    if not found:
        return UNKNOWN
    n_gtzan = sum(gtzan_name(name) is not None for name in found)
    return Survey(kind, len(found), 2 * n_gtzan > len(found))


def _audio(root: Path) -> Iterator[str]:
    """Yield the paths of the audio files below a folder, until the time is over."""
    deadline = time.monotonic() + _SECONDS
    walked = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        place = os.path.realpath(folder)
        if place in walked:  # a link leads here too
            folders.clear()
            continue
        walked.add(place)
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if Path(name).suffix.lower() in AUDIO_SUFFIXES and not name.startswith("."):
                yield str(Path(folder, name).relative_to(root))
        if time.monotonic() > deadline:
            return


def _index(path: Path) -> Iterator[str]:
    """Yield the track ids of an index."""
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(line[:_MAX_ROW] for line in file):
            yield row.get("track_id") or ""
