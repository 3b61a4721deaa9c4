"""Sources of labelled music, one file for each kind; `open_source` picks the one that fits."""

from pathlib import Path

from genre_app.data.cache.feature_table import FeatureTable
from genre_app.data.cache.mel_cache import MelCache
from genre_app.data.sources.archive import unpack
from genre_app.data.sources.folder import AudioFolder, NoAudioError
from genre_app.data.sources.hub import fetch, repository_of
from genre_app.data.sources.table import read_csv
from genre_app.errors import DataError
from genre_app.files import expanded
from genre_app.progress import Monitor

_KNOWN = "give a folder of genre folders, a zip of one, a mel cache, features_3_sec.csv or hub:OWNER/NAME"
_TABLES = ("features_3_sec.csv", "features_30_sec.csv")


def open_source(source: str | Path, work: Path, monitor: Monitor) -> AudioFolder | MelCache | FeatureTable:
    """Open labelled music; download or unpack it first if needed.

    Parameters
    ----------
    source : str or pathlib.Path
        A folder of genre folders (also inside other folders, as in GTZAN), a zip, a mel cache, a feature table or its CSV, or
        ``hub:OWNER/NAME``.
    work : pathlib.Path
        Folder for downloads and unpacked files.
    monitor : Monitor

    Raises
    ------
    DataError
        If the source does not exist or cannot be used.
    StoppedError
    """
    repository = _repository(source)
    path = fetch(repository, work, monitor=monitor) if repository else _existing(source)
    if path.is_file():
        if path.suffix.lower() == ".csv":
            return read_csv(path)
        path = unpack(path, work, monitor=monitor)
    for folder in (path, *_only_folder(path)):
        for kind in (MelCache, FeatureTable):
            if kind.is_cache(folder):
                return kind.open(folder)
    try:
        return AudioFolder.find(path)
    except NoAudioError:
        tables = [table for name in _TABLES for table in sorted(path.rglob(name))]
        if not tables:
            raise
        return read_csv(tables[0])


def check_place(source: str | Path) -> None:
    """Check that a source exists, without opening it.

    Raises
    ------
    DataError
        If it does not exist or is no kind of data that can be opened.
    """
    if _repository(source) is None:
        _existing(source)


def _repository(source: str | Path) -> str | None:
    return repository_of(source) if isinstance(source, str) else None


def _existing(source: str | Path) -> Path:
    path = expanded(source)
    try:
        exists, is_file = path.exists(), path.is_file()
    except (OSError, ValueError):  # a null byte in the name, or a name that is too long
        exists = is_file = False
    if not exists:
        raise DataError(f"There is no {path}; {_KNOWN}.")
    if is_file and path.suffix.lower() not in (".zip", ".csv"):
        raise DataError(f"{path} is not a kind of data that can be opened; {_KNOWN}.")
    return path


def _only_folder(path: Path) -> list[Path]:
    """Return the only visible entry of a folder if that is a folder."""
    try:
        inner = [entry for entry in path.iterdir() if not entry.name.startswith((".", "__"))]
    except OSError:
        return []  # listing the audio will report it
    return inner if len(inner) == 1 and inner[0].is_dir() else []
