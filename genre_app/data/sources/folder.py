"""A folder of genre folders: ``DATA/<genre>/track.wav``, or ``DATA/<split>/<genre>/track.wav``.

Every file below a genre's folder belongs to the genre, at any depth. Hidden files (``._track.wav``, ``.DS_Store``) and files
without a suffix of audio or video are ignored. Links are followed, since many data sets consist of links; no folder is walked
twice.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from genre_app.data.tracks import AudioTrack, split_of_name
from genre_app.errors import DataError, some
from genre_app.files import AnyPath, name_key, valid_text

_AUDIO = "aac aif aifc aiff au caf flac m4a m4b mka mp2 mp3 oga ogg opus snd w64 wav wma"
_VIDEO = "avi flv mkv mov mp4 webm"
AUDIO_SUFFIXES = frozenset(f".{ending}" for ending in f"{_AUDIO} {_VIDEO}".split())

_MAX_WALKED = 1_000_000  # files; a folder with more is probably a whole disk
_GTZAN_FOLDERS = ("genres", "genres_original")
_WANTED = "it should hold blues/a.wav, jazz/b.wav and so on"


class NoAudioError(DataError):
    """A folder has no audio in genre folders."""


@dataclass(frozen=True)
class AudioFolder:
    """The tracks of a folder, sorted by path.

    Attributes
    ----------
    path : pathlib.Path
        Folder that holds the genre folders.
    tracks : tuple of AudioTrack
    refused : tuple of (str, str)
        Track id of each broken link, and a sentence about it.
    n_outside : int
        Number of audio files outside the genre folders. They have no genre and are left out.
    """

    path: Path
    tracks: tuple[AudioTrack, ...]
    refused: tuple[tuple[str, str], ...] = ()
    n_outside: int = 0

    @classmethod
    def open(cls, path: AnyPath, split: str | None = None) -> AudioFolder:
        """List the tracks of a folder without decoding them.

        Parameters
        ----------
        path : str or os.PathLike
        split : str, optional
            Name of the folder in ``path`` that holds the genre folders.

        Raises
        ------
        DataError
            If the folder or the split is missing, unreadable, or has no audio in genre folders.
        """
        root = _checked(path)
        if split is not None:
            root = _split_folder(root, split)
        return cls._of(root, list(audio_files(root)), split_depth=0)

    @classmethod
    def find(cls, path: AnyPath) -> AudioFolder:
        """List the tracks of a folder that holds the genre folders directly or at a deeper level.

        A folder that only contains one other folder is entered. GTZAN's folders ``genres`` and ``genres_original`` are entered
        even if they have neighbours. If the folders are named train, valid, test and contain the genre folders, each track
        gets its split.

        Raises
        ------
        DataError
            As in `open`.
        """
        root = _checked(path)
        files = list(audio_files(root))
        while (inner := _wrapped([parts for parts, _ in files])) is not None:
            root /= inner
            files = [(parts[1:], file) for parts, file in files if parts[0] == inner and len(parts) > 1]
        folders = {parts[0] for parts, _ in files if len(parts) > 1}
        by_split = bool(folders) and all(split_of_name(folder) for folder in folders)
        return cls._of(root, files, split_depth=int(by_split))

    @classmethod
    def _of(cls, root: Path, files: list[tuple[tuple[str, ...], Path]], *, split_depth: int) -> AudioFolder:
        tracks: list[AudioTrack] = []
        refused: list[tuple[str, str]] = []
        n_outside = 0
        for parts, file in files:
            track_id = "/".join(parts)
            if len(parts) < 2 + split_depth:
                n_outside += 1
            elif file.is_file():
                split = split_of_name(parts[0]) or "" if split_depth else ""
                tracks.append(AudioTrack(file, track_id, parts[split_depth], split))
            elif file.is_symlink():
                nowhere = f"{valid_text(track_id)}: this link leads nowhere; put the audio where it points or remove it"
                refused.append((track_id, nowhere))
        if not tracks:
            lies = f", only {n_outside} beside them" if n_outside else ""
            raise NoAudioError(f"{root} has no audio files in genre folders{lies}; {_WANTED}.")
        return cls(root, tuple(tracks), tuple(refused), n_outside)


def _checked(path: AnyPath) -> Path:
    root = Path(path)
    if not root.is_dir():
        raise DataError(f"{root} is not a folder; give a folder of genre folders or a mel cache.")
    return root


def _split_folder(root: Path, split: str) -> Path:
    folders = {entry.name: entry for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith(".")}
    if split not in folders:
        found = ", ".join(sorted(folders)[:12]) or "nothing"
        raise DataError(
            f"{root} has no folder {split!r} for this split (it has {found}); leave the split out or name one of them."
        )
    return folders[split]


def _wrapped(files: list[tuple[str, ...]]) -> str | None:
    """Return the folder to enter if the genre folders are one level deeper, None if they are on this level."""
    folders = {parts[0] for parts in files if len(parts) > 1}
    wrappers = folders - {parts[0] for parts in files if len(parts) == 2}  # a genre's folder directly contains audio
    known = [name for name in wrappers if name.lower() in _GTZAN_FOLDERS]
    if len(known) == 1:
        return known[0]
    return wrappers.pop() if len(folders) == 1 and wrappers else None


def _refuse(error: OSError) -> None:
    raise DataError(f"{error.filename} cannot be read: {error.strerror}; check its permissions.") from error


def audio_files(root: Path, on_error: Callable[[OSError], object] = _refuse) -> Iterator[tuple[tuple[str, ...], Path]]:
    """Walk a folder in the order of names; yield the path below it, in parts, and the full path of each audio file.

    Parameters
    ----------
    root : pathlib.Path
    on_error : callable
        Called with the error of each folder that cannot be listed; by default it raises a `DataError`.
    """
    walked = {root.resolve()}
    n_files = 0
    for folder, folders, files in os.walk(root, onerror=on_error, followlinks=True):
        below = Path(folder).relative_to(root).parts
        enter = []
        for name in sorted(name for name in folders if not name.startswith(".")):
            target = (Path(folder) / name).resolve()
            if target not in walked:
                walked.add(target)
                enter.append(name)
        folders[:] = enter
        n_files += len(files)
        if n_files > _MAX_WALKED:
            raise DataError(f"{root} has more than {_MAX_WALKED} files; give the folder that holds the music.")
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in AUDIO_SUFFIXES:
                yield (*below, name), Path(folder) / name


def match_genres(found: Iterable[str], known: Sequence[str], where: Path) -> dict[str, int]:
    """Return the index in ``known`` of each genre found, ignoring letter case, spaces and punctuation ("Hip-Hop" is "hiphop").

    Raises
    ------
    DataError
        If a genre is not among ``known``.
    """
    indices = {genre_key(genre): index for index, genre in reversed(list(enumerate(known)))}
    names = sorted(set(found))
    unknown = [name for name in names if genre_key(name) not in indices]
    if unknown:
        raise DataError(
            f"{where} has genres that the checkpoint does not know: {some(unknown, 20)} "
            f"(it knows {', '.join(known)}); rename or remove those folders, or choose another split or checkpoint."
        )
    return {name: indices[genre_key(name)] for name in names}


def genre_key(genre: str) -> str:
    """Return what the spellings of a genre have in common: its letters and digits, without case."""
    return "".join(letter for letter in name_key(genre) if letter.isalnum()) or genre
