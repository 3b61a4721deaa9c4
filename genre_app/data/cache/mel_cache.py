"""Mel cache: a folder with the log-mel spectrograms of many tracks, computed once and read many times.

It holds three files: ``spec.json`` says how the columns were computed; ``index.csv`` has the columns ``track_id, genre, split,
offset, n_frames``; ``log_mel.npy`` is float16 ``[frames, n_mels]``, dB re 1.0. A track is rows ``offset : offset + n_frames``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from genre_app.data.cache.store import Store, differences
from genre_app.errors import DataError
from genre_app.features import COLUMN_FIELDS, FeatureSpec


@dataclass(frozen=True, eq=False)
class MelCache(Store):
    """An opened mel cache.

    ``values`` is float16 [frames, n_mels], dB re 1.0. ``spec`` is of kind ``log_mel``; its segment fields are defaults, since
    the columns do not depend on them.
    """

    KIND = "mel cache"
    ARRAY = "log_mel.npy"
    DTYPES = (np.float16, np.float32)

    spec: FeatureSpec

    @staticmethod
    def _spec(stated: dict[str, Any]) -> FeatureSpec:
        if stated.get("kind") != "log_mel":
            raise ValueError(f"its kind is {stated.get('kind')!r}, not 'log_mel'")
        missing = [name for name in COLUMN_FIELDS if name not in stated]
        if missing:
            raise ValueError(f"it lacks {', '.join(missing)}")
        return FeatureSpec(**{name: stated[name] for name in COLUMN_FIELDS})

    def check_spec(self, spec: FeatureSpec, whose: str, otherwise: str, remedy: str) -> None:
        """Check that the features of a specification can be computed from the columns.

        Parameters
        ----------
        spec : FeatureSpec
        whose : str
            Continues "was not made as" in the error.
        otherwise : str
            What to do if the columns differ, apart from ``remedy``.
        remedy : str
            How to use the audio instead of the cache.

        Raises
        ------
        DataError
        """
        if spec.kind == "summary":
            what = "is a mel cache, from which features of kind summary cannot be computed"
            raise DataError(f"{self.path} {what}; {remedy}.")
        if differing := differences(self.spec, spec, COLUMN_FIELDS):
            raise DataError(f"{self.path} was not made as {whose}: {differing}; {otherwise} or {remedy}.")
