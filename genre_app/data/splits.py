"""Split tracks into ``train``, ``valid`` and ``test`` without a leak.

Tracks with the same music stay in one split: exact copies, and pieces of one GTZAN track, recognised by their names. A split
stated by the user or the data is refused if it separates them.
"""

from __future__ import annotations

import csv
import hashlib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from genre_app.data.sources.gtzan import fault_filtered, gtzan_name
from genre_app.data.tracks import SPLITS, CachedTrack, split_of_name
from genre_app.errors import DataError, some

Division = tuple[dict[str, str], list[str]]
"""Split of each track, by track id; and sentences for the user."""


class SplitConfig(BaseModel):
    """How tracks are divided into ``train``, ``valid`` and ``test``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["auto", "stratified", "pieces", "none"] = Field(
        "auto",
        description="auto: the data's own split; for GTZAN its fault-filtered split; otherwise stratified. "
        "stratified: random whole tracks, the same shares of each genre. "
        "pieces: random pieces, so that one track is in train and valid; a leak that some papers have. "
        "none: all tracks are training tracks, for the last training with chosen settings; nothing is measured",
    )
    train: float = Field(0.7, gt=0, lt=1, description="share of the tracks to train on, if the split is stratified")
    valid: float = Field(0.15, gt=0, lt=1, description="share of the tracks for validation; the rest is the test split")
    file: Path | None = Field(None, description="CSV with the columns track_id and split; replaces the other settings")

    @property
    def trains_on_all(self) -> bool:
        """Whether each track is a training track."""
        return self.method == "none" and self.file is None

    @model_validator(mode="after")
    def _consistent(self) -> SplitConfig:
        if self.train + self.valid > 1 + 1e-9:
            raise ValueError(f"train + valid must not exceed 1, got {self.train} + {self.valid}")
        return self


def divide(
    tracks: Sequence[CachedTrack], config: SplitConfig, *, seed: int, content: Mapping[str, str], skipped: Collection[str] = ()
) -> Division:
    """Put each track into a split.

    Parameters
    ----------
    tracks : sequence of CachedTrack
        ``split`` is the split stated by the data, or empty.
    config : SplitConfig
    seed : int
        Seed of a stratified split. That split depends only on the seed and the names, so one more track moves few others.
    content : mapping
        Digest of each track's music, by track id; only exact copies have the same.
    skipped : collection of str
        Ids of unusable tracks that the user's CSV may name.

    Returns
    -------
    splits : dict
        ``train``, ``valid`` or ``test``, by track id; tracks that are left out are missing.
    notes : list of str
        Sentences for the user about the split.

    Raises
    ------
    DataError
        If a stated split cannot be used or separates tracks with the same music, or a genre has too few tracks.
    """
    if config.file is not None:
        return _stated(tracks, _read(config.file, tracks, skipped), content, f"the split file {config.file.name}")
    if config.trains_on_all:
        return {track.track_id: "train" for track in tracks}, [
            "All tracks are training tracks, so nothing is measured on others."
        ]
    if config.method == "pieces":
        splits = _stratified([[track] for track in tracks], config, seed)
        leak = "a leak: pieces of one track are in train and valid, so the results are too good and say little about new music"
        return splits, [f"Random split of pieces ({_counts(splits)}), {leak}."]
    units = units_of(tracks, content)
    if config.method == "auto":
        own = {track.track_id: split for track in tracks if (split := split_of_name(track.split))}
        if len(set(own.values())) > 1:
            return _own(tracks, own, config, seed, content)
        names = {track.track_id: name for track in tracks if (name := gtzan_name(track.track_id))}
        if len(names) > len(tracks) / 2:
            lists = fault_filtered()
            filtered = {track_id: lists[name] for track_id, name in names.items() if name in lists}
            if "valid" in filtered.values() and {track.genre for track in tracks} == _genres(tracks, filtered, "train"):
                return _stated(tracks, filtered, content, "GTZAN's fault-filtered lists (Kereliuk et al. 2015)")
            splits, notes = _stratified_with_note(units, config, seed)
            lacks = "it leaves no validation tracks here, or no training tracks of a genre"
            return splits, [f"GTZAN's fault-filtered split was not used: {lacks}.", *notes]
    return _stratified_with_note(units, config, seed)


def check_enough(genres: Iterable[str], where: object, *, least: int) -> None:
    """Check that there are at least two genres, each with ``least`` tracks.

    Raises
    ------
    DataError
    """
    counts = Counter(genres)
    if len(counts) == 1:
        raise DataError(f"{where} has only one genre, {next(iter(counts))}; a classifier needs at least two.")
    poor = sorted(genre for genre, count in counts.items() if count < least)
    if poor:
        raise DataError(
            f"{where} has fewer than {least} tracks of {some(poor, 10)}; each genre needs one for training and one for "
            "validation, so add tracks or leave the genre out."
        )


def units_of(tracks: Sequence[CachedTrack], content: Mapping[str, str]) -> list[list[CachedTrack]]:
    """Group the tracks with the same music, recognised by content or by GTZAN's name of the track."""
    from scipy.cluster.hierarchy import DisjointSet  # slow to import, and the page needs only `SplitConfig`

    same = DisjointSet(range(len(tracks)))
    first: dict[str, int] = {}
    for index, track in enumerate(tracks):
        name = gtzan_name(track.track_id)
        for key in (f"content {content[track.track_id]}", *([f"name {name}"] if name else [])):
            same.merge(first.setdefault(key, index), index)
    units: dict[int, list[CachedTrack]] = defaultdict(list)
    for index, track in enumerate(tracks):
        units[same[index]].append(track)
    return list(units.values())


def _stratified(units: Sequence[Sequence[CachedTrack]], config: SplitConfig, seed: int) -> dict[str, str]:
    by_genre: dict[str, list[Sequence[CachedTrack]]] = defaultdict(list)
    for unit in units:
        by_genre[min(track.genre for track in unit)].append(unit)
    for genre in sorted({track.genre for unit in units for track in unit}):
        if len(by_genre[genre]) < 2:
            raise DataError(
                f"The genre {genre} has no two different tracks, one for training and one for validation; add a track or leave "
                "the genre out."
            )
    splits: dict[str, str] = {}
    for of_genre in by_genre.values():
        order = sorted(of_genre, key=lambda unit: _rank(min(track.track_id for track in unit), seed))
        n_valid = min(max(1, round(config.valid * len(order))), len(order) - 1)
        n_test = min(round((1.0 - config.train - config.valid) * len(order)), len(order) - 1 - n_valid)
        for place, unit in enumerate(order):
            split = "valid" if place < n_valid else "test" if place < n_valid + n_test else "train"
            splits.update((track.track_id, split) for track in unit)
    return splits


def _rank(name: str, seed: int) -> bytes:
    # A hash instead of a shuffle gives the same order on every machine and with every version of the libraries.
    return hashlib.blake2b(f"{seed} {name}".encode("utf-8", "surrogateescape"), digest_size=16).digest()


def _stratified_with_note(units: Sequence[Sequence[CachedTrack]], config: SplitConfig, seed: int) -> Division:
    splits = _stratified(units, config, seed)
    notes = [f"Split at random by track, each genre alike ({_counts(splits)})."]
    if any(gtzan_name(track_id) for track_id in splits):
        notes.append("GTZAN has many tracks of the same artists, and a random split separates them: the results are too good.")
    return splits, notes


def _own(
    tracks: Sequence[CachedTrack], own: dict[str, str], config: SplitConfig, seed: int, content: Mapping[str, str]
) -> Division:
    if "train" not in own.values():
        raise DataError("The data state a split without training tracks; choose the stratified split or give a split file.")
    if "valid" in own.values():
        return _stated(tracks, own, content, "the data's own split")
    learned = [track for track in tracks if own.get(track.track_id) == "train"]
    share = config.valid / (config.train + config.valid)
    taken = SplitConfig(method="stratified", train=1.0 - share, valid=share)
    divided = own | _stratified(units_of(learned, content), taken, seed)
    splits, notes = _stated(tracks, divided, content, "the data's own split, which has no validation")
    return splits, [*notes, "The same share of each genre's training tracks was set aside for validation."]


def _stated(tracks: Sequence[CachedTrack], splits: dict[str, str], content: Mapping[str, str], whose: str) -> Division:
    for unit in units_of([track for track in tracks if track.track_id in splits], content):
        sides = {splits[track.track_id]: track.track_id for track in unit}
        if len(sides) > 1:
            (one, first), (other, second) = sorted(sides.items())[:2]
            raise DataError(
                f"By {whose}, {first} is in {one} and {second} in {other}, but they hold the same music; put both on one "
                "side, remove one of them, or choose the stratified split."
            )
    unlearned = _genres(tracks, splits, *SPLITS) - _genres(tracks, splits, "train")
    unchecked = _genres(tracks, splits, "train") - _genres(tracks, splits, "valid")
    if unlearned or "valid" not in splits.values():
        lacks = f"no training track of {', '.join(sorted(unlearned))}" if unlearned else "no validation track"
        raise DataError(f"By {whose} there is {lacks}; name one, or choose the stratified split.")
    notes = [f"Split by {whose} ({_counts(splits)})."]
    if unchecked:
        lacks = f"no validation track of {', '.join(sorted(unchecked))}"
        notes.append(f"There is {lacks}, so the accuracy does not cover it, and the knn vote never answers with it.")
    left_out = [track.track_id for track in tracks if track.track_id not in splits]
    if left_out:
        notes.append(f"{len(left_out)} tracks are in none of its splits and were left out: {some(left_out)}.")
    return splits, notes


def _genres(tracks: Sequence[CachedTrack], splits: Mapping[str, str], *of: str) -> set[str]:
    return {track.genre for track in tracks if splits.get(track.track_id) in of}


def _read(path: Path, tracks: Sequence[CachedTrack], skipped: Collection[str]) -> dict[str, str]:
    """Read the user's CSV. It may name a track by its id or its file name, each with or without the suffix."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or ()
            rows = [(reader.line_num, row.get("track_id") or "", row.get("split") or "") for row in reader]
    except FileNotFoundError as error:
        raise DataError(f"There is no split file {path}; check the path.") from error
    except (OSError, csv.Error, ValueError) as error:
        raise DataError(f"The split file {path} cannot be read as CSV text: {error}; save it as UTF-8.") from error
    lacking = [name for name in ("track_id", "split") if name not in columns]
    if lacking:
        raise DataError(f"The split file {path} has no column {lacking[0]}; its first line must be track_id,split.")
    known: dict[str, set[str]] = defaultdict(set)
    for track_id in [*(track.track_id for track in tracks), *skipped]:
        for alias in _aliases(track_id):
            known[unicodedata.normalize("NFC", alias)].add(track_id)
    splits: dict[str, str] = {}
    for line, name, stated in rows:
        split = split_of_name(stated)
        if split is None:
            raise DataError(f"The split file {path}, line {line}: {stated!r} is no split; write train, valid or test.")
        found = known.get(unicodedata.normalize("NFC", name), set())  # macOS may write the accents of a name in another form
        found = {name} if name in found else found
        if len(found) != 1:
            what = f"could be {some(sorted(found), 2)}" if found else "is no track of the data"
            raise DataError(f"The split file {path}, line {line}: {name!r} {what}; write the track's path below the folder.")
        (track_id,) = found
        if splits.setdefault(track_id, split) != split:
            raise DataError(f"The split file {path}, line {line}: {name} is in both {splits[track_id]} and {split}; keep one.")
    usable = {track.track_id for track in tracks}
    return {track_id: split for track_id, split in splits.items() if track_id in usable}


def _aliases(track_id: str) -> set[str]:
    path = PurePosixPath(track_id)
    aliases = {track_id, path.name, str(path.with_suffix("")) if path.suffix else track_id, path.stem}
    return aliases | ({name} if (name := gtzan_name(track_id)) else set())


def _counts(splits: Mapping[str, str]) -> str:
    counts = Counter(splits.values())
    return ", ".join(f"{counts[split]} {split}" for split in SPLITS)
