"""A mel cache that a network learns in no time: one genre is loud in the low bands, the other in the high ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from genre_app.features import COLUMN_FIELDS, FeatureSpec

N_MELS, N_COLUMNS = 32, 60


def write_bands(folder: Path) -> Path:
    """Write twelve tracks to learn from and four to choose by, of ``N_COLUMNS`` columns each."""
    folder.mkdir()
    spec = FeatureSpec(n_mels=N_MELS)
    stated = {"kind": "log_mel"} | {name: getattr(spec, name) for name in COLUMN_FIELDS}
    (folder / "spec.json").write_text(json.dumps(stated))
    rng = np.random.default_rng(0)
    rows, columns = ["track_id,genre,split,offset,n_frames"], []
    for i in range(16):
        split = "valid" if i >= 12 else "train"
        rows.append(f"t{i:02},{['low', 'high'][i % 2]},{split},{i * N_COLUMNS},{N_COLUMNS}")
        columns.append(rng.normal(-40, 3, (N_COLUMNS, N_MELS)) + np.linspace(9, -9, N_MELS) * (-1) ** i)
    (folder / "index.csv").write_text("\n".join(rows))
    np.save(folder / "log_mel.npy", np.concatenate(columns).astype(np.float16))
    return folder
