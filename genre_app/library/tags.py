"""Read and write the genre in the tags of MP3, FLAC, Ogg Vorbis, Opus and M4A files; needs mutagen, the extra ``tags``.

A copy is changed, compared with the file (its coded audio must be the same) and then replaces it, so that a killed process
leaves no damaged file. The catalogue keeps the previous genres. In an MP3, an old ID3v1 tag at the end stays as it is.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genre_app.audio.packets import packets_digest
from genre_app.data.cache.build import stamp_of
from genre_app.data.sources.folder import genre_key
from genre_app.errors import AudioError, DataError, first_line
from genre_app.files import move
from genre_app.library.catalogue import Catalogue
from genre_app.library.records import Track, Written
from genre_app.library.scan import content_of

_ID3V1_BYTES = 128
_ID3_KEY, _MP4_KEY, _VORBIS_KEY = "TCON", "\xa9gen", "GENRE"


@dataclass(frozen=True)
class Change:
    """A genre to write: ``old`` as it is shown, ``values`` as they are stored; the latter are empty to remove it."""

    track: Track
    old: tuple[str, ...]
    values: tuple[str, ...]
    written: Written | None = None

    def __str__(self) -> str:
        old, new = ("; ".join(values) or "(none)" for values in (self.old, self.values))
        return f"{self.track.shown}: {old} -> {new}"


@dataclass(frozen=True)
class Refusal:
    """A file whose tags are left alone, and why."""

    track: Track
    reason: str

    def __str__(self) -> str:
        return f"{self.track.shown}: {self.reason}"


def check_mutagen() -> None:
    """Raise a `DataError` if mutagen is not installed."""
    try:
        import mutagen  # noqa: F401
    except ImportError as error:
        raise DataError("Tags need the library mutagen; install it with: pip install genre-app[tags]") from error


def proposal(folder: Path, track: Track) -> Change | Refusal | None:
    """Return the change that makes a track's tags name its genre, if that is sure.

    A file of another kind needs none, nor does a file that names the genre already, in any spelling ("Hip-Hop", "hiphop").
    """
    genre = track.sure_genre
    if genre is None:
        return None
    try:
        song = _open(folder / track.path)
        old = tuple(_shown(song)) if song is not None else (genre,)
    except DataError as error:
        return Refusal(track, str(error))
    return None if genre_key(genre) in map(genre_key, old) else Change(track, old, (genre,))


def restoration(folder: Path, catalogue: Catalogue, track: Track) -> Change | Refusal | None:
    """Return the change that restores the genres from before `carry_out`, if that was called."""
    written = catalogue.written(track.path)
    if not written:
        return None
    try:
        stored = _stored(_open(folder / track.path))
    except DataError as error:
        return Refusal(track, str(error))
    found = written.get(stored[0]) if len(stored) == 1 else None
    if found is None:
        return Refusal(track, "its genre is no longer the one that was written; it is left as it is")
    return Change(track, tuple(stored), tuple(found.previous), found)


def carry_out(folder: Path, catalogue: Catalogue, change: Change) -> Refusal | None:
    """Write a change; return why it cannot be written, None if it is."""
    track, path = change.track, folder / change.track.path
    target = path.resolve()  # a link stays a link
    name = f".genre-app-{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]}{target.suffix}"
    copy = target.with_name(name)  # hidden, so no scan finds what a killed process leaves
    try:
        if not target.is_relative_to(folder.resolve()):
            raise DataError("its link leads out of the folder")
        if not os.access(target, os.W_OK):
            raise DataError("it is write-protected")
        audio = packets_digest(target)
        if change.written is not None and change.written.audio != audio:
            raise DataError("it holds other audio than when its genre was written")
        shutil.copy2(target, copy)
        _change_copy(copy, change.values)
        if packets_digest(copy) != audio:
            raise DataError("its audio would not stay the same")
        _replace(target, copy, change, catalogue, audio)
    except (DataError, AudioError) as error:
        return Refusal(track, str(error).removeprefix(f"{target.name}: ").removeprefix(f"{name}: "))
    except OSError as error:
        return Refusal(track, f"it cannot be written: {error.strerror or error}")
    finally:
        with suppress(OSError):
            copy.unlink(missing_ok=True)
    return None


def _replace(target: Path, copy: Path, change: Change, catalogue: Catalogue, audio: str) -> None:
    track, restored = change.track, change.written is not None
    _keep_owner(target, copy)
    with copy.open("r+b") as file:  # Windows flushes only a file that may be written
        os.fsync(file.fileno())
    content, stamp = content_of(copy), stamp_of(copy)
    if content_of(target) != track.content:
        raise DataError("it was changed meanwhile; start again")
    noted = {}
    if not restored:
        known, stored = catalogue.written(track.path), _stored(_open(target))
        earlier = known.get(stored[0]) if len(stored) == 1 else None
        if earlier is not None and earlier.audio == audio:
            stored = earlier.previous  # an earlier call wrote the genre: keep what was there first
        noted = {genre: Written(stored, audio) for genre in change.values}
    catalogue.before_writing(track, content, noted)
    move(copy, target)
    catalogue.after_writing(track, stamp, content, restored=restored)


def _keep_owner(target: Path, copy: Path) -> None:
    status = target.stat()
    with suppress(OSError, AttributeError):  # only root may give files away; Windows has no such owners
        os.chown(copy, status.st_uid, status.st_gid)
        shutil.copymode(target, copy)  # changing the owner may clear bits of the mode


def _change_copy(copy: Path, values: tuple[str, ...]) -> None:
    with copy.open("rb") as file:
        file.seek(-min(_ID3V1_BYTES, copy.stat().st_size), os.SEEK_END)
        tail = file.read()
    song = _open(copy)
    _guarded(lambda: _set(song, list(values)))
    if _is_mp3(song) and tail.startswith(b"TAG"):  # mutagen writes it anew from ID3v2, and drops what that lacks
        with copy.open("r+b") as file:
            file.seek(-_ID3V1_BYTES, os.SEEK_END)
            file.write(tail)


def _open(path: Path) -> Any:
    """Open the tags of a file with mutagen; return None if it is of another kind, and raise a `DataError` if it is damaged."""
    from mutagen import File
    from mutagen.flac import FLAC
    from mutagen.mp3 import MP3
    from mutagen.mp4 import MP4
    from mutagen.oggopus import OggOpus
    from mutagen.oggvorbis import OggVorbis

    song = _guarded(lambda: File(path, options=[MP3, FLAC, OggVorbis, OggOpus, MP4]))
    # Without the translation, the frames of ID3v2.3 stay as they are in the file.
    return _guarded(lambda: MP3(path, translate=False)) if isinstance(song, MP3) else song


def _guarded(call: Callable[[], Any]) -> Any:
    from mutagen import MutagenError

    try:
        return call()
    # On damaged files, the parsers of mutagen may also raise what follows.
    except (MutagenError, ValueError, LookupError, ArithmeticError, EOFError, TypeError, AttributeError) as error:
        raise DataError(f"its tags cannot be read or written: {first_line(error)}") from error


def _is_mp3(song: Any) -> bool:
    return type(song).__name__ == "MP3"


def _key(song: Any) -> str:
    return {"MP3": _ID3_KEY, "MP4": _MP4_KEY}.get(type(song).__name__, _VORBIS_KEY)


def _stored(song: Any) -> list[str]:
    """Return the genres as they are stored."""
    values = song.tags.get(_key(song)) if song is not None and song.tags is not None else None
    return [str(value) for value in getattr(values, "text", values) or []]


def _shown(song: Any) -> list[str]:
    """Return the genres as a player shows them: ID3 may hold numbers."""
    frame = song.tags.get(_ID3_KEY) if _is_mp3(song) and song.tags is not None else None
    return _stored(song) if frame is None else list(frame.genres)


def _set(song: Any, values: list[str]) -> None:
    is_new, key = song.tags is None, _key(song)
    if is_new:
        song.add_tags()
    if key in song.tags:
        del song.tags[key]
    if not _is_mp3(song):
        if values:
            song.tags[key] = values
        song.save()
        return
    from mutagen.id3 import TCON

    version = (2, 3) if is_new else song.tags.version[:2]
    if version not in ((2, 3), (2, 4)):
        song.tags.update_to_v23()  # mutagen cannot write ID3v2.2
    if values:
        song.tags.add(TCON(encoding=1, text=values))  # UTF-16, which both versions have
    if song.tags:
        song.save(v1=1, v2_version=4 if version == (2, 4) else 3, v23_sep=None)
    else:
        song.tags.delete(song.filename, delete_v1=False)
