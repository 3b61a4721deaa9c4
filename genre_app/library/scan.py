"""Find new, changed and removed files of a library, and read the contents of new and changed ones."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from genre_app.data.cache.build import stamp_of
from genre_app.data.sources.folder import audio_files
from genre_app.errors import DataError
from genre_app.library.catalogue import Catalogue
from genre_app.progress import QUIET, Meter, Monitor

_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Scan:
    """What a scan found.

    Attributes
    ----------
    n_files : int
    n_read : int
        Number of new and changed files.
    n_removed : int
    unreadable : tuple of str
        A sentence about each folder that cannot be listed. The catalogue keeps its files.
    """

    n_files: int
    n_read: int
    n_removed: int
    unreadable: tuple[str, ...]


def scan(folder: Path, catalogue: Catalogue, monitor: Monitor = QUIET, *, retry: bool = False) -> Scan:
    """Bring the files of a catalogue up to date.

    Parameters
    ----------
    folder : pathlib.Path
    catalogue : Catalogue
    monitor : Monitor
    retry : bool
        Whether to read files again that could not be read.

    Raises
    ------
    DataError
        If the folder is missing, or empty although its catalogue is not.
    StoppedError
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; name a folder with music.")
    errors: list[OSError] = []
    stamps = {}
    for parts, file in audio_files(folder, errors.append):
        monitor.check("listing files")
        stamps["/".join(parts)] = stamp_of(file)
    known = catalogue.stamps()
    unread = catalogue.unread() if retry else ()
    said = tuple(f"{error.filename} cannot be read: {error.strerror}; check its permissions" for error in errors)
    if errors and not stamps:
        raise DataError(f"{said[0]}.")
    if known and not stamps:
        raise DataError(f"{folder} holds no music any more; connect its drive, or delete its catalogue.")
    changed = {path: stamp for path, stamp in stamps.items() if known.get(path) != stamp or path in unread}
    meter = Meter("reading files", len(changed), sum(size for size, _, _ in changed.values()), monitor)
    for path, stamp in changed.items():
        try:
            content, reason = content_of(folder / path, meter.check), ""
        except OSError as error:
            content, reason = "", f"it cannot be read: {error.strerror or error}"
        catalogue.put_file(path, stamp, content, reason)
        meter.advance(1, stamp[0])
    unlisted = tuple(f"{Path(error.filename).relative_to(folder).as_posix()}/" for error in errors)
    removed = [path for path in known if path not in stamps and not path.startswith(unlisted)]
    catalogue.finish_scan(removed)
    return Scan(len(stamps), len(changed), len(removed), said)


def content_of(path: Path, check: Callable[[], object] = lambda: None) -> str:
    """Return the SHA-256 of a file; ``check`` is called after each block, and may raise."""
    if not path.is_file():  # a pipe or a device might never end
        what = "this link leads nowhere" if path.is_symlink() else "it is not a file"
        raise OSError(None, what)
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            check()
    return digest.hexdigest()
