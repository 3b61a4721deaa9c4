"""Files that a visitor downloads."""

from __future__ import annotations

import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from genre_app.ui.downloads import download_file


@pytest.fixture(autouse=True)
def _uploads(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))


def test_a_copy_that_is_given_out_again_counts_as_new(tmp_path):
    """gradio deletes files by their age, and the second visitor has not fetched it yet."""
    source = tmp_path / "a"
    source.write_bytes(b"weights")
    path = Path(download_file(source, "mine.safetensors"))
    os.utime(path, (1, 1))
    assert download_file(source, "mine.safetensors") == str(path)
    assert time.time() - path.stat().st_mtime < 60
    assert (path.name, path.read_bytes()) == ("mine.safetensors", b"weights")


def test_two_visitors_get_a_whole_file(tmp_path, monkeypatch):
    source = tmp_path / "a"
    source.write_bytes(b"weights")
    copies = []

    def copy_slowly(source, target, copy=shutil.copyfile):
        copies.append(target)
        time.sleep(0.2)
        copy(source, target)

    monkeypatch.setattr(shutil, "copyfile", copy_slowly)
    with ThreadPoolExecutor(2) as pool:
        paths = list(pool.map(lambda _: download_file(source, "mine.safetensors"), range(2)))
    assert len(copies) == len(set(paths)) == 1
    assert Path(paths[0]).read_bytes() == b"weights"
