"""Uploaded music: kept for the runs that read it, and removed when no run does.

The work folder holds ``uploads/<10 digits>-<name>``, an uploaded file named by the digest of its content; ``zip-<16 digits>``,
the unpacked zip with that digest; and caches whose ``source.txt`` names the folder of their audio.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Lock

from genre_app.data.cache.prepare import SOURCE
from genre_app.files import move
from genre_app.runs.run import list_runs, runs_folder, work_folder
from genre_app.runs.search.search import list_searches

_KEPT_SECONDS = 24 * 3600.0  # since the last upload or use
_DIGITS = 10
DIGEST = rf"[0-9a-f]{{{_DIGITS}}}"
"""Regular expression of the digest that a kept file's name begins with."""

_NAME = re.compile(rf"({DIGEST})-.+", re.DOTALL)
_keeping = Lock()


def keep(file: Path) -> Path:
    """Keep a file under a name that starts with the digest of its content, and remove unused uploads.

    Raises
    ------
    OSError
        If the file cannot be kept.
    """
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()[:_DIGITS]
    kept = _folder() / f"{digest}-{file.name}"
    kept.parent.mkdir(parents=True, exist_ok=True)
    with _keeping:  # two visitors may upload the same file at the same time
        if not kept.exists():
            part = kept.with_name(f".{kept.name}.part")
            part.unlink(missing_ok=True)
            try:
                part.hardlink_to(file)  # gradio deletes its own name of the file within hours
            except OSError:
                shutil.copyfile(file, part)
            move(part, kept)
        _touch(kept)
        with suppress(OSError):  # the upload is kept, whether or not others can be removed
            _remove_unused()
    return kept


def find(name: str) -> Path | None:
    """Return the kept file of this name, and count this as a use of it."""
    found = next((path for path in _folder().glob("*") if path.name == name and not name.startswith(".")), None)
    if found is not None:
        _touch(found)
    return found


def _folder() -> Path:
    return work_folder() / "uploads"


def _touch(path: Path) -> None:
    with suppress(OSError):  # the file may belong to another user
        os.utime(path)


def _remove_unused() -> None:
    """Remove uploads that no run names and nobody used for a day, with what was unpacked and prepared from them.

    While a run or a search is active nothing is removed: it may read what was unpacked from another zip with the same content.
    """
    work = work_folder()
    is_used = any(run.status().is_active for run in list_runs()) or any(search.is_running() for search in list_searches())
    if is_used or work.is_symlink() or _folder().is_symlink():
        return
    named = b"".join(path.read_bytes() for file in ("run.json", "search.json") for path in runs_folder().glob(f"*/{file}"))
    by_digest: dict[str, list[Path]] = defaultdict(list)
    for upload in _folder().iterdir():
        if (found := _NAME.fullmatch(upload.name)) and upload.is_file() and not upload.is_symlink():
            by_digest[found[1]].append(upload)
    for digest, uploads in by_digest.items():
        unpacked = [folder for folder in work.glob(f"zip-{digest}*") if folder.is_dir() and not folder.is_symlink()]
        caches = [cache for folder in unpacked for cache in _prepared_from(folder)]
        is_named = any(name.encode() in named for name in (digest, *(cache.name for cache in caches)))
        if is_named or any(map(_is_fresh, (*uploads, *unpacked, *caches))):
            continue
        for upload in uploads:
            upload.unlink()
        for folder in (*caches, *unpacked):
            doomed = folder.with_name(f".{folder.name}.{time.time_ns()}.deleted")  # renamed first: it is gone at once
            folder.rename(doomed)
            shutil.rmtree(doomed, ignore_errors=True)


def _prepared_from(folder: Path) -> Iterator[Path]:
    """Yield the caches in the work folder whose audio lies in ``folder``."""
    for cache in folder.parent.iterdir():
        if (cache / SOURCE).is_file() and not cache.is_symlink():
            source = Path(os.fsdecode((cache / SOURCE).read_bytes()))
            if source.is_relative_to(folder.resolve()):
                yield cache


def _is_fresh(path: Path) -> bool:
    return time.time() - path.stat().st_mtime < _KEPT_SECONDS
