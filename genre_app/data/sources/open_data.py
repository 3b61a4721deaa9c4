"""Open whatever holds labelled music: folders, zips, caches, tables, data sets of the hub. One call, whatever it is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from genre_app.checkpoint_file import check_genres
from genre_app.data.cache.mel_cache import CachedTrack, MelCache
from genre_app.data.cache.prepare import Entry, prepare, write_view
from genre_app.data.sources.archive import unpack
from genre_app.data.sources.folder import AudioFolder
from genre_app.data.sources.gtzan import KNOWN_DAMAGED, gtzan_name
from genre_app.data.sources.hub import fetch, repository_of
from genre_app.data.sources.table import FeatureTable
from genre_app.data.splits import SplitConfig, check_enough, copies, divide, units_of
from genre_app.errors import DataError
from genre_app.features import COLUMN_FIELDS, FeatureSpec
from genre_app.files import expanded
from genre_app.progress import QUIET, Monitor, Progress, StoppedError

__all__ = ["Data", "Progress", "StoppedError", "check_place", "open_data"]

_KNOWN = "give a folder of genre folders, a zip of one, a mel cache, features_3_sec.csv or hub:OWNER/NAME"
_TABLES = ("features_3_sec.csv", "features_30_sec.csv")
_SHOWN = 20  # sentences of a kind among the notes


@dataclass(frozen=True)
class Data:
    """Labelled tracks that are ready to learn from.

    Attributes
    ----------
    store : MelCache or FeatureTable
        Where the rows of the tracks are. Of audio it is a cache in the work folder, whose index has the same splits as here, so
        that `genre_app.evaluation.evaluate` takes its path.
    tracks : tuple of CachedTrack
        ``split`` is train, valid or test.
    genres : tuple of str
        Sorted.
    notes : tuple of str
        Sentences for the user: how the tracks were divided, what was skipped, copies, a leak.
    audio : dict
        Audio file of each track, by its id; empty where there is none.
    music : dict
        A number for each track, by its id, which those share that hold the same music; pieces have their own.
    """

    store: MelCache | FeatureTable
    tracks: tuple[CachedTrack, ...]
    genres: tuple[str, ...]
    notes: tuple[str, ...]
    audio: dict[str, Path] = field(default_factory=dict)
    music: dict[str, int] = field(default_factory=dict)

    def of(self, split: str) -> list[CachedTrack]:
        """Return the tracks of a split, in the order of their ids."""
        return [track for track in self.tracks if track.split == split]


@dataclass(frozen=True)
class _Opened:
    """A store before its tracks are divided."""

    store: MelCache | FeatureTable
    notes: tuple[str, ...] = ()
    audio: Mapping[str, Path] = field(default_factory=dict)
    entries: Mapping[str, Entry] = field(default_factory=dict)


def open_data(
    source: str | Path,
    spec: FeatureSpec,
    split: SplitConfig,
    *,
    seed: int,
    work: Path,
    processes: int | None = None,
    retry: bool = True,
    monitor: Monitor = QUIET,
) -> Data:
    """Open labelled music, after unpacking, downloading and decoding what was not before, and divide its tracks.

    Parameters
    ----------
    source : str or pathlib.Path
        A folder of genre folders (also below others, as GTZAN's are), a zip, a mel cache, a feature table or its CSV, or
        ``hub:OWNER/NAME``.
    spec : FeatureSpec
        What the model takes; decides what is computed from audio.
    split : SplitConfig
    seed : int
        Of a random split.
    work : pathlib.Path
        Folder where what is made is kept and found again.
    processes : int, optional
        That decode; by default as many as there are cores.
    retry : bool
        Try files again that failed for a reason that may have passed. Not where the tracks must stay as they were.
    monitor : Monitor

    Returns
    -------
    Data

    Raises
    ------
    DataError
        If the source cannot be used; one sentence.
    StoppedError
        If ``monitor`` says so.
    """
    work = Path(work)
    path = _local(source, work, monitor)
    found = _find(path, spec)
    if isinstance(found, AudioFolder):
        folder = found
        states_split = split.file is not None or any(track.split for track in folder.tracks)
        check_enough((track.genre for track in folder.tracks), folder.path, least=1 if states_split else 2)
        _check_names((track.genre for track in folder.tracks), folder.path, "rename or merge the folders")
        made = prepare(folder, spec, work, processes=processes, retry=retry, monitor=monitor)
        store = FeatureTable.open(made.path) if spec.kind == "summary" else MelCache.open(made.path)
        audio = {track.track_id: track.path for track in folder.tracks}
        opened = _Opened(store, _notes_of_files(folder, made.entries), audio, made.entries)
    else:
        opened = found
    try:
        return _divided(source, opened, split, seed)
    except DataError as error:
        wrong = [entry.error for entry in opened.entries.values() if entry.error]
        if not wrong:
            raise
        more = f"; and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise DataError(f"{error} These cannot be used: {'; '.join(wrong[:3])}{more}.") from error


def _divided(source: str | Path, opened: _Opened, split: SplitConfig, seed: int) -> Data:
    store = opened.store
    if split.method == "pieces" and split.file is None:
        if not isinstance(store, FeatureTable):
            raise DataError("Only feature tables can be split into pieces; choose another split, or features of kind summary.")
        store = store.pieces()
    check_enough((track.genre for track in store.tracks), source, least=1)
    _check_names((track.genre for track in store.tracks), source, "rename or merge them there")
    content = _content(store, opened.entries)
    skipped = [track_id for track_id, entry in opened.entries.items() if entry.error]
    splits, notes = divide(store.tracks, split, seed=seed, content=content, skipped=skipped)
    tracks = tuple(
        track.model_copy(update={"split": splits[track.track_id]}) for track in store.tracks if track.track_id in splits
    )
    check_enough((track.genre for track in tracks), f"{source}, as it is divided,", least=1)
    if opened.entries:
        store = type(store).open(write_view(store.path, tracks))
    used = {track.track_id for track in tracks}
    units = [[track] for track in tracks] if split.method == "pieces" else units_of(tracks, content)
    return Data(
        store=store,
        tracks=tracks,
        genres=tuple(sorted({track.genre for track in tracks})),
        notes=(*notes, *opened.notes, *_notes_of_copies(opened.store.tracks, content)),
        audio={track_id: file for track_id, file in opened.audio.items() if track_id in used},
        music={track.track_id: number for number, unit in enumerate(units) for track in unit},
    )


def check_place(source: str | Path) -> None:
    """Refuse at once, before anything is made of it, a source that is not there.

    Raises
    ------
    DataError
        If there is nothing, or no kind of data.
    """
    if not isinstance(source, str) or repository_of(source) is None:
        _there(source)


def _there(source: str | Path) -> Path:
    path = expanded(source)
    try:
        exists, is_file = path.exists(), path.is_file()
    except (OSError, ValueError):  # a null byte, or too long
        exists = is_file = False
    if not exists:
        raise DataError(f"There is no {path}; {_KNOWN}.")
    if is_file and path.suffix.lower() not in (".zip", ".csv"):
        raise DataError(f"{path} is not a kind of data that can be opened; {_KNOWN}.")
    return path


def _local(
    source: str | Path,
    work: Path,
    monitor: Monitor,
) -> Path:
    """Return a folder or a CSV, after downloading or unpacking it."""
    repository = repository_of(source) if isinstance(source, str) else None
    if repository is not None:
        return fetch(repository, work, monitor=monitor)
    path = _there(source)
    if path.suffix.lower() == ".zip" and path.is_file():
        return unpack(path, work, monitor=monitor)
    return path


def _find(path: Path, spec: FeatureSpec) -> _Opened | AudioFolder:
    """Return the cache, the audio or the table that a path leads to: the first of these that it has."""
    if path.is_file():
        return _opened_table(FeatureTable.open(path), spec)
    for folder in (path, *_only_folder(path)):
        if MelCache.is_cache(folder):
            cache = MelCache.open(folder)
            _check_columns(cache, spec)
            return _Opened(cache)
        if FeatureTable.is_table(folder):
            return _opened_table(FeatureTable.open(folder), spec)
    try:
        return AudioFolder.find(path)
    except DataError:
        tables = [table for name in _TABLES for table in sorted(path.rglob(name))]
        if not tables:
            raise
        return _opened_table(FeatureTable.open(tables[0]), spec)


def _only_folder(path: Path) -> list[Path]:
    """Return the folder that a folder wraps, if that is all there is in it."""
    try:
        inner = [entry for entry in path.iterdir() if not entry.name.startswith((".", "__"))]
    except OSError:
        return []  # which listing its audio will tell
    return inner if len(inner) == 1 and inner[0].is_dir() else []


def _opened_table(table: FeatureTable, spec: FeatureSpec) -> _Opened:
    if spec.kind != "summary":
        raise DataError(
            f"{table.path} is a feature table and has no spectrograms, which features of kind {spec.kind} need; "
            "give audio or a mel cache, or choose a model for features of kind summary."
        )
    if table.spec is not None and table.spec != spec:
        differing = _differences(table.spec, spec, [name for name in FeatureSpec.model_fields if name != "kind"])
        raise DataError(f"{table.path} was not made as the recipe has it: {differing}; give the audio itself.")
    return _Opened(table, table.notes)


def _check_columns(cache: MelCache, spec: FeatureSpec) -> None:
    if spec.kind == "summary":
        raise DataError(
            f"{cache.path} is a mel cache, from which features of kind summary cannot be computed; give the audio itself or "
            "a features CSV."
        )
    differing = _differences(cache.spec, spec, COLUMN_FIELDS)
    if differing:
        raise DataError(
            f"{cache.path} was not made as the recipe has it: {differing}; take the data's columns with --columns data, or "
            "give the audio itself."
        )


def _check_names(genres: Iterable[str], where: object, remedy: str) -> None:
    """Refuse now what the checkpoint, after all the training, could not name."""
    try:
        check_genres(sorted(set(genres)))
    except ValueError as error:
        raise DataError(f"{where} has genres that no checkpoint can name: {error}; {remedy}.") from error


def _differences(theirs: FeatureSpec, ours: FeatureSpec, names: Sequence[str]) -> str:
    return ", ".join(
        f"{name} {getattr(theirs, name)} instead of {getattr(ours, name)}"
        for name in names
        if getattr(theirs, name) != getattr(ours, name)
    )


def _content(store: MelCache | FeatureTable, entries: Mapping[str, Entry]) -> dict[str, str]:
    """Return a digest of each track: of its decoded samples where this program decoded them, else of its rows."""
    rows = store.values if isinstance(store, FeatureTable) else store.log_mel
    return {
        track.track_id: entries[track.track_id].content
        if track.track_id in entries
        else hashlib.blake2b(rows[track.offset : track.offset + track.n_frames].tobytes(), digest_size=16).hexdigest()
        for track in store.tracks
    }


def _notes_of_files(folder: AudioFolder, entries: Mapping[str, Entry]) -> tuple[str, ...]:
    reasons = [*folder.refused]
    for track_id, entry in sorted(entries.items()):
        if entry.error:
            known = KNOWN_DAMAGED.get(gtzan_name(track_id) or "")
            reasons.append((track_id, entry.error + (f" ({known})" if known else "")))
    notes = [f"Skipped: {reason}." for _, reason in reasons]
    notes = notes[:_SHOWN] + ([f"Skipped: {len(notes) - _SHOWN} more files."] if len(notes) > _SHOWN else [])
    damaged = [f"Used as far as it goes: {name}, {entry.damage}." for name, entry in sorted(entries.items()) if entry.damage]
    notes += damaged[:_SHOWN] + ([f"So were {len(damaged) - _SHOWN} more files."] if len(damaged) > _SHOWN else [])
    if folder.n_outside:
        notes.append(f"Audio files that lie in no genre's folder and were left out: {folder.n_outside}.")
    return tuple(notes)


def _notes_of_copies(tracks: Sequence[CachedTrack], content: Mapping[str, str]) -> list[str]:
    if any(track.track_id not in content for track in tracks):
        return []  # divided into pieces, of which nothing is asked
    groups = copies(tracks, content)
    notes = []
    for group in groups[:_SHOWN]:
        genres = sorted({track.genre for track in group})
        odd = f", and are in different genres: {', '.join(genres)}" if len(genres) > 1 else ""
        notes.append(f"Exact copies of each other: {', '.join(track.track_id for track in group)}{odd}.")
    return notes + ([f"There are {len(groups) - _SHOWN} more groups of exact copies."] if len(groups) > _SHOWN else [])
