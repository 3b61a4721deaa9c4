"""Paths, and files that are written completely or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def expanded(path: str | os.PathLike[str]) -> Path:
    """Return a path with ``~`` replaced by the home folder; a ``~name`` that is nobody's stays as it is."""
    with suppress(RuntimeError):
        return Path(path).expanduser()
    return Path(path)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that after any interruption the old one or the new one is there, whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
