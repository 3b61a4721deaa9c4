"""A folder of music, and the library command and its parts with the tiny network, without worker processes."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import soundfile

from genre_app.library import classify as classify_module
from genre_app.library.catalogue import PLACE, Catalogue, open_catalogue
from genre_app.library.classify import classify_new
from genre_app.library.scan import scan
from tests.conftest import synthesise


@pytest.fixture(scope="session")
def _songs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("songs")
    for seed in range(4):
        soundfile.write(folder / f"{seed}.flac", synthesise(3.0, seed), 22050)
    return folder


@pytest.fixture
def music(_songs, tmp_path) -> Path:
    """Four different songs: a/0.flac, a/1.flac, 2.flac and 3.flac."""
    folder = tmp_path / "music"
    (folder / "a").mkdir(parents=True)
    for seed in range(4):
        shutil.copy2(_songs / f"{seed}.flac", folder / ("a" if seed < 2 else ".") / f"{seed}.flac")
    return folder


@pytest.fixture
def classified(monkeypatch) -> list[str]:
    """Names of the files that are classified, in this process."""
    names = []

    def here(tasks, work, here, *others):
        for task in tasks:
            names.append(task.track.path)
            yield task, here(task)

    monkeypatch.setattr(classify_module, "in_pool", here)
    return names


@contextmanager
def opened(music: Path) -> Iterator[Catalogue]:
    with open_catalogue(music / PLACE, music) as catalogue:
        yield catalogue


@pytest.fixture
def update(checkpoint, classified) -> Callable[..., SimpleNamespace]:
    """Scan and classify a folder; return what was found, the names of the classified files, and the tracks by path."""

    def call(music: Path, model=checkpoint, retry=False, **options) -> SimpleNamespace:
        classified.clear()
        with opened(music) as catalogue:
            scanned = scan(music, catalogue, retry=retry)
            found = classify_new(music, catalogue, model, ["tiny"], retry=retry, **options)
            tracks = {track.path: track for track in catalogue.tracks()}
        return SimpleNamespace(scanned=scanned, found=found, names=list(classified), tracks=tracks)

    return call


@pytest.fixture
def flushed_as_on_windows(monkeypatch):
    """`os.fsync` refuses a file that is open for reading only, as that of Windows does."""
    fsync = os.fsync

    def flush(number):
        if fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")
        fsync(number)

    monkeypatch.setattr(os, "fsync", flush)
