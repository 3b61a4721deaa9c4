"""A folder of music, and the one call that opens it."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile

from genre_app.data.labelled import open_data
from genre_app.data.splits import SplitConfig
from genre_app.features import FeatureSpec
from tests.conftest import synthesise

SPEC = FeatureSpec(segment_seconds=1.0, segment_hop_seconds=0.5)
SUMMARY = FeatureSpec(kind="summary", hop_length=1024, segment_seconds=1.0, segment_hop_seconds=1.0)


def write(path: Path, seed: int, seconds: float = 1.5) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, synthesise(seconds, seed), 22050)


def fill(folder: Path, names: list[str], start: int = 0) -> Path:
    for index, name in enumerate(names):
        write(folder / name, start + index)
    return folder


PLAIN = [f"{genre}/{index}.wav" for genre in ("blues", "my jazz") for index in range(4)]


@pytest.fixture
def music(tmp_path):
    return fill(tmp_path / "music", PLAIN)


def opened(source, tmp_path, spec=SPEC, split=None, **options):
    return open_data(source, spec, split or SplitConfig(), seed=0, work=tmp_path / "work", processes=1, **options)


def splits(data) -> dict[str, str]:
    return {track.track_id: track.split for track in data.tracks}
