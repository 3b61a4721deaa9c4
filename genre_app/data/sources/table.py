"""Feature tables as CSV: the well-known ``features_3_sec.csv`` and ``features_30_sec.csv``, and files with their columns.

A row is a piece of a track: ``filename`` (``blues.00000.0.wav``), ``length``, the values under the names of
`genre_app.features.SUMMARY_NAMES`, and ``label``.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from genre_app.data.cache.feature_table import FeatureTable
from genre_app.data.sources.gtzan import gtzan_name
from genre_app.data.tracks import CachedTrack
from genre_app.errors import DataError, first_line, some
from genre_app.features import SUMMARY_NAMES

if TYPE_CHECKING:
    import _csv

_MAX_ROWS = 2_000_000
_LARGEST = float(np.finfo(np.float32).max)


def read_csv(path: Path) -> FeatureTable:
    """Read a feature table from CSV; all pieces of a track become its rows.

    Raises
    ------
    DataError
        If a column is missing, or a value is missing or is not a finite number.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = [name.strip() for name in next(reader, [])]
            places, notes = _columns(header, path)
            rows, genres = _parse(reader, header, places, path)
    except FileNotFoundError as error:
        raise DataError(f"There is no file {path}; check the path.") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as CSV text: {first_line(error)}; save it as UTF-8.") from error
    if not rows:
        raise DataError(f"{path} has a header but no rows; save it again.")
    tracks: list[CachedTrack] = []
    values: list[list[float]] = []
    for track_id, of_track in sorted(rows.items()):
        place = {"offset": len(values), "n_frames": len(of_track)}
        tracks.append(CachedTrack(track_id=track_id, genre=genres[track_id], split="", **place))
        values += of_track
    table = np.zeros((len(values), len(SUMMARY_NAMES)), np.float32)
    table[:, [SUMMARY_NAMES.index(name) for name in places]] = values
    return FeatureTable(path, None, tuple(tracks), table, tuple(notes))


def _parse(
    reader: _csv.Reader, header: list[str], places: dict[str, int], path: Path
) -> tuple[dict[str, list[list[float]]], dict[str, str]]:
    """Return the rows of values and the genre of each track."""
    rows: dict[str, list[list[float]]] = defaultdict(list)
    genres: dict[str, str] = {}
    at_name, at_genre = header.index("filename"), header.index("label")
    for n_rows, row in enumerate(filter(None, reader), 1):
        where = f"{path}, line {reader.line_num}"
        if len(row) != len(header):
            raise DataError(f"{where}: {len(row)} values for {len(header)} columns; repair the line.")
        track_id, genre = _track_of(row[at_name].strip()), row[at_genre].strip()
        if not track_id or not genre:
            raise DataError(f"{where}: there is no filename or no label; repair the line.")
        if genres.setdefault(track_id, genre) != genre:
            raise DataError(f"{where}: {track_id} is {genre} here and {genres[track_id]} above; keep one.")
        rows[track_id].append(_numbers(row, places, header, where))
        if n_rows > _MAX_ROWS:
            raise DataError(f"{path} has more than {_MAX_ROWS} rows; cut it into parts.")
    return rows, genres


def _columns(header: list[str], path: Path) -> tuple[dict[str, int], list[str]]:
    """Return the column number of each value that the table has, by our name of the value."""
    places = {name: header.index(name) for name in SUMMARY_NAMES if name in header}
    notes = []
    if "tempo" in header and "tempo_mean" not in places:
        places["tempo_mean"] = header.index("tempo")
    if "tempo_var" not in places:
        notes.append(f"{path.name} has one column for the tempo, so its variance is taken as 0.")
    lacking = [name for name in ("filename", "label") if name not in header]
    lacking += [name for name in SUMMARY_NAMES if name not in places and name != "tempo_var"]
    if lacking:
        raise DataError(
            f"{path} is no feature table: it has no column {some(lacking)}; "
            "give features_3_sec.csv, features_30_sec.csv or a table with their columns."
        )
    return places, notes


def _numbers(row: list[str], places: dict[str, int], header: list[str], where: str) -> list[float]:
    numbers = []
    for place in places.values():
        try:
            number = float(row[place])
        except ValueError:
            number = np.nan
        if not abs(number) <= _LARGEST:
            raise DataError(
                f"{where}: {header[place]} is {row[place]!r}, which is not a finite number; repair or drop the line."
            )
        numbers.append(number)
    return numbers


def _track_of(filename: str) -> str:
    """Return the track that a piece was cut from: ``blues.00000`` for ``blues.00000.0.wav`` and for ``blues.00000.wav``."""
    path = PurePosixPath(filename.replace("\\", "/"))
    known = gtzan_name(filename)
    stem = path.stem if re.fullmatch(r"\.[A-Za-z]\w*", path.suffix) else path.name
    return known or re.sub(r"\.\d{1,4}$", "", stem)
