"""Write a playlist for each genre, and the catalogue as CSV."""

from __future__ import annotations

import csv
import io
import os
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from genre_app.files import FORBIDDEN_LETTERS, is_reserved_name, write_whole
from genre_app.library.records import Answer, Track

_SUFFIX = ".m3u8"
_HEAD = b"#EXTM3U\n#Written by genre-app library; it replaces and removes this file.\n"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would compute a cell that begins like this


def write_playlists(tracks: Sequence[Track], folder: Path, playlists: Path) -> list[str]:
    """Write ``GENRE.m3u8`` with the sure tracks of each genre; remove earlier playlists of genres that have none.

    Playlists of other programs stay: if one has the name, an underscore is added to ours.

    Parameters
    ----------
    tracks : sequence of Track
    folder : pathlib.Path
        That of the library.
    playlists : pathlib.Path
        Folder for the playlists; made if missing. The paths in them are relative to it.

    Returns
    -------
    list of str
        Names of the tracks that a playlist cannot name, since their paths hold line breaks.
    """
    playlists.mkdir(parents=True, exist_ok=True)
    by_genre: dict[str, list[Track]] = defaultdict(list)
    for track in tracks:
        if track.sure_genre is not None:
            by_genre[track.sure_genre].append(track)
    earlier = {path: _is_ours(path) for path in playlists.iterdir() if path.suffix.casefold() == _SUFFIX}
    taken = {path.name.casefold() for path, ours in earlier.items() if not ours}
    left_out: list[str] = []
    start, base = playlists.resolve(), folder.resolve()
    for genre, of_genre in sorted(by_genre.items()):
        lines = []
        for track in of_genre:
            place = base / track.path
            with suppress(ValueError):  # on Windows, from another drive
                place = Path(os.path.relpath(place, start))
            line = os.fsencode(place.as_posix())
            if b"\n" in line or b"\r" in line:
                left_out.append(track.shown)
            else:
                lines.append((b"./" if line.startswith((b"#", b" ")) else b"") + line + b"\n")
        name = _file_name(genre, taken)
        taken.add(name.casefold())
        write_whole(playlists / name, _HEAD + b"".join(lines))
    for path, ours in earlier.items():
        if ours and path.name.casefold() not in taken:
            path.unlink()
    return left_out


def _is_ours(path: Path) -> bool:
    if not path.is_file():
        return False
    with suppress(OSError), path.open("rb") as file:
        return file.read(len(_HEAD)) == _HEAD
    return False


def _file_name(genre: str, taken: set[str]) -> str:
    """Return a name that every system allows, for a genre that may come from someone else's checkpoint."""
    plain = "".join("_" if c in FORBIDDEN_LETTERS + "/\\" or not c.isprintable() else c for c in genre).lstrip(".")
    plain = f"{plain}_" if not plain or is_reserved_name(plain) else plain
    while f"{plain}{_SUFFIX}".casefold() in taken:
        plain += "_"
    return f"{plain}{_SUFFIX}"


def write_table(tracks: Sequence[Track], path: Path) -> None:
    """Write the catalogue as CSV, a line a file: path, genre, whether it is sure, probabilities, content and error."""
    genres = list(dict.fromkeys(genre for track in tracks if track.answer for genre in track.answer.probabilities))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")  # as RFC 4180 says; else Python leaves "\r" in a name unquoted
    writer.writerow(map(_cell, ["file", "genre", "sure", "rejected", *genres, "warnings", "content", "time", "error"]))
    for track in tracks:
        found = track.answer or Answer(time="")
        sure = str(found.sure).lower() if found.probabilities else ""
        numbers = [f"{found.probabilities[genre]:.9g}" if genre in found.probabilities else "" for genre in genres]
        row = [found.genre or "", sure, found.rejected or "", *numbers, "; ".join(found.warnings), track.content, found.time]
        file = f"./{track.shown}" if track.shown.startswith(_FORMULA) else track.shown  # still the same path
        writer.writerow([file, *map(_cell, [*row, track.error])])
    write_whole(path, text.getvalue().encode("utf-8", "replace"))


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
