"""Write the audio in a parquet file of the Hugging Face hub as audio files in genre folders.

A row holds the audio as ``{bytes, path}`` (an audio file), as ``{array, sampling_rate}`` or as bytes. It holds the genre as a
string, or as a number whose name is in the file's metadata.
"""

from __future__ import annotations

import io
import json
import re
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

import numpy as np

from genre_app.data.sources.folder import AUDIO_SUFFIXES
from genre_app.errors import DataError, first_line
from genre_app.files import move
from genre_app.progress import Meter, Monitor

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_ROWS = 16  # rows in memory at once
_NAME_BYTES = 200  # file systems take 255; a mark, a number and a suffix are added
_MAGIC = {b"RIFF": ".wav", b"fLaC": ".flac", b"OggS": ".ogg", b"ID3": ".mp3", b"\xff\xfb": ".mp3", b".snd": ".au"}


def write_rows(parquet: Path, folder: Path, mark: str, shown: str, monitor: Monitor) -> None:
    """Write the audio of each row as ``FOLDER/<genre>/<name>``; keep files that exist already.

    Parameters
    ----------
    parquet, folder : pathlib.Path
    mark : str
        Inserted before the suffix of each name, so that the names of several parquet files in one folder differ; may be empty.
    shown : str
        Name of the data set in messages.
    monitor : Monitor

    Raises
    ------
    DataError
        If the file is damaged (it is then deleted), or has no audio or no genres.
    StoppedError
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Opened here, since pyarrow leaves a damaged file open, and Windows deletes no open file.
        with parquet.open("rb") as content, pq.ParquetFile(content, pre_buffer=False) as file:
            audio, genre, names = _columns(file.schema_arrow, shown)
            n_rows = file.metadata.num_rows
            meter = Meter("writing tracks", n_rows, n_rows, monitor)
            taken: set[str] = set()
            n_done = n_written = 0
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=[audio, genre]):
                for row in batch.to_pylist():
                    label = row[genre]
                    named = label
                    if isinstance(label, int) and label < len(names):
                        named = names[label] if label >= 0 else None  # the datasets library: a negative number is no label
                    data, name = _audio_of(row[audio], f"{parquet.stem}-{n_done:06d}")
                    target = folder / (_plain(str(named)) or "unnamed") / name
                    if mark:  # after a dot, so that GTZAN's track names are still recognised
                        target = target.with_name(f"{target.stem}.{mark}{target.suffix}")
                    while str(target).casefold() in taken:
                        target = target.with_name(f"{target.stem}-{n_done:06d}{target.suffix}")
                    taken.add(str(target).casefold())
                    n_done += 1
                    if data is not None and named is not None:
                        _write_file(target, data)
                        n_written += 1
                    meter.advance(1, 1)
            if n_rows and not n_written:
                raise DataError(f"{shown}: {parquet.name} holds no audio, only its names; download it yourself.")
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # an error of the disk; the errors of pyarrow about damage have no number
        parquet.unlink(missing_ok=True)
        raise DataError(f"{shown}: {parquet.name} arrived damaged ({first_line(error)}); start again.") from error


def _columns(schema: pa.Schema, shown: str) -> tuple[str, str, list[str]]:
    """Return the names of the audio and the genre column, and the names of numbered genres."""
    features = _stated_features(schema)
    kinds = {name: feature.get("_type") for name, feature in features.items()}
    audio = [name for name in schema.names if kinds.get(name) == "Audio"]
    audio += [name for name in ("audio", "file", "wav") if name in schema.names]
    genre = [name for name in ("genre", "label", "style") if name in schema.names]
    genre += [name for name in schema.names if kinds.get(name) == "ClassLabel"]
    for column, found in (("audio", audio), ("genre", genre)):
        if not found:
            raise DataError(
                f"{shown} has no column for the {column} (it has {', '.join(schema.names)}); choose another data set."
            )
    names = features[genre[0]].get("names") if kinds.get(genre[0]) == "ClassLabel" else None
    return audio[0], genre[0], names if isinstance(names, list) else []


def _stated_features(schema: pa.Schema) -> dict[str, dict[str, Any]]:
    """Return what the metadata of the datasets library say about each column; empty if they have another form."""
    try:
        stated: Any = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    except (ValueError, RecursionError):
        return {}
    for key in ("info", "features"):
        stated = stated.get(key) if isinstance(stated, dict) else None
    return {name: feature for name, feature in stated.items() if isinstance(feature, dict)} if isinstance(stated, dict) else {}


def _audio_of(value: Any, name: str) -> tuple[bytes | None, str]:
    """Return the content of the audio file, None if the row has none, and a name for it."""
    if isinstance(value, bytes):
        value = {"bytes": value}
    if not isinstance(value, dict):
        return None, name
    stated = _plain(PureWindowsPath(PurePosixPath(str(value.get("path") or "")).name).name) or name
    data = value.get("bytes")
    if data is None and value.get("array") is not None:
        import soundfile

        buffer = io.BytesIO()
        try:
            samples, rate = np.asarray(value["array"], np.float32), int(value.get("sampling_rate") or 22050)
            soundfile.write(buffer, samples, rate, "FLOAT", format="WAV")
        except (TypeError, ValueError, OverflowError, soundfile.LibsndfileError):
            return None, name  # the array or the rate is not that of a sound
        data, stated = buffer.getvalue(), f"{Path(stated).stem}.wav"
    if Path(stated).suffix.lower() not in AUDIO_SUFFIXES:
        stated += next((ending for magic, ending in _MAGIC.items() if data and data.startswith(magic)), ".wav")
    return data, stated


def _write_file(target: Path, data: bytes) -> None:
    if target.exists() and target.stat().st_size == len(data):
        return  # written by an earlier call
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    part.write_bytes(data)
    move(part, target)


def _plain(name: str) -> str:
    """Return the end of a name without the characters that have a meaning in paths; may be empty."""
    letters = re.sub(r'[\x00-\x1f<>:"/\\|?*]', "_", name)[-120:]
    return letters.encode("utf-8", "ignore")[-_NAME_BYTES:].decode("utf-8", "ignore").strip(" .")
