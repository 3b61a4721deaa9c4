"""Feature table: 58 numbers for each segment of a track, named by `genre_app.features.SUMMARY_NAMES`.

A table computed from audio is a folder of three files: ``spec.json`` (how the values were computed), ``index.csv`` (as that of
a mel cache, counted in rows) and ``values.npy``, float32 ``[rows, 58]``. `genre_app.data.sources.table` reads tables from CSV.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from genre_app.data.cache.store import Store
from genre_app.features import FeatureSpec


@dataclass(frozen=True, eq=False)
class FeatureTable(Store):
    """An opened feature table; a row of ``values`` is a segment.

    ``spec`` is None for a CSV, which does not say how its values were computed.

    Attributes
    ----------
    notes : tuple of str
        Sentences that say what the file lacked.
    """

    KIND = "feature table"
    ARRAY = "values.npy"
    DTYPES = (np.float32,)

    notes: tuple[str, ...] = ()

    @staticmethod
    def _spec(stated: dict[str, Any]) -> FeatureSpec:
        spec = FeatureSpec.model_validate(stated)
        if spec.kind != "summary":
            raise ValueError(f"its kind is {spec.kind!r}, not 'summary'")
        return spec

    def pieces(self) -> FeatureTable:
        """Return the same table with each row as a track of its own, named ``track#0``, ``track#1`` and so on."""
        pieces = [
            track.model_copy(update={"track_id": f"{track.track_id}#{row}", "offset": track.offset + row, "n_frames": 1})
            for track in self.tracks
            for row in range(track.n_frames)
        ]
        return replace(self, tracks=tuple(pieces))
