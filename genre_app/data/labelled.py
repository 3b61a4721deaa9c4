"""Open labelled music for training: source, cache, split. `open_data` is the one call."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from genre_app.checkpoint_header import check_genres
from genre_app.data.cache.build import Entry
from genre_app.data.cache.feature_table import FeatureTable
from genre_app.data.cache.mel_cache import MelCache
from genre_app.data.cache.prepare import prepare
from genre_app.data.cache.store import differences
from genre_app.data.sources import open_source
from genre_app.data.sources.folder import AudioFolder
from genre_app.data.sources.gtzan import KNOWN_DAMAGED, gtzan_name
from genre_app.data.splits import SplitConfig, check_enough, divide, units_of
from genre_app.data.tracks import CachedTrack
from genre_app.errors import DataError
from genre_app.features import FeatureSpec
from genre_app.progress import QUIET, Monitor

_MAX_NOTES = 20  # of each kind


@dataclass(frozen=True)
class Data:
    """Labelled tracks that are ready for training.

    Attributes
    ----------
    store : MelCache or FeatureTable
        Holds the rows of the tracks.
    tracks : tuple of CachedTrack
        ``split`` is train, valid or test.
    genres : tuple of str
        Sorted.
    notes : tuple of str
        Sentences for the user: how the tracks were split, skipped files, copies, a leak.
    audio : dict
        Audio file of each track, by track id; empty if the source has no audio.
    music : dict
        Number for each track, by track id. Tracks with the same music have the same number; each piece has its own.
    """

    store: MelCache | FeatureTable
    tracks: tuple[CachedTrack, ...]
    genres: tuple[str, ...]
    notes: tuple[str, ...]
    audio: dict[str, Path] = field(default_factory=dict)
    music: dict[str, int] = field(default_factory=dict)

    def of(self, split: str) -> list[CachedTrack]:
        """Return the tracks of a split, in the order of the store's index."""
        return [track for track in self.tracks if track.split == split]


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
    """Open labelled music and split its tracks; download, unpack and decode it first if needed.

    Parameters
    ----------
    source : str or pathlib.Path
        Anything that `genre_app.data.sources.open_source` opens.
    spec : FeatureSpec
        Input of the model; decides what is computed from audio.
    split : SplitConfig
    seed : int
        Seed of a random split.
    work : pathlib.Path
        Folder in which prepared data are kept and found again.
    processes : int, optional
        Number of decoding processes; by default one per core.
    retry : bool
        Whether to retry files that failed for a reason that may have passed. Must be False if the tracks must not change.
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
    found = open_source(source, work, monitor)
    if not isinstance(found, AudioFolder):
        _check_spec(found, spec)
        return _split(source, found, split, seed, {}, None)
    has_split = split.file is not None or split.trains_on_all or any(track.split for track in found.tracks)
    check_enough((track.genre for track in found.tracks), found.path, least=1 if has_split else 2)
    _check_names((track.genre for track in found.tracks), found.path, "rename or merge the folders")
    made = prepare(found.path, found.tracks, spec, work, processes=processes, retry=retry, monitor=monitor)
    try:
        return _split(source, made.store, split, seed, made.entries, found)
    except DataError as error:
        reasons = [entry.error for entry in made.entries.values() if entry.error]
        if not reasons:
            raise
        more = f"; and {len(reasons) - 3} more" if len(reasons) > 3 else ""
        raise DataError(f"{error} These cannot be used: {'; '.join(reasons[:3])}{more}.") from error


def _split(
    source: str | Path,
    store: MelCache | FeatureTable,
    split: SplitConfig,
    seed: int,
    entries: Mapping[str, Entry],
    folder: AudioFolder | None,
) -> Data:
    """Split the tracks of a store; ``entries`` and ``folder`` belong to a store that was computed from audio."""
    pieces = split.method == "pieces" and split.file is None
    if pieces:
        if not isinstance(store, FeatureTable):
            raise DataError("Only feature tables can be split into pieces; choose another split, or features of kind summary.")
        store = store.pieces()
    check_enough((track.genre for track in store.tracks), source, least=1)
    _check_names((track.genre for track in store.tracks), source, "rename or merge them there")
    # A digest of the decoded samples where this program decoded the track, otherwise of its rows.
    content = {name: entry.content for name, entry in entries.items()}
    content |= {track.track_id: store.digest(track) for track in store.tracks if track.track_id not in content}
    skipped = [track_id for track_id, entry in entries.items() if entry.error]
    splits, notes = divide(store.tracks, split, seed=seed, content=content, skipped=skipped)
    if isinstance(store, FeatureTable):
        notes += store.notes
    if folder is not None:
        notes += _file_notes(folder, entries)
    if not pieces:
        notes += _copy_notes(store.tracks, content)
    used = [track for track in store.tracks if track.track_id in splits]
    tracks = tuple(track.model_copy(update={"split": splits[track.track_id]}) for track in used)
    check_enough((track.genre for track in tracks), f"{source}, as it is divided,", least=1)
    units = [[track] for track in tracks] if pieces else units_of(tracks, content)
    return Data(
        store=replace(store, tracks=tracks),
        tracks=tracks,
        genres=tuple(sorted({track.genre for track in tracks})),
        notes=tuple(notes),
        audio={track.track_id: track.path for track in folder.tracks if track.track_id in splits} if folder else {},
        music={track.track_id: number for number, unit in enumerate(units) for track in unit},
    )


def _check_spec(store: MelCache | FeatureTable, spec: FeatureSpec) -> None:
    """Check that a store has what the specification asks for."""
    if isinstance(store, MelCache):
        store.check_spec(spec, "the recipe has it", "take the data's columns with --columns data", "give the audio itself")
    elif spec.kind != "summary":
        raise DataError(
            f"{store.path} is a feature table and has no spectrograms, which features of kind {spec.kind} need; "
            "give audio or a mel cache, or choose a model for features of kind summary."
        )
    elif store.spec is not None and (differing := differences(store.spec, spec, FeatureSpec.model_fields)):
        raise DataError(f"{store.path} was not made as the recipe has it: {differing}; give the audio itself.")


def _check_names(genres: Iterable[str], where: object, remedy: str) -> None:
    """Refuse genre names that a checkpoint cannot store; after training it would be too late."""
    try:
        check_genres(sorted(set(genres)))
    except ValueError as error:
        raise DataError(f"{where} has genres that no checkpoint can name: {error}; {remedy}.") from error


def _file_notes(folder: AudioFolder, entries: Mapping[str, Entry]) -> list[str]:
    skipped = [f"Skipped: {reason}." for _, reason in folder.refused]
    damaged = []
    for track_id, entry in sorted(entries.items()):
        if entry.error:
            known = KNOWN_DAMAGED.get(gtzan_name(track_id) or "")
            skipped.append(f"Skipped: {entry.error}{f' ({known})' if known else ''}.")
        if entry.damage:
            damaged.append(f"Used in part: {track_id}, {entry.damage}.")
    notes = _first(skipped, "Skipped: {} more files.") + _first(damaged, "Used in part: {} more files.")
    if folder.n_outside:
        notes.append(f"Left out, since they are in no genre folder: {folder.n_outside} audio files.")
    return notes


def _copy_notes(tracks: Sequence[CachedTrack], content: Mapping[str, str]) -> list[str]:
    groups: dict[str, list[CachedTrack]] = defaultdict(list)
    for track in tracks:
        groups[content[track.track_id]].append(track)
    notes = []
    for group in groups.values():
        if len(group) > 1:
            genres = sorted({track.genre for track in group})
            odd = f", in different genres: {', '.join(genres)}" if len(genres) > 1 else ""
            notes.append(f"Exact copies of each other: {', '.join(track.track_id for track in group)}{odd}.")
    return _first(notes, "There are {} more groups of exact copies.")


def _first(notes: list[str], more: str) -> list[str]:
    return notes[:_MAX_NOTES] + ([more.format(len(notes) - _MAX_NOTES)] if len(notes) > _MAX_NOTES else [])
