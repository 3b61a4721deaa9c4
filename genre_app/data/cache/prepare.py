"""Decode a folder of audio once into a cache: a mel cache, or a feature table.

A cache is a folder ``<kind>-<source and spec>-<files>`` of the work folder. Its name holds digests of the folder of the audio,
the settings of the rows, and the path, size and time of each file: a cache is used again as long as nothing changed. Its name
ends in ``.part`` while it is built; `genre_app.data.cache.build` describes how an interrupted build is resumed. When files
changed, the rows of all others are copied from the older cache.

A file can fail for a reason that may pass, such as too little memory. It is tried again whenever a cache of its folder is
built, and a finished cache that lacks such a file is built again after an hour.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from genre_app.data.cache.build import JOURNAL, ROWS, Builder, Entry, Stamp, open_store, read_journal, stamp_of
from genre_app.data.cache.feature_table import FeatureTable
from genre_app.data.cache.mel_cache import MelCache
from genre_app.data.cache.rows import stated_spec
from genre_app.data.lock import locked
from genre_app.data.tracks import AudioTrack
from genre_app.errors import DataError
from genre_app.features import FeatureSpec
from genre_app.files import move, valid_text
from genre_app.progress import QUIET, Meter, Monitor

MAX_FILES = 200_000
SOURCE = "source.txt"
"""File of a cache that holds the path of the folder of its audio."""

_RETRY_SECONDS = 3600.0


@dataclass(frozen=True, eq=False)
class Prepared:
    """A finished cache.

    Attributes
    ----------
    store : MelCache or FeatureTable
        Opened while its lock was held, so that no other process could remove it before.
    entries : dict
        Result of decoding each file, by track id.
    """

    store: MelCache | FeatureTable
    entries: dict[str, Entry]


def prepare(
    folder: Path,
    tracks: Sequence[AudioTrack],
    spec: FeatureSpec,
    work: Path,
    *,
    processes: int | None = None,
    retry: bool = True,
    monitor: Monitor = QUIET,
) -> Prepared:
    """Build the cache of a folder's tracks, or open it if it exists.

    Parameters
    ----------
    folder : pathlib.Path
        Holds the audio; names the cache.
    tracks : sequence of AudioTrack
    spec : FeatureSpec
        Kind ``summary`` makes a feature table, every other kind a mel cache.
    work : pathlib.Path
        Folder of the caches; made if missing.
    processes : int, optional
        Number of decoding processes; by default one per core, fewer for few files.
    retry : bool
        Whether to retry files that a finished cache lacks for a reason that may have passed.
    monitor : Monitor

    Returns
    -------
    Prepared

    Raises
    ------
    DataError
        If there are too many files, no file can be decoded, or the disk is full.
    StoppedError
        If ``monitor`` says so. The tracks that are decoded by then are kept.
    """
    if len(tracks) > MAX_FILES:
        raise DataError(f"{folder} has more than {MAX_FILES} audio files; give a smaller part of it.")
    unnamed = [track for track in tracks if valid_text(track.track_id) != track.track_id]
    tracks = [track for track in tracks if valid_text(track.track_id) == track.track_id]
    stamps = {track.track_id: stamp_of(track.path) for track in tracks}
    kind = "table" if spec.kind == "summary" else "mel"
    name = f"{kind}-{_digest([str(folder.resolve()), stated_spec(spec)])}"
    meter = Meter("decoding tracks", len(stamps), sum(size for size, _, _ in stamps.values()), monitor)
    try:
        work.mkdir(parents=True, exist_ok=True)
        with locked(work / f"{name}.lock", monitor):
            done = work / f"{name}-{_digest(sorted(stamps.items()))}"
            store = None if retry and _is_stale(done, stamps) else _finished(done, spec)
            if store is None:
                part = work / f"{name}.part"
                part.mkdir(exist_ok=True)
                (part / SOURCE).write_bytes(os.fsencode(folder.resolve()))
                builder = Builder(part, spec, stamps, meter)
                for older in sorted(work.glob(f"{name}-*")):
                    builder.copy_from(older)
                builder.decode(tracks, processes)
                builder.finish(tracks)
                shutil.rmtree(done, ignore_errors=True)
                move(part, done)
                for old in work.glob(f"{name}-*"):
                    if old != done:
                        shutil.rmtree(old, ignore_errors=True)
                store = open_store(done, spec)
            shutil.rmtree(done / ROWS, ignore_errors=True)  # joined by now
            entries = read_journal(done, stamps)
    except OSError as error:
        what = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror or str(error)
        raise DataError(
            f"The prepared data cannot be written to {work}: {what}; make room or choose another folder, what is done is kept."
        ) from error
    return Prepared(store, entries | {entry.track_id: entry for entry in map(_unnamed, unnamed)})


def _is_stale(cache: Path, stamps: Mapping[str, Stamp]) -> bool:
    """Whether a finished cache lacks a file for a reason that may have passed by now."""
    has_failed = any(entry.passing for entry in read_journal(cache, stamps).values())
    return has_failed and time.time() - (cache / JOURNAL).stat().st_mtime > _RETRY_SECONDS


def _finished(folder: Path, spec: FeatureSpec) -> MelCache | FeatureTable | None:
    """Open a cache; return None if it is missing or damaged, as after a loss of power."""
    with suppress(DataError):
        return open_store(folder, spec) if (folder / JOURNAL).is_file() else None
    return None


def _unnamed(track: AudioTrack) -> Entry:
    shown = track.track_id.encode("utf-8", "replace").decode()
    return Entry(track_id=shown, stamp=(0, 0, False), error=f"{shown}: its name is not valid UTF-8; rename the file")


def _digest(value: object) -> str:
    return hashlib.blake2b(json.dumps(value).encode(), digest_size=8).hexdigest()
