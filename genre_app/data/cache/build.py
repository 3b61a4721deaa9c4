"""Build one cache: decode its tracks, keep each one's rows as soon as they are computed, and join all rows at the end.

While a cache is built, its folder holds ``journal.jsonl`` and ``rows/``. Each decoded track has a file of its rows there, and
then a line in the journal. A killed process therefore loses only the tracks it was decoding. `Builder.finish` joins the row
files into one array; the journal stays in the finished cache.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from genre_app.data.cache.feature_table import FeatureTable
from genre_app.data.cache.mel_cache import MelCache
from genre_app.data.cache.rows import Rows, stated_spec
from genre_app.data.cache.store import write_index
from genre_app.data.cache.workers import n_workers, read_all
from genre_app.data.tracks import AudioTrack, CachedTrack
from genre_app.errors import DataError
from genre_app.features import FeatureSpec
from genre_app.files import move
from genre_app.progress import Meter

JOURNAL = "journal.jsonl"
ROWS = "rows"
_DAMAGED = "decoded only in part"  # how the decoder's warning about a damaged file begins

Stamp = tuple[int, int, bool]
"""State of a file: its size in bytes, the time of its last change in ns, and whether it may be read."""


class Entry(BaseModel):
    """A line of the journal: the result of decoding one file.

    Attributes
    ----------
    track_id : str
    stamp : tuple
        State of the file when it was decoded. The entry is valid as long as the file has the same state.
    n_rows : int
        0 if the file cannot be used.
    content : str
        Digest of the decoded samples.
    damage : str
        The decoder's warning, if only a part of the file could be decoded.
    error : str
        Sentence that says why the file cannot be used.
    passing : bool
        Whether the error may disappear: another try may succeed.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    track_id: str
    stamp: Stamp
    n_rows: int = 0
    content: str = ""
    damage: str = ""
    error: str = ""
    passing: bool = False


def stamp_of(path: Path) -> Stamp:
    """Return the state of a file; of a missing one (0, 0, False)."""
    try:
        status = path.stat()
    except OSError:
        return (0, 0, False)
    return status.st_size, status.st_mtime_ns, os.access(path, os.R_OK)


def read_journal(folder: Path, stamps: Mapping[str, Stamp]) -> dict[str, Entry]:
    """Read the entries of the files that did not change since, by track id."""
    entries: dict[str, Entry] = {}
    try:
        lines = (folder / JOURNAL).read_bytes().splitlines()
    except OSError:
        return entries
    for line in lines:
        try:
            entry = Entry.model_validate_json(line)
        except ValidationError:
            continue  # a killed process may leave a part of a line
        if stamps.get(entry.track_id) == entry.stamp:
            entries[entry.track_id] = entry
    return entries


def open_store(folder: Path, spec: FeatureSpec) -> MelCache | FeatureTable:
    """Open a finished cache as the kind of store that the specification asks for."""
    return FeatureTable.open(folder) if spec.kind == "summary" else MelCache.open(folder)


class Builder:
    """The folder of a cache that is being built.

    Parameters
    ----------
    folder : pathlib.Path
        Exists. What an interrupted build left in it is used.
    spec : FeatureSpec
    stamps : mapping
        Present state of each file, by track id.
    meter : Meter
        Counts the tracks.
    """

    def __init__(self, folder: Path, spec: FeatureSpec, stamps: Mapping[str, Stamp], meter: Meter) -> None:
        self.folder, self.spec, self.stamps, self.meter = folder, spec, stamps, meter
        (folder / ROWS).mkdir(exist_ok=True)
        known = read_journal(folder, stamps)
        self.entries = {name: entry for name, entry in known.items() if not entry.passing and self._has_rows(entry)}
        self.failed_before = {name for name, entry in known.items() if entry.passing}
        with (folder / JOURNAL).open("a", encoding="utf-8") as journal:
            journal.write("\n")  # ends a line that a killed process may have left unfinished
        for entry in self.entries.values():
            meter.advance(1, entry.stamp[0], free=True)

    def copy_from(self, cache: Path) -> None:
        """Copy the rows of unchanged files from a finished cache."""
        known = read_journal(cache, self.stamps)
        self.failed_before |= {name for name, entry in known.items() if entry.passing}
        try:
            store = open_store(cache, self.spec)
        except DataError:
            return  # unfinished or damaged: its files are decoded again
        tracks = {track.track_id: track for track in store.tracks}
        for name, entry in known.items():
            if name not in self.entries and not entry.passing and bool(entry.n_rows) == (name in tracks):
                self._keep(entry, store.rows_as_stored(tracks[name]) if entry.n_rows else None, free=True)

    def decode(self, tracks: Sequence[AudioTrack], processes: int | None) -> None:
        """Decode the tracks that have no entry yet, in ``processes`` processes or as many as are worth starting."""
        left = [track for track in tracks if track.track_id not in self.entries]
        count = min(processes, len(left)) if processes is not None else n_workers(len(left), self.spec)
        if any(track.track_id in self.failed_before for track in left):
            count = max(2, count)  # such a file may crash its process, which must not be this one
        for track, result in read_all(left, self.spec, count, self.meter.monitor):
            stamp = self.stamps[track.track_id]
            if isinstance(result, Rows):
                damage = next((warning for warning in result.warnings if warning.startswith(_DAMAGED)), "")
                found = {"n_rows": len(result.values), "content": result.content, "damage": damage}
                self._keep(Entry(track_id=track.track_id, stamp=stamp, **found), result.values)
            else:
                self._keep(Entry(track_id=track.track_id, stamp=stamp, error=result.reason, passing=result.passing))

    def finish(self, tracks: Sequence[AudioTrack]) -> None:
        """Join the rows into one array, and write the index and the specification.

        Raises
        ------
        DataError
            If no track has rows.
        """
        index: list[CachedTrack] = []
        n_rows = 0
        for track in sorted(tracks, key=lambda track: track.track_id):
            entry = self.entries[track.track_id]
            if entry.n_rows:
                place = {"offset": n_rows, "n_frames": entry.n_rows}
                index.append(CachedTrack(track_id=track.track_id, genre=track.genre, split=track.split, **place))
                n_rows += entry.n_rows
        if not index:
            reasons = [entry.error for entry in self.entries.values()] or ["its name is not valid UTF-8; rename the file"]
            raise DataError(f"Not one of the audio files can be used; the first of {len(reasons)} reasons: {reasons[0]}.")
        kind, width = (FeatureTable, self.spec.n_bins) if self.spec.kind == "summary" else (MelCache, self.spec.n_mels)
        dtype = np.dtype(kind.DTYPES[0]).newbyteorder("<")
        # Written in sequence and not through a memory map, since a full disk would then kill the process instead of raising.
        with (self.folder / kind.ARRAY).open("wb") as file:
            npy.write_array_header_1_0(file, {"descr": dtype.str, "fortran_order": False, "shape": (n_rows, width)})
            for cached in index:
                self.meter.check()
                file.write(np.load(self._rows_file(self.entries[cached.track_id])).astype(dtype, copy=False).tobytes())
        write_index(self.folder / "index.csv", index)
        (self.folder / "spec.json").write_text(json.dumps(stated_spec(self.spec), indent=2), encoding="utf-8")

    def _keep(self, entry: Entry, rows: NDArray[np.floating] | None = None, *, free: bool = False) -> None:
        # The rows are complete before the journal names them, so a killed process leaves no entry without rows.
        if rows is not None:
            save_rows(self._rows_file(entry), rows)
        with (self.folder / JOURNAL).open("a", encoding="utf-8") as journal:
            journal.write(entry.model_dump_json() + "\n")
        self.entries[entry.track_id] = entry
        self.meter.advance(1, entry.stamp[0], free=free)

    def _rows_file(self, entry: Entry) -> Path:
        name = hashlib.blake2b(json.dumps([entry.track_id, entry.stamp]).encode(), digest_size=16).hexdigest()
        return self.folder / ROWS / f"{name}.npy"

    def _has_rows(self, entry: Entry) -> bool:
        try:
            return not entry.n_rows or len(np.load(self._rows_file(entry), mmap_mode="r")) == entry.n_rows
        except (OSError, ValueError, EOFError):
            return False


def save_rows(path: Path, rows: NDArray[np.floating]) -> None:
    """Write rows to a ``.npy`` file that is either complete or absent."""
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.save(file, rows)
    move(part, path)
