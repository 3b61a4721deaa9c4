"""What a visitor does with a collection: each action returns a sentence for the visitor.

The values come from a browser, where anybody can change them. So each text is checked, and each file must be an upload.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gradio.utils import get_upload_folder

from genre_app.data.collection import Collection
from genre_app.data.collection.collection import MAX_CLIP_SECONDS, MIN_CLIP_SECONDS
from genre_app.data.collection.transfer import import_zip
from genre_app.data.sources.archive import Limits as ZipLimits
from genre_app.errors import AudioError, DataError
from genre_app.ui.cards import full_stop
from genre_app.ui.collect.board import MICROPHONE, number
from genre_app.ui.collect.store import belongs_to_session
from genre_app.ui.service import MAX_BYTES, MAX_FILES, max_upload_bytes

GOOD_SECONDS = 6.0
"""A shorter recording is kept, with a remark that more is better."""

HINT = (
    f"Record {GOOD_SECONDS:.0f} to {MAX_CLIP_SECONDS:.0f} s, or drop files of at least {MIN_CLIP_SECONDS:.0f} s on a card. "
    f"Of a longer file, the middle {MAX_CLIP_SECONDS:.0f} s are taken."
)
_SESSION_ZIP = ZipLimits(files=1000, unpacked_bytes=1 << 30)
_MAX_REMARKS = 5
_NAME_LETTERS = 120
Data = Mapping[str, Any]


def act(collection: Collection, data: Data) -> Iterator[str]:
    """Do what the board's script asks for, and yield sentences for the visitor; the last one stays.

    Parameters
    ----------
    collection : Collection
    data : mapping
        ``do`` names the action; the other items depend on it.

    Raises
    ------
    AudioError, DataError
        With one sentence for the visitor.
    """
    todo = text(data, "do")
    if todo == "add":
        yield from _add_files(collection, text(data, "genre"), _files(data), data.get("lost"))
    elif todo == "import":
        yield f"Importing {text(data, 'name')} …"
        yield _import(collection, text(data, "path"))
    elif todo in _CHANGES:
        yield _CHANGES[todo](collection, data)
    else:
        raise DataError("This action is unknown; load the page again.")


def text(data: Data, key: str) -> str:
    """Return a text from the browser; empty if it sent something else."""
    value = data.get(key)
    return value if isinstance(value, str) else ""


def uploaded(path: str, most_bytes: int = MAX_BYTES) -> Path:
    """Return the path of an uploaded file.

    Raises
    ------
    DataError
        If gradio has not stored an upload there, or it is too large.
    """
    try:
        file = Path(path).resolve(strict=True)
        is_upload = file.is_relative_to(Path(get_upload_folder()).resolve()) and file.is_file()
        size = file.stat().st_size
    except (OSError, ValueError, RuntimeError):
        is_upload = False
    if not is_upload:
        raise DataError("This file is no longer here; drop it again.")
    if size > most_bytes:
        raise DataError(f"{file.name}: {size / 1e6:.0f} MB are more than the {most_bytes / 1e6:.0f} MB that this page takes.")
    return file


def add_recording(collection: Collection, genre: str, path: str) -> str:
    """Add a recording to a genre."""
    added = collection.add(genre, uploaded(path), origin="microphone", name=MICROPHONE)
    seconds = added.clip.seconds
    words = f"Added {seconds:.0f} s to {added.clip.genre}."
    if seconds < GOOD_SECONDS:
        words += f" {GOOD_SECONDS:.0f} s or more is better."
    return f"{words} {full_stop(added.remark)}" if added.remark else words


def _add_files(collection: Collection, genre: str, files: list[tuple[str, str]], n_lost: Any) -> Iterator[str]:
    if not files:
        raise DataError("No files arrived; drop them again.")
    n_added, remarks = 0, []
    for place, (path, name) in enumerate(files[:MAX_FILES], 1):
        yield f"Adding {place} of {len(files)}: {name} …"
        try:
            added = collection.add(genre, uploaded(path), origin="file", name=name)
            n_added += 1
            remarks += [added.remark] if added.remark else []
        except (AudioError, DataError) as error:
            remarks.append(str(error))
    if len(files) > MAX_FILES:
        remarks.insert(0, f"Only the first {MAX_FILES} files were taken; drop the others again.")
    if isinstance(n_lost, int) and n_lost > 0:
        remarks.insert(0, f"The upload of {number(n_lost, 'file')} failed: check the connection, then drop the others again.")
    yield _report(f"Added {number(n_added, 'clip')} to {genre}.", remarks)


def _import(collection: Collection, path: str) -> str:
    limits = _SESSION_ZIP if belongs_to_session() else None
    imported = import_zip(collection, uploaded(path, max_upload_bytes()), limits=limits)
    return _report(f"Imported {number(imported.added, 'clip')}.", list(imported.refused))


def _add_genre(collection: Collection, data: Data) -> str:
    known = set(collection.read().genres)
    genre = collection.add_genre(text(data, "genre"))
    return f"{genre} is in this collection already." if genre in known else f"Added the genre {genre}."


def _rename(collection: Collection, data: Data) -> str:
    old = text(data, "genre")
    known = set(collection.read().genres)
    new = collection.rename_genre(old, text(data, "name"))
    return f"Joined {old} with {new}." if new in known - {old} else f"Renamed {old} to {new}."


def _remove(collection: Collection, data: Data) -> str:
    genre, asked = text(data, "genre"), data.get("clips")
    n_clips = len(collection.read().genres.get(genre, []))
    if n_clips and asked != n_clips:  # another window has added some since the question
        raise DataError(f"{genre} has {number(n_clips, 'clip')} now; press Remove again.")
    collection.remove_genre(genre)
    return f"Removed {genre}" + (f" with {number(n_clips, 'clip')}." if n_clips else ".")


def _mark_none(collection: Collection, data: Data) -> str:
    genre, is_none = text(data, "genre"), data.get("on") is True
    collection.mark_none_of_these(genre, is_none)
    return f"What sounds like {genre} gets no genre." if is_none else f"{genre} is a genre again."


def _move(collection: Collection, data: Data) -> str:
    return f"Moved to {collection.move(text(data, 'clip'), text(data, 'genre')).genre}."


def _delete(collection: Collection, data: Data) -> str:
    clip = collection.delete(text(data, "clip"))
    return f"Deleted {clip.source or clip.id} from {clip.genre}."


_CHANGES: dict[str, Callable[[Collection, Data], str]] = {
    "look": lambda *_: "",
    "genre": _add_genre,
    "rename": _rename,
    "remove": _remove,
    "none": _mark_none,
    "move": _move,
    "delete": _delete,
}


def _files(data: Data) -> list[tuple[str, str]]:
    """Return path and name of each file that the browser has uploaded."""
    files = data.get("files")
    found = [file for file in files if isinstance(file, dict)] if isinstance(files, list) else []
    return [(text(file, "path"), _plain(text(file, "name"))) for file in found]


def _plain(name: str) -> str:
    """Return the end of a file's name, without folders and control characters."""
    return "".join(c for c in re.split(r"[/\\]", name)[-1] if c.isprintable())[-_NAME_LETTERS:] or "file"


def _report(words: str, remarks: list[str]) -> str:
    more = len(remarks) - _MAX_REMARKS
    said = [full_stop(remark) for remark in remarks[:_MAX_REMARKS]]
    return " ".join([words, *said, *([f"There are {more} more such remarks."] if more > 0 else [])])
