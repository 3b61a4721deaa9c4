"""The number of cores that may be used."""

from __future__ import annotations

import os

import pytest

from genre_app.progress import usable_cores


@pytest.mark.parametrize(
    ("limit", "cores"), [("50000 100000", 1), ("250000 100000", 3), ("9900000 100000", 8), ("max 100000", 8), ("", 8)]
)
def test_a_container_uses_the_cores_that_it_may(limit, cores, tmp_path, monkeypatch):
    (tmp_path / "cpu.max").write_text(limit)
    monkeypatch.setattr("genre_app.progress._CONTAINER_LIMIT", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert usable_cores() == cores


def test_a_system_without_affinity_has_as_many_cores_as_windows_can_wait_for(monkeypatch, tmp_path):
    monkeypatch.setattr("genre_app.progress._CONTAINER_LIMIT", tmp_path / "none")
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 128)
    assert usable_cores() == 60
