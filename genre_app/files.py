"""Expand paths, check names of files, and write and replace files atomically."""

from __future__ import annotations

import errno
import getpass
import os
import stat
import tempfile
import threading
import time
import unicodedata
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

AnyPath = str | os.PathLike[str]

_ABANDONED_SECONDS = 3600.0  # to write a file takes seconds
_BUSY = (5, 32)  # ERROR_ACCESS_DENIED and ERROR_SHARING_VIOLATION of Windows
_BUSY_SECONDS = 2.0  # a virus scanner needs less for a file

FORBIDDEN_LETTERS = '<>"|?*:'
"""Windows allows none of these in a name; the first three are markup in HTML."""

_PORTS = [f"{port}{number}" for port in ("com", "lpt") for number in "0123456789\u00b9\u00b2\u00b3"]
_DEVICES = frozenset(["con", "prn", "aux", "nul", "conin$", "conout$", *_PORTS])


def expanded(path: AnyPath) -> Path:
    """Return a path with ``~`` replaced by the home folder; ``~name`` of an unknown user stays as it is."""
    with suppress(RuntimeError):
        return Path(path).expanduser()
    return Path(path)


def valid_text(name: str) -> str:
    """Return the name of a file with its bytes that are not UTF-8 replaced; neither JSON nor a browser can hold them."""
    return os.fsencode(name).decode("utf-8", "replace")


def temporary_folder(name: str) -> Path:
    """Return the folder of this user with this name for temporary files; it is made if it is missing.

    Raises
    ------
    PermissionError
        If another user could have put files there: whoever comes first can make a folder of any name in ``/tmp``.
    """
    # The user id: in a container it need not have a name.
    user = os.getuid() if hasattr(os, "getuid") else getpass.getuser()
    path = Path(tempfile.gettempdir()) / f"genre-app-{name}-{user}"
    with suppress(FileExistsError):
        path.mkdir(mode=0o700, parents=True)
    found = path.lstat()
    # On Windows, the temporary folder itself belongs to the user.
    is_own = not hasattr(os, "getuid") or (found.st_uid == user and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
    if not (is_own and stat.S_ISDIR(found.st_mode)):
        reason = "this is not a folder of yours alone; remove it, or set TMPDIR to a folder of your own"
        raise PermissionError(errno.EPERM, reason, str(path))
    return path


def provide_cache() -> None:
    """Give librosa and its numba a temporary folder if they could write nowhere else; their import would fail."""
    home, librosa = expanded("~"), find_spec("librosa")
    places = [home, *(librosa.submodule_search_locations or () if librosa else ())]
    if home == Path("~"):  # the user has no home, as in many containers
        variable = "XDG_CACHE_HOME"
    elif not any(os.access(place, os.W_OK) for place in places):
        variable = "NUMBA_CACHE_DIR"
    else:
        return
    with suppress(OSError):  # what needs no librosa works without
        os.environ.setdefault(variable, str(temporary_folder("cache")))


def is_reserved_name(name: str) -> bool:
    """Return whether Windows takes the name of a file or folder for a device, or drops its last letter."""
    return name.split(".")[0].rstrip().casefold() in _DEVICES or name != name.rstrip(" .")


def name_key(name: str) -> str:
    """Return what all names have in common that macOS takes for one file: it ignores case, and how accents are composed."""
    return unicodedata.normalize("NFC", name).casefold()


def write_whole(path: Path, data: bytes) -> None:
    """Write a file atomically: after an interruption, the old file or the new one is complete. Several threads may write it."""
    # A part of the name, since a name may have 255 bytes in all.
    temporary = path.with_name(f".{path.name[:40]}.{os.getpid()}-{threading.get_native_id()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        move(temporary, path)
    except OSError as error:
        if error.filename is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error  # not the name of the temporary file
    finally:
        temporary.unlink(missing_ok=True)


def move(source: Path, target: Path) -> None:
    """Rename a file or folder; a file replaces an existing target.

    Windows refuses this while a program has one of the two open: another thread that reads, or a virus scanner after each
    change. So it is tried again for two seconds there.
    """
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            source.replace(target)
            return
        except PermissionError as error:
            if getattr(error, "winerror", None) not in _BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def remove_abandoned(folder: Path) -> None:
    """Delete the temporary files ``.NAME.tmp`` of a folder that were written an hour ago: their process was killed."""
    latest = time.time() - _ABANDONED_SECONDS
    for path in folder.glob(".*.tmp"):
        with suppress(OSError):
            if path.stat().st_mtime < latest:
                path.unlink()
