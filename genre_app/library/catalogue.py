"""The catalogue of a library: an SQLite file with the state of each file, and an answer for each content.

An answer belongs to the content of a file and to a checkpoint, and stays when its file goes. So a moved or copied file has its
answer already, and so has one whose drive is connected again, and an earlier checkpoint that is used again. Each result is a
transaction of its own: a killed process loses the files in work only.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from genre_app.data.cache.build import Stamp
from genre_app.errors import DataError, first_line
from genre_app.library.records import Answer, Track, Written

PLACE = Path(".genre-app") / "library.sqlite"
"""Where the catalogue of a folder lies in it, unless another place is named. Hidden folders are never scanned."""

_APPLICATION_ID = 0x47454E52  # "GENR"; tells our files from those of other programs
_VERSION = 1
# Paths have forward slashes. A path whose bytes are not UTF-8 is stored as bytes, every other one as text.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS settings (key TEXT PRIMARY KEY, value NOT NULL);
CREATE TABLE IF NOT EXISTS files (
    path PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, readable INTEGER NOT NULL,
    content TEXT, error TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS answers (
    content TEXT NOT NULL, checkpoint TEXT NOT NULL, genre TEXT, rejected TEXT, sure INTEGER NOT NULL,
    probabilities TEXT NOT NULL, warnings TEXT NOT NULL, error TEXT NOT NULL, time TEXT NOT NULL,
    PRIMARY KEY (content, checkpoint));
CREATE TABLE IF NOT EXISTS tags (
    path NOT NULL, written TEXT NOT NULL, previous TEXT NOT NULL, audio TEXT NOT NULL, PRIMARY KEY (path, written));
CREATE INDEX IF NOT EXISTS files_by_content ON files (content);
CREATE VIEW IF NOT EXISTS tracks AS
    SELECT path, size, mtime_ns, readable, files.content, genre, rejected, sure, probabilities, warnings, checkpoint, time,
        coalesce(nullif(files.error, ''), answers.error, '') AS error
    FROM files LEFT JOIN answers ON answers.content = files.content
        AND checkpoint = (SELECT value FROM settings WHERE key = 'checkpoint');
"""


@contextmanager
def open_catalogue(path: Path, folder: Path) -> Iterator[Catalogue]:
    """Open the catalogue of a folder, or make it; one process at a time may have it.

    Raises
    ------
    DataError
        If the file cannot be written, is no catalogue, is that of another folder, or another process has it.
    """
    lock = FileLock(path.with_name(f"{path.name}.lock"), timeout=0)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(NotImplementedError):  # a file system without locks: SQLite has its own
            lock.acquire()
    except Timeout as error:
        raise DataError(f"Another process works on the catalogue {path}; wait until it has finished, or stop it.") from error
    except OSError as error:
        what = f"cannot be written: {error.strerror or error}"
        raise DataError(f"The catalogue {path} {what}; name another place for it.") from error
    try:
        with closing(sqlite3.connect(path)) as database:
            _prepare(database, path)
            catalogue = Catalogue(database)
            catalogue.claim(folder, path)
            yield catalogue
    except sqlite3.Error as error:
        what = f"cannot be used: {first_line(error)}"
        raise DataError(f"The catalogue {path} {what}; make room, or name another file; what is done is kept.") from error
    finally:
        lock.release()


def _prepare(database: sqlite3.Connection, path: Path) -> None:
    database.execute("PRAGMA trusted_schema = OFF")  # a catalogue may come from someone else
    (found,) = database.execute("PRAGMA application_id").fetchone()
    (version,) = database.execute("PRAGMA user_version").fetchone()
    (n_tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if n_tables and found != _APPLICATION_ID:
        raise DataError(f"{path} is a database of another program; name another file for the catalogue.")
    if version > _VERSION:
        raise DataError(f"{path} was made by a newer version of this program; update it, or name another file.")
    database.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    database.execute(f"PRAGMA user_version = {_VERSION}")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")  # with a WAL, a loss of power costs the last results at most
    database.executescript(_SCHEMA)


class Catalogue:
    """An open catalogue; see `open_catalogue`."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def claim(self, folder: Path, path: Path) -> None:
        """Remember the folder; refuse the catalogue of another folder that still exists."""
        now, known = folder.resolve(), self._setting("folder")
        before = Path(os.fsdecode(known)) if known else now
        is_inside = path.resolve() == now / PLACE  # it moved with its folder, or was copied with it
        if before != now and not is_inside and before.is_dir():
            raise DataError(f"{path} is the catalogue of {before}; name another file for {folder}.")
        self._set(folder=_key(str(now)))

    @property
    def checkpoint_name(self) -> str:
        """Name of the checkpoint whose answers count; empty before the first one."""
        return str(self._setting("checkpoint_name") or "")

    def use_checkpoint(self, identity: str, name: str) -> None:
        """Select the checkpoint whose answers count."""
        self._set(checkpoint=identity, checkpoint_name=name)

    def _setting(self, key: str) -> str | bytes | None:
        row = self._database.execute("SELECT value FROM settings WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def _set(self, **values: str | bytes) -> None:
        with self._database:
            self._database.executemany("INSERT OR REPLACE INTO settings VALUES (?, ?)", values.items())

    def stamps(self) -> dict[str, Stamp]:
        """Return the state in which each file was read."""
        rows = self._database.execute("SELECT path, size, mtime_ns, readable FROM files")
        return {os.fsdecode(path): (size, mtime_ns, bool(readable)) for path, size, mtime_ns, readable in rows}

    def unread(self) -> set[str]:
        """Return the files that could not be read."""
        return {os.fsdecode(path) for (path,) in self._database.execute("SELECT path FROM files WHERE content IS NULL")}

    def put_file(self, path: str, stamp: Stamp, content: str, error: str = "") -> None:
        """Store the state and the content of a file; an empty ``content`` means that it cannot be read."""
        row = (_key(path), *stamp, content or None, error)
        with self._database:
            self._database.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)", row)

    def finish_scan(self, removed: Collection[str]) -> None:
        """Drop removed files, and note under which path a moved file with written tags lies now.

        What was written into a removed file stays noted, and so does its answer: its drive may be connected again.
        """
        gone = [(_key(path),) for path in removed]
        select = "SELECT DISTINCT path, content FROM files JOIN tags USING (path) WHERE path = ?"
        with self._database as database:
            tagged = [row for key in gone for row in database.execute(select, key)]
            database.executemany("DELETE FROM files WHERE path = ?", gone)
            for path, content in tagged:
                free = "SELECT path FROM files WHERE content = ? AND path NOT IN (SELECT path FROM tags) LIMIT 1"
                if moved := database.execute(free, (content,)).fetchone():
                    database.execute("UPDATE tags SET path = ? WHERE path = ?", (*moved, path))

    def put_answer(self, content: str, answer: Answer) -> None:
        """Store the answer of the selected checkpoint."""
        lists = {"probabilities": json.dumps(dict(answer.probabilities)), "warnings": json.dumps(answer.warnings)}
        with self._database:
            self._database.execute(
                "INSERT OR REPLACE INTO answers SELECT :content, value, :genre, :rejected, :sure, :probabilities, :warnings,"
                " :error, :time FROM settings WHERE key = 'checkpoint'",
                {**vars(answer), **lists, "content": content},
            )

    def tracks(self) -> list[Track]:
        """Return all files with the answers of the selected checkpoint, sorted by path."""
        rows = self._database.execute(
            "SELECT path, size, mtime_ns, readable, content, error, genre, rejected, sure, probabilities, warnings, time"
            " FROM tracks"
        )
        return sorted((_track(*row) for row in rows), key=lambda track: track.path)

    def written(self, path: str) -> dict[str, Written]:
        """Return what was written into a file, by the written genre."""
        rows = self._database.execute("SELECT written, previous, audio FROM tags WHERE path = ?", (_key(path),))
        return {written: Written(_parsed(previous, list), audio) for written, previous, audio in rows}

    def before_writing(self, track: Track, content: str, written: Mapping[str, Written]) -> None:
        """Note what is about to be written into a file, whose ``content`` will then have the same answers.

        It is noted before, so that a process killed at any moment leaves no file that cannot be restored.
        """
        with self._database as database:
            rows = [(_key(track.path), genre, json.dumps(one.previous), one.audio) for genre, one in written.items()]
            database.executemany("INSERT OR REPLACE INTO tags VALUES (?, ?, ?, ?)", rows)
            columns = "checkpoint, genre, rejected, sure, probabilities, warnings, error, time"
            database.execute(
                f"INSERT OR REPLACE INTO answers SELECT ?, {columns} FROM answers WHERE content = ?",  # noqa: S608 (constants)
                (content, track.content),
            )

    def after_writing(self, track: Track, stamp: Stamp, content: str, *, restored: bool) -> None:
        """Store the new state of a file; once it is ``restored``, forget what was written into it."""
        if restored:
            self._database.execute("DELETE FROM tags WHERE path = ?", (_key(track.path),))
        self.put_file(track.path, stamp, content)  # ends the transaction of both


def _key(path: str) -> str | bytes:
    data = os.fsencode(path)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _track(key: str | bytes, size: int, mtime_ns: int, readable: int, content: str | None, error: str, *found: Any) -> Track:
    answer = None
    if found[-1] is not None:
        genre, rejected, sure, probabilities, warnings, time = found
        known = _parsed(probabilities, dict)
        answer = Answer(genre, rejected, bool(sure), known, tuple(_parsed(warnings, list)), error, time)
    return Track(os.fsdecode(key), (size, mtime_ns, bool(readable)), content or "", answer, error)


def _parsed(text: str, kind: type) -> Any:
    """Return the content of a JSON column: a list of strings, or a dict of numbers."""
    try:
        value = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        value = None
    parts, wanted = (value.values(), float) if isinstance(value, dict) else (value or (), str)
    if not isinstance(value, kind) or not all(isinstance(part, wanted) for part in parts):
        raise DataError("The catalogue is damaged: a column does not hold what it should; delete it to classify again.")
    return value
