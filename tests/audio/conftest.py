"""Music in stereo."""

from __future__ import annotations

import numpy as np
import pytest

from genre_app.audio.synth import music
from tests.audio.files import RATE


@pytest.fixture(scope="module")
def stereo() -> np.ndarray:
    """Three seconds of music, float32 [n, 2], with two different channels."""
    left = music("disco", 3.0, RATE, seed=1)
    return np.stack([left, 0.7 * np.roll(left, 11)], axis=1)
