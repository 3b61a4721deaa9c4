"""Mel cache: a folder with the log-mel spectrograms of many tracks, computed once and read many times.

It holds three files: ``spec.json`` says how the columns were computed; ``index.csv`` has the columns ``track_id, genre, split,
offset, n_frames``; ``log_mel.npy`` is float16 ``[frames, n_mels]``, dB re 1.0. A track is rows ``offset : offset + n_frames``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genre_app.data.cache.store import Store, open_array, read_index
from genre_app.errors import DataError, first_line
from genre_app.features import COLUMN_FIELDS, FeatureSpec

FILES = ("spec.json", "index.csv", "log_mel.npy")


@dataclass(frozen=True, eq=False)
class MelCache(Store):
    """An opened mel cache.

    ``values`` is float16 [frames, n_mels], dB re 1.0. ``spec`` is of kind ``log_mel``; its segment fields are defaults, since
    the columns do not depend on them.
    """

    spec: FeatureSpec

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
