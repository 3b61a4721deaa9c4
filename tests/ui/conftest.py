"""A clip for the tests of the page."""

from __future__ import annotations

import pytest
import soundfile


@pytest.fixture
def song(tmp_path, make_clip) -> str:
    clip = make_clip(12.0)
    path = tmp_path / "song.wav"
    soundfile.write(path, clip.samples, clip.sample_rate, subtype="FLOAT")
    return str(path)
