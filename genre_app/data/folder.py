"""A folder of genre folders: ``DATA/<genre>/track.wav``, or ``DATA/<split>/<genre>/track.wav``.

Any depth below a genre's folder belongs to the genre. Hidden files (``._track.wav``, ``.DS_Store``) and files whose ending is
not that of audio or video are passed over. Links are followed, since data sets are often made of them; a folder that was
already walked is not walked again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from genre_app.data.mel_cache import DataError

_AUDIO = "aac aif aifc aiff au caf flac m4a m4b mka mp2 mp3 oga ogg opus snd w64 wav wma"
_VIDEO = "avi flv mkv mov mp4 webm"
AUDIO_SUFFIXES = frozenset(f".{ending}" for ending in f"{_AUDIO} {_VIDEO}".split())


@dataclass(frozen=True)
class AudioTrack:
    """One file of a folder.

    Attributes
    ----------
    path : pathlib.Path
    track_id : str
        The path below the folder, with forward slashes.
    genre : str
        Name of the genre's folder.
    """

    path: Path
    track_id: str
    genre: str


@dataclass(frozen=True)
class AudioFolder:
    """The tracks of a folder, ordered by name.

    Attributes
    ----------
    path : pathlib.Path
        The folder that holds the genres' folders.
    tracks : tuple of AudioTrack
    refused : tuple of (str, str)
        Links that lead nowhere, each with the reason.
    """

    path: Path
    tracks: tuple[AudioTrack, ...]
    refused: tuple[tuple[str, str], ...] = ()

    @classmethod
    def open(cls, path: str | os.PathLike[str], split: str | None = None) -> AudioFolder:
        """List the tracks of a folder without reading them.

        Parameters
        ----------
        path : str or os.PathLike
        split : str, optional
            Name of a folder within that holds the genres' folders.

        Raises
        ------
        DataError
            If the folder or the split is missing, unreadable, or has no audio in genre folders.
        """
        root = Path(path)
        try:
            is_folder = root.is_dir()
        except ValueError:  # a null byte in the name
            is_folder = False
        if not is_folder:
            raise DataError(f"{root} is not a folder; give a folder of genre folders or a mel cache.")
        if split is not None:
            root = _split_folder(root, split)
        tracks: list[AudioTrack] = []
        refused: list[tuple[str, str]] = []
        for genre, entry in _entries(root):
            track_id = entry.relative_to(root).as_posix()
            if entry.suffix.lower() not in AUDIO_SUFFIXES:
                continue
            if entry.is_file():
                tracks.append(AudioTrack(entry, track_id, genre))
            elif entry.is_symlink():
                refused.append((track_id, f"{track_id}: this link leads nowhere; put the audio where it points or remove it"))
        if not tracks:
            raise DataError(f"{root} has no audio files in genre folders; it should hold blues/a.wav, jazz/b.wav and so on.")
        return cls(root, tuple(tracks), tuple(refused))


def _split_folder(root: Path, split: str) -> Path:
    folders = {entry.name: entry for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith(".")}
    if split not in folders:
        found = ", ".join(sorted(folders)[:12]) or "nothing"
        raise DataError(
            f"{root} has no folder {split!r} for this split (it has {found}); leave the split out or name one of them."
        )
    return folders[split]


def _entries(root: Path) -> Iterable[tuple[str, Path]]:
    """Walk the genres' folders in the order of names, and yield (genre, file)."""

    def stop(error: OSError) -> None:
        raise DataError(f"{error.filename} cannot be read: {error.strerror}; check its permissions.") from error

    walked = {root.resolve()}
    for folder, folders, files in os.walk(root, onerror=stop, followlinks=True):
        below = Path(folder).relative_to(root).parts
        enter = []
        for name in sorted(name for name in folders if not name.startswith(".")):
            target = (Path(folder) / name).resolve()
            if target not in walked:
                walked.add(target)
                enter.append(name)
        folders[:] = enter
        if below:
            yield from ((below[0], Path(folder) / name) for name in sorted(files) if not name.startswith("."))


def match_genres(found: Iterable[str], known: Sequence[str], where: Path) -> dict[str, int]:
    """Index in ``known`` of each genre found; letter case, spaces and punctuation do not count ("Hip-Hop" is "hiphop").

    Raises
    ------
    DataError
        If the model does not know a genre.
    """
    indices = {_key(genre): index for index, genre in reversed(list(enumerate(known)))}
    names = sorted(set(found))
    unknown = [name for name in names if _key(name) not in indices]
    if unknown:
        more = f" and {len(unknown) - 20} more" if len(unknown) > 20 else ""
        raise DataError(
            f"{where} has genres that the checkpoint does not know: {', '.join(unknown[:20])}{more} "
            f"(it knows {', '.join(known)}); rename or remove those folders, or choose another split or checkpoint."
        )
    return {name: indices[_key(name)] for name in names}


def _key(genre: str) -> str:
    return "".join(letter for letter in genre.casefold() if letter.isalnum()) or genre
