"""Decode an audio file block by block and compute the rows that a cache stores: log-mel columns, or summaries of segments."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from genre_app.audio import open_audio
from genre_app.errors import AudioError
from genre_app.features import COLUMN_FIELDS, FeatureSpec, extract, split
from genre_app.progress import Monitor

MAX_SECONDS = 2 * 3600.0
"""Longer files are skipped: they are mixes and broadcasts, not tracks."""

_FLOOR_DB = 80.0  # under the track's maximum; the same for every recipe, since caches are shared between recipes
_SILENT_PEAK = 1e-3  # -60 dBFS, the threshold of prediction
_CHUNK_SPECTRUM = 1 << 20  # spectrum values computed at once; more takes memory and is no faster
_CHUNK_SAMPLES = 1 << 22  # largest length of a chunk


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of one track, and a digest of its audio.

    Attributes
    ----------
    values : numpy.ndarray [n, width]
    content : str
        Digest of the decoded samples. Only exact copies have the same, whatever their containers.
    warnings : tuple of str
        Warnings of the decoder: damaged, clipped.
    """

    values: NDArray[Any]
    content: str
    warnings: tuple[str, ...] = ()


def read_rows(path: Path, name: str, spec: FeatureSpec, monitor: Monitor) -> Rows:
    """Decode a file and compute its rows.

    Parameters
    ----------
    path : pathlib.Path
    name : str
        Name of the file in messages.
    spec : FeatureSpec
        Kind ``summary`` gives float32 [segments, 58]. Every other kind gives log-mel columns, float16 [frames, n_mels], dB re
        1.0, floored 80 dB under the track's maximum.
    monitor : Monitor

    Raises
    ------
    AudioError
        If the file cannot be decoded, is silent or is longer than `MAX_SECONDS`.
    StoppedError
    """
    digest = hashlib.blake2b(digest_size=16)
    peak = 0.0

    def watched(blocks: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        nonlocal peak
        for block in blocks:
            monitor.check(f"decoding {name}")
            digest.update(np.ascontiguousarray(block).data)
            middle = float(block.mean())  # a constant offset (direct current) is silence
            peak = max(peak, float(block.max()) - middle, middle - float(block.min()))
            yield block

    with open_audio(path, sample_rate=spec.sample_rate, name=name, max_seconds=MAX_SECONDS) as stream:
        blocks = watched(stream.blocks())
        values = _summaries(blocks, spec) if spec.kind == "summary" else log_mel_columns(blocks, spec)
        if peak <= _SILENT_PEAK:
            raise AudioError(f"{name}: all of it is silent (under -60 dBFS); record it again or leave it out")
        return Rows(values, digest.hexdigest(), stream.warnings)


def stated_spec(spec: FeatureSpec) -> dict[str, Any]:
    """Return the content of a cache's ``spec.json``: all settings on which the rows depend."""
    if spec.kind == "summary":
        return spec.model_dump(mode="json", exclude={"compression"})  # a summary has none
    stated = {name: getattr(spec, name) for name in COLUMN_FIELDS}
    return {"kind": "log_mel", **stated, "unit": "dB re 1.0 (10*log10 power), floor 80 dB under the track's maximum"}


def _summaries(blocks: Iterable[NDArray[np.float32]], spec: FeatureSpec) -> NDArray[np.float32]:
    # One segment at a time, so that a stop need not wait for a whole batch.
    parts = [
        extract(torch.from_numpy(part.samples), spec, padded=True)[:, :, 0].numpy()
        for part in split(blocks, spec, batch_size=1)
    ]
    return np.concatenate(parts) if parts else np.empty((0, spec.n_bins), np.float32)


def log_mel_columns(blocks: Iterable[NDArray[np.float32]], spec: FeatureSpec) -> NDArray[np.float16]:
    """Compute the log-mel columns [frames, n_mels] that a cache stores for a stream of samples."""
    chunks, peak = [], -math.inf
    for samples in _chunks(blocks, spec):
        db = extract(torch.from_numpy(samples)[None], spec.columns, padded=True)[0].T  # [frames, n_mels]
        peak = max(peak, float(db.max()))
        chunks.append(db.numpy().astype(np.float16))  # converted now: a long file has many columns
    columns = np.concatenate(chunks) if chunks else np.empty((0, spec.n_mels), np.float16)
    return np.maximum(columns, np.float16(peak - _FLOOR_DB), out=columns)


def _chunks(blocks: Iterable[NDArray[np.float32]], spec: FeatureSpec) -> Iterator[NDArray[np.float32]]:
    """Cut a stream into chunks whose columns, computed without padding, are the consecutive columns of the stream."""
    hop, half = spec.hop_length, spec.n_fft // 2
    n_columns = max(1, min(_CHUNK_SPECTRUM // (1 + half), _CHUNK_SAMPLES // hop))
    width = (n_columns - 1) * hop + spec.n_fft
    waiting = [np.zeros(half, np.float32)]  # the first column is centred on the first sample
    n_waiting, n_samples, n_done, to_drop = half, 0, 0, 0
    for block in blocks:
        n_samples += len(block)
        waiting.append(block)
        n_waiting += len(block)
        while n_waiting - to_drop >= width:
            held = np.concatenate(waiting)[to_drop:]
            yield held[:width]
            n_done += n_columns
            to_drop = n_columns * hop  # exceeds len(held) if the hop is longer than the frame
            kept = held[to_drop:].copy()
            to_drop -= len(held) - len(kept)
            waiting, n_waiting = [kept], len(kept)
    left = (1 + n_samples // hop - n_done) if n_samples else 0
    if left > 0:
        held = np.concatenate([*waiting, np.zeros(spec.n_fft, np.float32)])[to_drop:]
        yield held[: (left - 1) * hop + spec.n_fft]
