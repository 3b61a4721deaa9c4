"""Feature table: 58 numbers for each segment of a track, named by `genre_app.features.SUMMARY_NAMES`.

A table computed from audio is a folder of three files: ``spec.json`` (how the values were computed), ``index.csv`` (as that of
a mel cache, counted in rows) and ``values.npy``, float32 ``[rows, 58]``. `genre_app.data.sources.table` reads tables from CSV.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from genre_app.data.cache.store import Store, open_array, read_index
from genre_app.errors import DataError, first_line
from genre_app.features import SUMMARY_NAMES, FeatureSpec

FILES = ("spec.json", "index.csv", "values.npy")


@dataclass(frozen=True, eq=False)
class FeatureTable(Store):
    """An opened feature table; a row of ``values`` is a segment.

    ``spec`` is None for a CSV, which does not say how its values were computed.

    Attributes
    ----------
    notes : tuple of str
        Sentences that say what the file lacked.
    """

    notes: tuple[str, ...] = ()

    @staticmethod
    def is_table(path: Path) -> bool:
        """Whether the folder holds the three files of a feature table."""
        return all((path / name).is_file() for name in FILES)

    @classmethod
    def open(cls, path: Path) -> FeatureTable:
        """Open the folder of a feature table and check it.

        Raises
        ------
        DataError
            If a file is missing or malformed, or the index does not fit the array.
        """
        for name in FILES:
            if not (path / name).is_file():
                raise DataError(f"{path} is not a feature table: it has no {name}; a feature table holds {', '.join(FILES)}.")
        try:
            spec = FeatureSpec.model_validate(json.loads((path / "spec.json").read_text(encoding="utf-8")))
            if spec.kind != "summary":
                raise ValueError(f"its kind is {spec.kind!r}, not 'summary'")
        except ValueError as error:
            raise DataError(f"{path / 'spec.json'} cannot be used: {first_line(error)}; make the table again.") from error
        values = open_array(path / "values.npy", len(SUMMARY_NAMES), (np.float32,))
        return cls(path, spec, read_index(path / "index.csv", len(values)), values)

    def pieces(self) -> FeatureTable:
        """Return the same table with each row as a track of its own, named ``track#0``, ``track#1`` and so on."""
        pieces = [
            track.model_copy(update={"track_id": f"{track.track_id}#{row}", "offset": track.offset + row, "n_frames": 1})
            for track in self.tracks
            for row in range(track.n_frames)
        ]
        return replace(self, tracks=tuple(pieces))
