from __future__ import annotations

import numpy as np
import pytest

from tests.conftest import synthesise


@pytest.fixture(scope="package")
def song() -> np.ndarray:
    """A minute of music at 22 050 Hz."""
    return np.concatenate([synthesise(20.0, seed) for seed in range(3)])
