"""Join and delete the folders of genres; what the user has put there beside the clips is kept.

Hidden files, such as the ``.DS_Store`` that macOS writes into folders, do not count: a user does not see them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from genre_app.data.collection.index import CollectedClip
from genre_app.errors import DataError, some
from genre_app.files import valid_text


def join_folders(old: Path, new: Path) -> None:
    """Move everything from one folder into another one, and delete the first.

    Raises
    ------
    DataError
        If both have a file of the same name.
    """
    entries = sorted(old.iterdir())
    twice = [entry for entry in entries if os.path.lexists(new / entry.name)]
    shown = _shown_names(twice)
    if shown:  # copied into the folders by hand
        raise DataError(f"{old.name} and {new.name} both have a file {shown[0]}; rename one of the two first.")
    for entry in entries:
        if entry not in twice:
            entry.replace(new / entry.name)
    shutil.rmtree(old)


def remove_folder(folder: Path, clips: Iterable[CollectedClip]) -> None:
    """Delete a folder with its clips.

    Raises
    ------
    DataError
        If it holds other files.
    """
    ids = {clip.id for clip in clips}
    others = _shown_names(entry for entry in sorted(folder.iterdir()) if entry.name not in ids)
    if others:
        raise DataError(f"The folder {folder.name} holds more than clips; move this out of it first: {some(others)}.")
    shutil.rmtree(folder)


def _shown_names(entries: Iterable[Path]) -> list[str]:
    return [valid_text(entry.name) for entry in entries if not entry.name.startswith(".")]
