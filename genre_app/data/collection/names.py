"""Names of genres that are also names of folders, on every system."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePath

from genre_app.checkpoint_header import check_genres
from genre_app.data.collection.index import OTHERS, TABLE
from genre_app.errors import DataError
from genre_app.files import FORBIDDEN_LETTERS, is_reserved_name

_STEM_LETTERS = 40


def checked_genre(name: str) -> str:
    """Return the name of a genre without spaces around it, and with its accents in composed form.

    Raises
    ------
    DataError
        If it cannot name a genre and a folder.
    """
    name = unicodedata.normalize("NFC", " ".join(name.split()))
    if not name:
        raise DataError("Type the name of a genre first.")
    try:
        check_genres([name])
    except ValueError as error:
        raise DataError(f"Choose another name: {error}.") from error
    wrong = sorted({*FORBIDDEN_LETTERS, *"/\\"}.intersection(name))
    if wrong:
        raise DataError(f"The genre {name!r} cannot name a folder: leave out {' '.join(wrong)}.")
    # `genre_app.data.collection.index` takes these for folders of other programs, and for its own files.
    if name.startswith((".", "__")) or is_reserved_name(name) or name.casefold() in (TABLE, OTHERS):
        raise DataError(f"The genre {name!r} cannot name a folder on every system; choose another name.")
    return name


def clip_stem(name: str, digest: str) -> str:
    """Return the stem of a clip's file: plain letters of the original name, and the start of the digest of its sound."""
    plain = unicodedata.normalize("NFKD", PurePath(name).stem).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_STEM_LETTERS].strip("-")
    return f"{words or 'clip'}-{digest[:12]}"
