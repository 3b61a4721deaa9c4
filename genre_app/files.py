"""Expand paths, and write files atomically."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

AnyPath = str | os.PathLike[str]


def expanded(path: AnyPath) -> Path:
    """Return a path with ``~`` replaced by the home folder; ``~name`` of an unknown user stays as it is."""
    with suppress(RuntimeError):
        return Path(path).expanduser()
    return Path(path)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file atomically: after an interruption, the old file or the new one is complete."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
