"""A folder of log-mel spectrograms made once and read many times.

Three files: ``spec.json`` (how the columns were made), ``index.csv`` (``track_id, genre, split, offset, n_frames``) and
``log_mel.npy``, float16 ``[frames, n_mels]`` in dB re 1.0, memory-mapped. A track is rows ``offset : offset + n_frames``.
"""

from __future__ import annotations

import csv
import json
import tokenize
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from genre_app.errors import DataError, first_line
from genre_app.features import COLUMN_FIELDS, FeatureSpec

FILES = ("spec.json", "index.csv", "log_mel.npy")
# numpy evaluates a header of up to 10,000 letters as Python's literals, and hands on what comes of that.
_MALFORMED = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    OverflowError,
    SyntaxError,
    tokenize.TokenError,
    RecursionError,
    MemoryError,
)


class CachedTrack(BaseModel):
    """One row of ``index.csv``."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    track_id: str
    genre: str
    split: str
    offset: int
    n_frames: int


@dataclass(frozen=True)
class MelCache:
    """An opened mel cache.

    Attributes
    ----------
    path : pathlib.Path
    spec : FeatureSpec
        Of kind ``log_mel``; its segment fields are defaults, since columns do not depend on them.
    tracks : tuple of CachedTrack
    log_mel : numpy.ndarray, float16 [frames, n_mels]
        dB re 1.0, memory-mapped.
    """

    path: Path
    spec: FeatureSpec
    tracks: tuple[CachedTrack, ...]
    log_mel: NDArray[np.float16]

    @staticmethod
    def is_cache(path: Path) -> bool:
        """Whether the folder holds the three files of a mel cache."""
        return all((path / name).is_file() for name in FILES)

    @classmethod
    def open(cls, path: str | Path) -> MelCache:
        """Open a mel cache and check it.

        Raises
        ------
        DataError
            If a file is missing or malformed, or the index does not fit the array.
        """
        path = Path(path)
        for name in FILES:
            if not (path / name).is_file():
                raise DataError(f"{path} is not a mel cache: it has no {name}; a mel cache holds {', '.join(FILES)}.")
        try:
            stated = json.loads((path / "spec.json").read_text(encoding="utf-8"))
            if stated.get("kind") != "log_mel":
                raise ValueError(f"its kind is {stated.get('kind')!r}, not 'log_mel'")
            missing = [name for name in COLUMN_FIELDS if name not in stated]
            if missing:
                raise ValueError(f"it lacks {', '.join(missing)}")
            spec = FeatureSpec(**{name: stated[name] for name in COLUMN_FIELDS})
        except (ValueError, AttributeError) as error:
            raise DataError(f"{path / 'spec.json'} cannot be used: {first_line(error)}; make the cache again.") from error
        log_mel = open_array(path / "log_mel.npy", spec.n_mels, (np.float16, np.float32))
        return cls(path, spec, read_index(path / "index.csv", len(log_mel)), log_mel)

    def columns(self, track: CachedTrack) -> NDArray[np.float32]:
        """Log-mel columns of a track, float32 [frames, n_mels], dB re 1.0.

        Raises
        ------
        DataError
            If a value is not finite.
        """
        columns = np.asarray(self.log_mel[track.offset : track.offset + track.n_frames], dtype=np.float32)
        if not np.isfinite(columns).all():
            raise DataError(
                f"{self.path / 'log_mel.npy'}: {track.track_id} has values that are not finite; make the cache again."
            )
        return columns


def open_array(path: Path, width: int, dtypes: Sequence[type[np.floating]]) -> NDArray[Any]:
    """Memory-map an array [rows, width] of a cache.

    Raises
    ------
    DataError
        If it cannot be read, or has another shape or type.
    """
    try:
        with np.errstate(over="ignore"):  # of a shape beyond all bounds, which then is longer than the file
            array: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    except _MALFORMED as error:
        raise DataError(f"{path} cannot be read: {first_line(error)}; make the cache again.") from error
    if array.ndim != 2 or array.shape[1] != width or array.dtype not in dtypes:
        raise DataError(
            f"{path} holds {array.dtype} {array.shape}, not {np.dtype(dtypes[0])} [rows, {width}] as spec.json says; "
            "make the cache again."
        )
    return array


def read_index(path: Path, n_rows: int) -> tuple[CachedTrack, ...]:
    """Read the index of a cache whose array has ``n_rows`` rows.

    Raises
    ------
    DataError
        If it is malformed or does not fit the array.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            tracks = tuple(CachedTrack.model_validate(row) for row in csv.DictReader(file))
    except (ValidationError, csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {first_line(error)}; make the cache again.") from error
    for track in tracks:
        if not (track.track_id and track.genre) or track.offset < 0 or track.n_frames < 1:
            raise DataError(f"{path}: the row of {track.track_id!r} is not a track; make the cache again.")
        if track.offset + track.n_frames > n_rows:
            raise DataError(
                f"{path}: {track.track_id} ends at row {track.offset + track.n_frames}, but the array beside it "
                f"has {n_rows}; one of them is cut off, make the cache again."
            )
    twice = [name for name, count in Counter(track.track_id for track in tracks).items() if count > 1]
    if twice:
        raise DataError(f"{path} names {twice[0]} more than once; make the cache again.")
    if not tracks:
        raise DataError(f"{path} lists no track; make the cache again.")
    return tracks
