"""What mel caches and feature tables have in common: an array of rows, and an index that says which rows are which track."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from genre_app.data.tracks import CachedTrack
from genre_app.errors import DataError, first_line
from genre_app.features import FeatureSpec

# numpy parses an .npy header (up to 10,000 letters) as a Python literal; a malformed one can raise any of these.
_BROKEN = (OSError, ValueError, TypeError, LookupError, OverflowError, SyntaxError, TokenError, RecursionError, MemoryError)


@dataclass(frozen=True, eq=False)
class Store:
    """Rows of some tracks: the base of `MelCache` and `FeatureTable`.

    A store on disk is a folder of three files: ``spec.json``, ``index.csv`` and the array.

    Attributes
    ----------
    path : pathlib.Path
    spec : FeatureSpec or None
        How the rows were computed, if that is known.
    tracks : tuple of CachedTrack
    values : numpy.ndarray [rows, width]
        Memory-mapped where it is a file.
    """

    KIND: ClassVar[str]
    ARRAY: ClassVar[str]
    DTYPES: ClassVar[tuple[type[np.floating], ...]]  # of the array; the first one is written

    path: Path
    spec: FeatureSpec | None
    tracks: tuple[CachedTrack, ...]
    values: NDArray[Any]

    @classmethod
    def is_cache(cls, path: Path) -> bool:
        """Whether the folder holds the three files."""
        return all((path / name).is_file() for name in cls._files())

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open a folder and check it.

        Raises
        ------
        DataError
            If a file is missing or malformed, or the index does not fit the array.
        """
        path = Path(path)
        for name in cls._files():
            if not (path / name).is_file():
                raise DataError(f"{path} is not a {cls.KIND}: it has no {name}; a {cls.KIND} holds {', '.join(cls._files())}.")
        try:
            spec = cls._spec(json.loads((path / "spec.json").read_text(encoding="utf-8")))
        except (ValueError, AttributeError, RecursionError) as error:
            raise DataError(f"{path / 'spec.json'} cannot be used: {first_line(error)}; make the {cls.KIND} again.") from error
        values = open_array(path / cls.ARRAY, spec.n_bins, cls.DTYPES)
        return cls(path, spec, read_index(path / "index.csv", len(values)), values)

    @classmethod
    def _files(cls) -> tuple[str, ...]:
        return "spec.json", "index.csv", cls.ARRAY

    @staticmethod
    def _spec(stated: dict[str, Any]) -> FeatureSpec:
        raise NotImplementedError

    def rows(self, track: CachedTrack) -> NDArray[np.float32]:
        """Return the rows of a track, float32 [n, width].

        Raises
        ------
        DataError
            If a value is not finite.
        """
        rows = np.asarray(self.rows_as_stored(track), dtype=np.float32)
        if not np.isfinite(rows).all():
            raise DataError(f"{self.path}: {track.track_id} has values that are not finite; make the cache again.")
        return rows

    def digest(self, track: CachedTrack) -> str:
        """Return a digest of a track's rows; only exact copies have the same."""
        return hashlib.blake2b(self.rows_as_stored(track).tobytes(), digest_size=16).hexdigest()

    def rows_as_stored(self, track: CachedTrack) -> NDArray[Any]:
        """Return a view of the rows of a track, in the type in which they are stored."""
        return self.values[track.offset : track.offset + track.n_frames]


def differences(theirs: FeatureSpec, ours: FeatureSpec, names: Iterable[str]) -> str:
    """Describe the fields in which two specifications differ, such as "n_mels 64 instead of 128"; empty if they do not."""
    pairs = ((name, getattr(theirs, name), getattr(ours, name)) for name in names)
    return ", ".join(f"{name} {one} instead of {other}" for name, one, other in pairs if one != other)


def open_array(path: Path, width: int, dtypes: Sequence[type[np.floating]]) -> NDArray[Any]:
    """Memory-map an array [rows, width] of a cache.

    Raises
    ------
    DataError
        If it cannot be read, or has another shape or type.
    """
    try:
        with np.errstate(over="ignore"):  # a header can state a shape that overflows; the file is then too short for it
            array: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    except _BROKEN as error:
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


def write_index(path: Path, tracks: Sequence[CachedTrack]) -> None:
    """Write the index of a cache."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(CachedTrack.model_fields)
        writer.writerows(track.model_dump().values() for track in tracks)
