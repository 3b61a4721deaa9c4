"""Decode a folder of audio once into a cache that opens in no time: a mel cache, or a feature table.

A cache is a folder ``<kind>-<source and spec>-<files>`` in the work folder; its name holds digests of where the audio is, how
rows are computed, and path, size and time of each file, so that a cache is reused exactly as long as nothing changed. While it
is made its name ends in ``.part``, and a journal tells what is done: a killed process loses the files that it was at, no more.
What an older cache of the same source has of files that did not change is copied from there. A file that failed for a reason
that may pass, such as too little memory, is tried again whenever a cache is made, and after an hour where it is complete.
"""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError

from genre_app.data.cache import mel_cache
from genre_app.data.cache.mel_cache import CachedTrack
from genre_app.data.cache.row_file import RowFile
from genre_app.data.cache.rows import Rows, stated_spec
from genre_app.data.cache.workers import read_all, usable_processes
from genre_app.data.sources import table
from genre_app.data.sources.folder import AudioFolder, AudioTrack
from genre_app.errors import DataError
from genre_app.features import FeatureSpec
from genre_app.progress import QUIET, Meter, Monitor

MAX_FILES = 200_000
SOURCE = "source.txt"
"""The file of a cache that says which folder the audio was in."""

_JOURNAL = "journal.jsonl"
_RETRY_SECONDS = 3600.0
_DAMAGED = "decoded only in part"


class Entry(BaseModel):
    """A line of the journal: one file, as it was when it was decoded, and its rows, or why there are none."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    track_id: str
    stamp: tuple[int, int, bool]  # size in bytes, time of the last change in ns, whether it may be read
    offset: int = 0
    n_rows: int = 0
    content: str = ""
    damage: str = ""
    error: str = ""
    passing: bool = False  # the error may be gone at another try


@dataclass(frozen=True)
class Prepared:
    """A cache that is complete.

    Attributes
    ----------
    path : pathlib.Path
        Opens as a `MelCache` or a `FeatureTable`.
    entries : dict
        What became of each file, by the track's id.
    """

    path: Path
    entries: dict[str, Entry]


def prepare(
    folder: AudioFolder,
    spec: FeatureSpec,
    work: Path,
    *,
    processes: int | None = None,
    retry: bool = True,
    monitor: Monitor = QUIET,
) -> Prepared:
    """Make the cache of a folder, or find it made.

    Parameters
    ----------
    folder : AudioFolder
    spec : FeatureSpec
        Kind ``summary`` makes a feature table, all others a mel cache.
    work : pathlib.Path
        Folder of the caches; made if missing.
    processes : int, optional
        By default as many as there are cores, and none where the files are few.
    retry : bool
        Try files again that a complete cache lacks for a reason that may have passed.
    monitor : Monitor

    Returns
    -------
    Prepared

    Raises
    ------
    DataError
        If there are too many files, not one can be decoded, or the disk is full.
    StoppedError
        If ``monitor`` says so.
    """
    if len(folder.tracks) > MAX_FILES:
        raise DataError(f"{folder.path} has more than {MAX_FILES} audio files; give a smaller part of it.")
    stated = stated_spec(spec)
    unnamed = [track for track in folder.tracks if not _is_text(track.track_id)]
    tracks = [track for track in folder.tracks if _is_text(track.track_id)]
    stamps = {track.track_id: _stamp(track.path) for track in tracks}
    name = f"{'table' if spec.kind == 'summary' else 'mel'}-{_digest([str(folder.path.resolve()), stated])}"
    meter = Meter("decoding tracks", len(stamps), sum(size for size, _, _ in stamps.values()), monitor)
    try:
        work.mkdir(parents=True, exist_ok=True)
        with locked(work / f"{name}.lock", meter):
            done = work / f"{name}-{_digest(sorted(stamps.items()))}"
            if not _is_complete(done) or (retry and _has_recovered(done, tracks, stamps, spec, meter)):
                part = work / f"{name}.part"
                part.mkdir(exist_ok=True)
                (part / SOURCE).write_bytes(os.fsencode(folder.path.resolve()))
                _make(tracks, stamps, spec, part, sorted(work.glob(f"{name}-*")), processes, meter)
                shutil.rmtree(done, ignore_errors=True)
                part.replace(done)
                for old in work.glob(f"{name}-*"):
                    if old != done:
                        shutil.rmtree(old, ignore_errors=True)
            return Prepared(done, _journal(done, stamps) | {track.track_id: _unnamed(track) for track in unnamed})
    except OSError as error:
        what = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror or str(error)
        raise DataError(
            f"The prepared data cannot be written to {work}: {what}; make room or choose another folder, what is done is kept."
        ) from error


@contextmanager
def locked(path: Path, meter: Meter) -> Iterator[None]:
    """Hold a lock that another process may have, and keep asking whether to stop while it does."""
    lock = FileLock(path)
    while not lock.is_locked:
        try:
            lock.acquire(timeout=0.5)
        except Timeout:
            meter.check()
    try:
        yield
    finally:
        lock.release()


def write_view(cache: Path, tracks: Sequence[CachedTrack]) -> Path:
    """Make a cache with the splits of these tracks in its index, which shares the rows of another, and return its path."""
    view = cache / "splits" / _digest([(track.track_id, track.split) for track in tracks])
    if not view.is_dir():
        part = view.with_suffix(f".{os.getpid()}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        _write_index(part / "index.csv", tracks)
        shutil.copyfile(cache / "spec.json", part / "spec.json")
        rows = "log_mel.npy" if (cache / "log_mel.npy").exists() else "values.npy"
        try:
            (part / rows).hardlink_to(cache / rows)
        except OSError:  # a file system without hard links
            shutil.copyfile(cache / rows, part / rows)
        try:
            part.replace(view)
        except OSError:
            shutil.rmtree(part, ignore_errors=True)
            if not view.is_dir():  # another process was faster if it is
                raise
    return view


def _make(
    tracks: Sequence[AudioTrack],
    stamps: Mapping[str, tuple[int, int, bool]],
    spec: FeatureSpec,
    part: Path,
    older: Sequence[Path],
    processes: int | None,
    meter: Meter,
) -> None:
    suspects = {name for folder in (part, *older) for name, entry in _journal(folder, stamps).items() if entry.passing}
    entries = {name: entry for name, entry in _journal(part, stamps).items() if not entry.passing}
    width, dtype = (spec.n_bins, "<f4") if spec.kind == "summary" else (spec.n_mels, "<f2")
    with (
        RowFile(part / _rows_file(spec), width, dtype) as rows,
        (part / _JOURNAL).open("a", encoding="utf-8") as journal,
    ):
        entries = {name: entry for name, entry in entries.items() if entry.offset + entry.n_rows <= rows.n_rows}
        journal.write("\n")  # ends what a killed process may have left of a line

        def note(entry: Entry, *, free: bool = False) -> None:
            entries[entry.track_id] = entry
            # The rows are in the file before the journal names them, so that a killed process leaves no entry without rows.
            journal.write(entry.model_dump_json() + "\n")
            journal.flush()
            meter.advance(1, entry.stamp[0], free=free)

        for entry in entries.values():
            meter.advance(1, entry.stamp[0], free=True)
        for cache in older:
            _copy(cache, stamps, entries, rows, spec, note)
        left = [track for track in tracks if track.track_id not in entries]
        n_processes = min(processes, len(left)) if processes is not None else usable_processes(len(left), spec)
        if any(track.track_id in suspects for track in left):
            n_processes = max(2, n_processes)  # what may crash its process must not crash this one

        for track, result in read_all(left, spec, n_processes, meter.monitor):
            found: dict[str, Any]
            if isinstance(result, Rows):
                damage = next((warning for warning in result.warnings if warning.startswith(_DAMAGED)), "")
                found = {
                    "offset": rows.append(result.values),
                    "n_rows": len(result.values),
                    "content": result.content,
                    "damage": damage,
                }
            else:
                found = {"error": result.reason, "passing": result.passing}
            note(Entry(track_id=track.track_id, stamp=stamps[track.track_id], **found))
    of_track = {track.track_id: track for track in tracks}
    index = [
        CachedTrack(
            track_id=track_id,
            genre=of_track[track_id].genre,
            split=of_track[track_id].split,
            offset=entry.offset,
            n_frames=entry.n_rows,
        )
        for track_id, entry in sorted(entries.items())
        if entry.n_rows
    ]
    if not index:
        reasons = [entry.error for entry in entries.values()] or ["its name is not valid UTF-8; rename the file"]
        raise DataError(f"Not one of the audio files can be used; the first of {len(reasons)} reasons: {reasons[0]}.")
    _write_index(part / "index.csv", index)
    (part / "spec.json").write_text(json.dumps(stated_spec(spec), indent=2), encoding="utf-8")


def _copy(
    cache: Path,
    stamps: Mapping[str, tuple[int, int, bool]],
    entries: Mapping[str, Entry],
    rows: RowFile,
    spec: FeatureSpec,
    note: Callable[..., None],
) -> None:
    """Take over what a finished cache has of files that did not change."""
    journal = _journal(cache, stamps).items()
    known = {track_id: entry for track_id, entry in journal if track_id not in entries and not entry.passing}
    if not known or not _is_complete(cache):
        return
    try:
        values: Any = (table.FeatureTable if spec.kind == "summary" else mel_cache.MelCache).open(cache)
        stored = values.values if spec.kind == "summary" else values.log_mel
    except DataError:
        return  # it is damaged, and decoding makes all of it again
    for entry in known.values():
        offset = rows.append(stored[entry.offset : entry.offset + entry.n_rows]) if entry.n_rows else 0
        note(entry.model_copy(update={"offset": offset}), free=True)


def _has_recovered(
    cache: Path,
    tracks: Sequence[AudioTrack],
    stamps: Mapping[str, tuple[int, int, bool]],
    spec: FeatureSpec,
    meter: Meter,
) -> bool:
    """Whether a file that a finished cache lacks for a passing reason can be decoded now; tried once an hour."""
    failed = {track_id for track_id, entry in _journal(cache, stamps).items() if entry.passing}
    if not failed or time.time() - (cache / _JOURNAL).stat().st_mtime < _RETRY_SECONDS:
        return False

    again = [track for track in tracks if track.track_id in failed]
    if any(
        isinstance(result, Rows) for _, result in read_all(again, spec, 2, meter.monitor)
    ):  # 2: a crash must not reach this one
        return True
    (cache / _JOURNAL).touch()
    return False


def _journal(folder: Path, stamps: Mapping[str, tuple[int, int, bool]]) -> dict[str, Entry]:
    """Read what is known of the files that are still the same."""
    entries: dict[str, Entry] = {}
    try:
        lines = (folder / _JOURNAL).read_bytes().splitlines()
    except OSError:
        return entries
    for line in lines:
        try:
            entry = Entry.model_validate_json(line)
        except ValidationError:
            continue  # what a killed process left of a line
        if stamps.get(entry.track_id) == entry.stamp:
            entries[entry.track_id] = entry
    return entries


def _rows_file(spec: FeatureSpec) -> str:
    return "values.npy" if spec.kind == "summary" else "log_mel.npy"


def _is_complete(folder: Path) -> bool:
    is_one = mel_cache.MelCache.is_cache(folder) or table.FeatureTable.is_table(folder)
    return is_one and (folder / _JOURNAL).is_file()


def _write_index(path: Path, tracks: Sequence[CachedTrack]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(CachedTrack.model_fields)
        writer.writerows(track.model_dump().values() for track in tracks)


def _is_text(name: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def _unnamed(track: AudioTrack) -> Entry:
    shown = track.track_id.encode("utf-8", "replace").decode()
    return Entry(track_id=shown, stamp=(0, 0, False), error=f"{shown}: its name is not valid UTF-8; rename the file")


def _stamp(path: Path) -> tuple[int, int, bool]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0, False)
    return status.st_size, status.st_mtime_ns, os.access(path, os.R_OK)


def _digest(value: object) -> str:
    return hashlib.blake2b(json.dumps(value).encode(), digest_size=8).hexdigest()
