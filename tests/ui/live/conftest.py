from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from tests.conftest import synthesise


@pytest.fixture(scope="package")
def song() -> np.ndarray:
    """A minute of music at 22 050 Hz."""
    return np.concatenate([synthesise(20.0, seed) for seed in range(3)])


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> Iterator[None]:
    """Live's segments come one by one: on a busy machine several threads wait for each other and take six times as long."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
