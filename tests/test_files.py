"""Files that are written atomically."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from genre_app.files import provide_cache, temporary_folder, write_whole


def test_several_threads_write_the_same_file(tmp_path):
    # Two copies of a clip, for example, have one file in the cache of embeddings.
    path, data = tmp_path / "a", [bytes([number]) * 100_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda part: write_whole(path, part), data * 10))
    assert path.read_bytes() in data
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["a" * 255, "\N{MUSICAL NOTE}" * 63 + "abc"], ids=["one byte a letter", "several bytes"])
def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path, name):
    write_whole(tmp_path / name, b"data")
    assert (tmp_path / name).read_bytes() == b"data"


@pytest.mark.parametrize("busy", [2, 10**6])
def test_a_file_that_a_virus_scanner_reads_on_windows_is_waited_for(tmp_path, monkeypatch, busy):
    monkeypatch.setattr("genre_app.files._BUSY_SECONDS", 0.2)
    (tmp_path / "a").write_bytes(b"old")
    errors, replace = iter(range(busy)), Path.replace

    def replaced(source, target):
        if next(errors, None) is not None:
            error = PermissionError(13, "Access is denied", str(source))
            error.winerror = 5  # only Windows sets it
            raise error
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", replaced)
    if busy > 2:
        with pytest.raises(PermissionError, match=r"denied: '.*/a'"):
            write_whole(tmp_path / "a", b"new")
    else:
        write_whole(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == (b"old" if busy > 2 else b"new")
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "shared"))
    return tmp_path / "shared"


def test_a_temporary_folder_is_closed_to_others(temporary):
    folder = temporary_folder("locks")
    assert folder == temporary_folder("locks")
    assert folder.parent == temporary
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("way", ["by another user", "as a link", "open to all", "as a file"])
def test_a_temporary_folder_that_somebody_else_has_made_is_not_used(temporary, monkeypatch, way):
    folder = temporary_folder("locks")
    if way == "by another user":
        monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
    elif way == "open to all":
        folder.chmod(0o777)
    else:
        folder.rmdir()
        folder.symlink_to(temporary.parent) if way == "as a link" else folder.touch()
    with pytest.raises(PermissionError, match=r"not a folder of yours alone; remove it, or set TMPDIR .*genre-app-locks-\d+"):
        temporary_folder("locks")


@pytest.mark.parametrize(
    ("home", "writable", "variable"),
    [
        ("/home/me", True, None),
        ("/home/me", False, "NUMBA_CACHE_DIR"),
        ("~", True, "XDG_CACHE_HOME"),
        ("~", False, "XDG_CACHE_HOME"),
    ],
)
def test_librosa_gets_a_folder_only_where_it_could_write_nowhere(temporary, monkeypatch, home, writable, variable):
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, "")  # is restored after the test
        monkeypatch.delenv(name)
    monkeypatch.setattr("genre_app.files.expanded", lambda _: Path(home))
    monkeypatch.setattr(os, "access", lambda *_: writable)
    before = dict(os.environ)
    provide_cache()
    assert os.environ == before | ({variable: str(temporary_folder("cache"))} if variable else {})
