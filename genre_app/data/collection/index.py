"""The table of a collection, ``clips.csv``, and the list of its genres.

The folders say which clips there are; the table says where each comes from. A clip without a line in the table, which someone
has copied into a folder, is listed too.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

import soundfile

from genre_app.data.sources.folder import AUDIO_SUFFIXES
from genre_app.errors import DataError
from genre_app.files import name_key, valid_text, write_whole

TABLE = "clips.csv"
OTHERS = "none_of_these.json"
"""File with the names of the genres that mean "none of these"."""

_MAX_TABLE_BYTES = 1 << 24
_MAX_WORD_LETTERS = 500  # more than the name of a file; a visitor's zip may hold a table with longer ones


@dataclass(frozen=True)
class CollectedClip:
    """A clip of a collection; each field but ``genre`` is a column of ``clips.csv``.

    Attributes
    ----------
    file : str
        Path below the collection: ``GENRE/NAME.flac``.
    source : str
        Original name of the file, or "microphone".
    source_sha256 : str
        Digest of the original file. Clips of one file are kept together when a model is tested.
    origin : str
        Where it was added: "microphone", "file", "classify", "live" or "batch".
    date : str
        ISO 8601, UTC.
    seconds : float
    answer, probability, checkpoint : str, float, str
        The answer at that time; empty and 0 if none was asked for.
    """

    file: str
    source: str = ""
    source_sha256: str = ""
    origin: str = ""
    date: str = ""
    seconds: float = 0.0
    answer: str = ""
    probability: float = 0.0
    checkpoint: str = ""

    @property
    def genre(self) -> str:
        """Name of the genre's folder."""
        return self.file.partition("/")[0]

    @property
    def id(self) -> str:
        """Name of the file, which a move to another genre keeps."""
        return self.file.rpartition("/")[2]


_WORDS = tuple(column.name for column in fields(CollectedClip) if column.type == "str")


@dataclass(frozen=True)
class Contents:
    """What a collection holds.

    Attributes
    ----------
    genres : dict of str to list of CollectedClip
        Clips of each genre, in the order in which they were added; genres in the order of their names.
    none_of_these : frozenset of str
        Genres whose clips get no genre.
    """

    genres: dict[str, list[CollectedClip]] = field(default_factory=dict)
    none_of_these: frozenset[str] = frozenset()

    @property
    def clips(self) -> list[CollectedClip]:
        """All clips."""
        return [clip for clips in self.genres.values() for clip in clips]

    @property
    def seconds(self) -> float:
        """Length of all clips."""
        return sum(clip.seconds for clip in self.clips)


def read_contents(folder: Path) -> Contents:
    """List the genres and clips of a collection; an unreadable table only costs what it says of the clips.

    Raises
    ------
    DataError
        If the folder cannot be listed.
    """
    known = {clip.id: clip for clip in _read_table(folder / TABLE)}
    genres: dict[str, list[CollectedClip]] = {}
    try:
        folders = [entry for entry in folder.iterdir() if _is_genre(entry)]
        for genre in sorted(folders, key=lambda path: path.name.casefold()):
            with suppress(FileNotFoundError):  # another window has just removed the genre
                clips = [_described(known.get(file.name), file) for file in genre.iterdir() if _is_clip(file)]
                genres[genre.name] = sorted(clips, key=lambda clip: (clip.date, clip.file))
    except FileNotFoundError:
        pass  # a collection without clips yet
    except OSError as error:
        raise DataError(f"{folder.name}: this collection cannot be read ({error.strerror}).") from error
    others = set(map(name_key, _read_others(folder)))
    return Contents(genres, frozenset(genre for genre in genres if name_key(genre) in others))


def write_table(folder: Path, clips: Iterable[CollectedClip]) -> None:
    """Write ``clips.csv`` atomically."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [column.name for column in fields(CollectedClip)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(clip) for clip in clips)
    write_whole(folder / TABLE, text.getvalue().encode())


def write_others(folder: Path, genres: Iterable[str]) -> None:
    """Write the names of the genres that mean "none of these"."""
    write_whole(folder / OTHERS, json.dumps(sorted(genres), ensure_ascii=False).encode())


def _is_genre(entry: Path) -> bool:
    shown = valid_text(entry.name) == entry.name and not entry.name.startswith((".", "__"))
    return shown and entry.is_dir() and not entry.is_symlink()


def _is_clip(entry: Path) -> bool:
    shown = valid_text(entry.name) == entry.name and not entry.name.startswith(".")
    return shown and entry.suffix.lower() in AUDIO_SUFFIXES and entry.is_file()


def _described(row: CollectedClip | None, file: Path) -> CollectedClip:
    place = f"{file.parent.name}/{file.name}"
    if row is not None:
        return replace(row, file=place)
    seconds = 0.0
    # Not by its path: soundfile cannot encode a name whose bytes are not UTF-8.
    with suppress(OSError, soundfile.LibsndfileError), file.open("rb") as opened:
        seconds = float(soundfile.info(opened).duration)
    return CollectedClip(place, source=file.name, origin="file", seconds=seconds)


def _read_table(path: Path) -> list[CollectedClip]:
    clips = []
    with suppress(OSError, UnicodeDecodeError, csv.Error):
        if path.stat().st_size > _MAX_TABLE_BYTES:
            return []
        for row in csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))):  # spreadsheets add the mark
            with suppress(ValueError, TypeError):
                words = {name: (row.get(name) or "")[:_MAX_WORD_LETTERS] for name in _WORDS}
                numbers = {name: float(row.get(name) or 0.0) for name in ("seconds", "probability")}
                if all(map(math.isfinite, numbers.values())):
                    clips.append(CollectedClip(**words, **numbers))  # type: ignore[arg-type]
    return clips


def _read_others(folder: Path) -> list[str]:
    with suppress(OSError, ValueError, RecursionError):
        found = json.loads((folder / OTHERS).read_bytes())
        if isinstance(found, list):
            return [name for name in found if isinstance(name, str)]
    return []
