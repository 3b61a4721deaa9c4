"""Which collection a visitor uses: a named one at home, one of their own session on a public page.

At home the collections are folders in `collections_folder`. On a page that strangers can open, a visitor's collection lies in a
temporary folder. It is found by the visitor's session alone, and deleted soon after the session has ended.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from contextlib import suppress
from pathlib import Path
from threading import RLock, Thread

from genre_app.data.collection import Collection, Limits
from genre_app.errors import DataError
from genre_app.files import is_reserved_name, temporary_folder
from genre_app.ui.permission import on_network, on_space

DEFAULT_NAME = "my-music"
SESSION_LIMITS = Limits(clips=200, seconds=1800.0, genres=30)
MAX_SESSIONS = 100
"""Collections of visitors at the same time; a full one takes about 50 MB."""

STALE_SECONDS = 2 * 3600.0
"""A visitor's collection that was not used for this long is deleted: a browser that vanishes does not end its session."""

GRACE_SECONDS = 600.0
"""A visitor's collection is deleted so long after the session ended: a phone that sleeps ends it too, and comes back."""

_SWEEP_SECONDS = 60.0
_NAME = re.compile(r"\w[\w .+-]{0,63}")
_sessions = RLock()
_sweeper: Thread | None = None


def collections_folder() -> Path:
    """Return the folder of named collections: GENRE_APP_COLLECTIONS, by default ``collections`` in the working folder."""
    return Path(os.environ.get("GENRE_APP_COLLECTIONS") or "collections").absolute()


def belongs_to_session() -> bool:
    """Return whether each visitor has a collection of their own, because strangers can open the page."""
    return on_space() or on_network()


def checked_collection(name: str) -> str:
    """Return the name of a collection without spaces around it.

    Raises
    ------
    DataError
        If it cannot name a folder. The name may come from a browser, so it must be one part of a path.
    """
    name = " ".join(str(name).split())
    if not name:
        raise DataError("Type the name of the collection first.")
    if not _NAME.fullmatch(name) or is_reserved_name(name):
        raise DataError(
            f"{name[:70]!r} cannot name a collection; use up to 64 letters, digits, spaces, and . _ + - between them."
        )
    return name


def collection_names() -> list[str]:
    """List the named collections; the default one is always offered. On a public page there is none to list."""
    if belongs_to_session():
        return [DEFAULT_NAME]
    found = {DEFAULT_NAME}
    with suppress(OSError):
        found |= {entry.name for entry in collections_folder().iterdir() if entry.is_dir() and _NAME.fullmatch(entry.name)}
    return sorted(found, key=str.casefold)


def last_used() -> str:
    """Return the collection that was changed or chosen last, or the default one."""
    times = {}
    for name in collection_names():
        with suppress(OSError):
            times[name] = (collections_folder() / name).stat().st_mtime_ns
    return max(times, key=lambda name: times[name], default=DEFAULT_NAME)


def choose(name: str) -> str:
    """Make a collection the one that was used last, and create it if it is new; return its name.

    Raises
    ------
    DataError
        If it cannot be created, or the page has no named collections.
    """
    name = checked_collection(name)
    if belongs_to_session():
        raise DataError("On this public page each visitor has one collection.")
    known = next((other for other in collection_names() if other.casefold() == name.casefold()), name)
    try:
        (collections_folder() / known).mkdir(parents=True, exist_ok=True)
        os.utime(collections_folder() / known)
    except OSError as error:
        raise DataError(f"The collection {known!r} cannot be created ({error.strerror or error}).") from error
    return known


def collection_of(session: str | None, name: str | None = None) -> Collection:
    """Return the collection that a visitor uses.

    Parameters
    ----------
    session : str or None
        ``session_hash`` of gradio's request. On a public page it alone decides.
    name : str, optional
        At home, one of `collection_names`, by default the one that was used last.

    Raises
    ------
    DataError
        If the name cannot be used, or on a public page if there is no session or no room for another one.
    """
    if not belongs_to_session():
        return Collection(collections_folder() / checked_collection(name or last_used()))
    if not session:
        raise DataError("This visit has no session, so it has no collection; load the page again.")
    try:
        with _sessions:
            folder = _session_folder(session)
            if not folder.is_dir():
                delete_stale_sessions()
                if len(_session_folders()) >= MAX_SESSIONS:
                    raise DataError("Too many visitors collect music at the moment; try again later.")
                folder.mkdir(parents=True, mode=0o700)
                _start_sweeper()
            os.utime(folder)
    except OSError as error:
        raise DataError(f"Your collection cannot be created ({error.strerror or error}).") from error
    return Collection(folder, SESSION_LIMITS)


def taught_file(collection: Collection) -> Path:
    """Return the file of the model that was taught from a collection; it may not exist."""
    return collection.folder / "taught.safetensors"


def end_session(session: str | None) -> None:
    """Delete the collection of a visitor who has left, unless they come back within `GRACE_SECONDS`."""
    if session and belongs_to_session():
        with _sessions, suppress(OSError):
            left = time.time() - STALE_SECONDS + GRACE_SECONDS
            folder = _session_folder(session)
            os.utime(folder, (left, left))


def delete_stale_sessions() -> None:
    """Delete the collections of visitors that were not used for `STALE_SECONDS`."""
    with _sessions:
        for folder in _session_folders():
            with suppress(OSError):
                if time.time() - folder.stat().st_mtime > STALE_SECONDS:
                    shutil.rmtree(folder.parent, ignore_errors=True)


def _session_folder(session: str) -> Path:
    """Return the folder of a session; the browser chooses the session's name, so only its digest becomes a name here."""
    return temporary_folder("sessions") / hashlib.sha256(session.encode()).hexdigest()[:32] / "your-collection"


def _session_folders() -> list[Path]:
    return list(temporary_folder("sessions").glob("*/your-collection"))


def _start_sweeper() -> None:
    """Sweep in the background as long as there are collections of visitors."""
    global _sweeper

    def sweep() -> None:
        global _sweeper
        while True:
            time.sleep(_SWEEP_SECONDS)
            with _sessions:
                delete_stale_sessions()
                if not _session_folders():
                    _sweeper = None
                    return

    if _sweeper is None:
        _sweeper = Thread(target=sweep, name="sweep of collections", daemon=True)
        _sweeper.start()
