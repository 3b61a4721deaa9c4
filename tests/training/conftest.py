"""One synthesised mel cache for all tests of training."""

from __future__ import annotations

import pytest

from genre_app.data.cache.mel_cache import MelCache
from tests.two_beats import write_cache


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return MelCache.open(write_cache(tmp_path_factory.mktemp("cache")))
