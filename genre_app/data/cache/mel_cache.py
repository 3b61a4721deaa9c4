"""Mel cache: a folder with the log-mel spectrograms of many tracks, computed once and read many times.

It holds three files: ``spec.json`` says how the columns were computed; ``index.csv`` has the columns ``track_id, genre, split,
offset, n_frames``; ``log_mel.npy`` is float16 ``[frames, n_mels]``, dB re 1.0. A track is rows ``offset : offset + n_frames``.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from genre_app.data.cache.store import Store
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
