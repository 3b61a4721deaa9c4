"""Uploaded music: kept for the runs that need it, and removed with all that was made of it when none does.

In the work folder, ``uploads/<10 digits>-<name>`` is an uploaded file, named by the digest of its content; what is unpacked
from it is ``zip-<16 digits>``, and what is prepared from that is a cache whose ``source.txt`` says where its audio was.
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

from genre_app.data.cache.prepare import SOURCE
from genre_app.runs.run import list_runs, runs_folder, work_folder

_KEPT_SECONDS = 24 * 3600.0  # since somebody last uploaded or used it
_DIGITS = 10
_NAME = re.compile(rf"([0-9a-f]{{{_DIGITS}}})-.+", re.DOTALL)


def keep(file: Path) -> Path:
    """Keep a file under a name that tells its content, and remove what nobody needs any more.

    Raises
    ------
    OSError
        If it cannot be kept.
    """
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()[:_DIGITS]
    kept = _uploads() / f"{digest}-{file.name}"
    kept.parent.mkdir(parents=True, exist_ok=True)
    if not kept.exists():
        part = kept.with_name(f".{kept.name}.part")
        part.unlink(missing_ok=True)
        try:
            part.hardlink_to(file)  # the page deletes its own name for it within hours
        except OSError:
            shutil.copyfile(file, part)
        part.replace(kept)
    _touch(kept)
    with suppress(OSError):  # what is kept is good, whatever becomes of the rest
        _remove_unused()
    return kept


def find(name: str) -> Path | None:
    """Return a file that was kept under this name, which counts as a use of it."""
    found = next((path for path in _uploads().glob("*") if path.name == name and not name.startswith(".")), None)
    if found is not None:
        _touch(found)
    return found


def _uploads() -> Path:
    return work_folder() / "uploads"


def _touch(path: Path) -> None:
    with suppress(OSError):  # it may be another user's
        os.utime(path)


def _remove_unused() -> None:
    """Remove uploads that no run names and nobody touched for a day, with what was unpacked and prepared from them.

    While any run is at work nothing is removed, since it may read what was unpacked of a zip with the same content.
    """
    work = work_folder()
    if work.is_symlink() or _uploads().is_symlink() or any(run.status().is_active for run in list_runs()):
        return
    named = b"".join(path.read_bytes() for path in runs_folder().glob("*/run.json"))
    of_digest: dict[str, list[Path]] = defaultdict(list)
    for upload in _uploads().iterdir():
        if (found := _NAME.fullmatch(upload.name)) and upload.is_file() and not upload.is_symlink():
            of_digest[found[1]].append(upload)
    for digest, uploads in of_digest.items():
        unpacked = [folder for folder in work.glob(f"zip-{digest}*") if folder.is_dir() and not folder.is_symlink()]
        made = [cache for folder in unpacked for cache in _prepared_from(folder)]
        is_named = any(name.encode() in named for name in (digest, *(cache.name for cache in made)))
        if is_named or any(map(_is_fresh, (*uploads, *unpacked, *made))):
            continue
        for upload in uploads:
            upload.unlink()
        for folder in (*made, *unpacked):
            doomed = folder.with_name(f".{folder.name}.{time.time_ns()}.deleted")  # so that it is gone at once
            folder.rename(doomed)
            shutil.rmtree(doomed, ignore_errors=True)


def _prepared_from(folder: Path) -> Iterator[Path]:
    """Yield the caches in the work folder whose audio lies in a folder there."""
    for cache in folder.parent.iterdir():
        if (cache / SOURCE).is_file() and not cache.is_symlink():
            source = Path(os.fsdecode((cache / SOURCE).read_bytes()))
            if source.is_relative_to(folder.resolve()):
                yield cache


def _is_fresh(path: Path) -> bool:
    return time.time() - path.stat().st_mtime < _KEPT_SECONDS
