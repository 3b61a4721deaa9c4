"""Tiny parquet files with audio, of the schema that the datasets library writes."""

from __future__ import annotations

import io
import json
import re

import pyarrow as pa
import soundfile

from tests.conftest import synthesise

NAMES = ["blues", "classical", "jazz"]
AUDIO = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def wav(seed: int, seconds: float = 0.6) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, synthesise(seconds, seed, 8000), 8000, format="WAV")
    return buffer.getvalue()


def table(rows, *, genre=True, names=NAMES, audio=AUDIO) -> pa.Table:
    """Rows of (audio, label), as ``push_to_hub`` of the datasets library writes them."""
    features = {"audio": {"sampling_rate": 22050, "_type": "Audio"}, "label": {"names": names, "_type": "ClassLabel"}}
    columns = {"audio": pa.array([row[0] for row in rows], audio)}
    if genre:
        columns["genre"] = pa.array([NAMES[row[1]] for row in rows])
    columns["label"] = pa.array([row[1] for row in rows], pa.int64())
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.table(columns).replace_schema_metadata(metadata)


def without_mark(track_id):
    """Return a track's id without what tells the parquet files of a split apart."""
    return re.sub(r"\.[0-9a-f]{8}(?=\.wav$)", "", track_id)


def rows(names, start=0):
    return [({"bytes": wav(start + i), "path": name}, i % 2) for i, name in enumerate(names)]
