"""Music to prepare, and what was decoded of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from genre_app.data.cache import workers
from genre_app.data.cache.mel_cache import MelCache
from genre_app.data.cache.prepare import Prepared, prepare
from genre_app.data.cache.rows import read_rows
from genre_app.data.sources.folder import AudioFolder
from genre_app.features import FeatureSpec
from tests.conftest import synthesise

SPEC = FeatureSpec(n_mels=32, segment_seconds=1.0, segment_hop_seconds=0.5)


def write(path: Path, seconds: float = 2.0, seed: int = 0, rate: int = 22050, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, synthesise(seconds, seed, rate), rate, **options)
    return path


@pytest.fixture
def music(tmp_path):
    for index in range(3):
        write(tmp_path / f"music/blues/{index}.wav", 2.0 + index, index)
        write(tmp_path / f"music/jazz/{index}.flac", 2.0 + index, 10 + index)
    return tmp_path / "music"


@pytest.fixture
def decoded(monkeypatch):
    """Names of the files that are decoded in this process."""
    names = []

    def counting(path, name, spec, monitor):
        names.append(name)
        return read_rows(path, name, spec, monitor)

    monkeypatch.setattr(workers, "read_rows", counting)
    return names


def make(music, tmp_path, spec=SPEC, *, processes=1, work="work", **options):
    return prepare(music, AudioFolder.find(music).tracks, spec, tmp_path / work, processes=processes, **options)


def equal(first: Prepared, second: Prepared) -> bool:
    return (first.store.path, first.entries) == (second.store.path, second.entries)


def stored(made: Prepared) -> dict[str, np.ndarray]:
    cache = MelCache.open(made.store.path)
    return {track.track_id: cache.rows(track) for track in cache.tracks}
