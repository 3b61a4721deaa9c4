"""A work folder around which nothing may appear."""

from __future__ import annotations

import pytest


@pytest.fixture
def work(tmp_path):
    """The work folder, in a folder in which nothing else may appear."""
    folder = tmp_path / "outer" / "work"
    yield folder
    outside = [entry for entry in (tmp_path / "outer").rglob("*") if folder not in (entry, *entry.parents)]
    assert outside == []
