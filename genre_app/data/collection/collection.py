"""Add, move and delete the clips of a collection.

Conventions
-----------
Each change holds the collection's lock and reads the folders again, so that two windows cannot overwrite each other's changes.
A clip is stored as FLAC, mono, 16 bit, at 22 050 Hz, the highest rate that the networks use: so nothing from outside is stored
as it came.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import soundfile
from filelock import FileLock, Timeout

from genre_app.audio import Clip, load_clip
from genre_app.data.collection.folders import join_folders, remove_folder
from genre_app.data.collection.index import CollectedClip, Contents, read_contents, write_others, write_table
from genre_app.data.collection.names import checked_genre, clip_stem
from genre_app.errors import AudioError, DataError
from genre_app.files import move, name_key, remove_abandoned, write_whole
from genre_app.members import SILENT_PEAK

SAMPLE_RATE = 22_050
MAX_CLIP_SECONDS = 30.0
MIN_CLIP_SECONDS = 2.0
MAX_FILE_SECONDS = 1800.0
"""Longest file from which a clip is taken."""

_LOCK_SECONDS = 20.0


@dataclass(frozen=True)
class Limits:
    """What a collection may hold; the defaults are for one's own machine."""

    clips: int = 5000
    seconds: float = 20 * 3600.0
    genres: int = 100


@dataclass(frozen=True)
class Added:
    """A clip that was added, and a remark for the visitor, which may be empty."""

    clip: CollectedClip
    remark: str = ""


@dataclass(frozen=True)
class Collection:
    """A folder of genre folders with the table ``clips.csv``.

    Each method that changes something raises `DataError` with one sentence for the visitor if it cannot.

    Parameters
    ----------
    folder : pathlib.Path
        Made by the first change.
    limits : Limits

    Examples
    --------
    >>> collection = Collection(Path("my-music"))
    >>> collection.add("dub", "king-tubby.mp3", origin="file").clip.file
    'dub/king-tubby-5f0c2a9be1d4.flac'
    >>> {genre: len(clips) for genre, clips in collection.read().genres.items()}
    {'dub': 1}
    """

    folder: Path
    limits: Limits = Limits()

    def read(self) -> Contents:
        """List the genres and the clips."""
        return read_contents(self.folder)

    def path(self, clip_id: str) -> Path:
        """Return the file of a clip."""
        return self.folder / self._find(self.read(), clip_id).file

    def add_genre(self, name: str) -> str:
        """Add a genre without clips; return its name as it is stored."""
        with self._changing() as contents:
            return self._genre(contents, name)

    def rename_genre(self, old: str, new: str) -> str:
        """Rename a genre; a name that another genre has joins the two."""
        with self._changing() as contents:
            self._known(contents, old)
            target = self._genre(contents, new, other_than=old)
            if target == old:
                return old
            if target not in contents.genres and name_key(target) == name_key(old):  # maybe one folder
                (self.folder / old).rename(self.folder / f".{old}.moving")
                (self.folder / f".{old}.moving").rename(self.folder / target)
            else:
                join_folders(self.folder / old, self.folder / target)
            self._write_others(contents, {target if name == old else name for name in contents.none_of_these})
            return target

    def remove_genre(self, name: str) -> int:
        """Delete a genre with its clips; return how many there were."""
        with self._changing() as contents:
            self._known(contents, name)
            remove_folder(self.folder / name, contents.genres[name])
            self._write_others(contents, contents.none_of_these - {name})
            return len(contents.genres[name])

    def mark_none_of_these(self, name: str, is_none: bool) -> None:
        """Say whether a genre means "none of these": a model taught from the collection then gives its clips no genre."""
        with self._changing() as contents:
            self._known(contents, name)
            others = contents.none_of_these | {name} if is_none else contents.none_of_these - {name}
            self._write_others(contents, others)

    def add(
        self,
        genre: str,
        audio: str | os.PathLike[str] | Clip,
        *,
        origin: str,
        name: str | None = None,
        answer: str = "",
        probability: float = 0.0,
        checkpoint: str = "",
        source_sha256: str = "",
    ) -> Added:
        """Decode a file and add it to a genre; of a long one, the middle 30 s.

        Parameters
        ----------
        genre : str
            Added if the collection does not have it.
        audio : str, os.PathLike or Clip
            An audio file, or sound that is decoded already.
        origin : str
            "microphone", "file", "classify", "live" or "batch".
        name : str, optional
            Name of the file, by default its own.
        answer, probability, checkpoint : str, float, str
            The answer at this time, if there was one.
        source_sha256 : str
            Digest of the file that the sound comes from, by default that of ``audio``.

        Raises
        ------
        AudioError
            If the file cannot be decoded, is shorter than 2 s, longer than half an hour, or silent.
        DataError
            If the collection is full, has this clip already, or the genre's name cannot be used.
        """
        if isinstance(audio, Clip):
            clip = audio
        else:
            clip = load_clip(audio, sample_rate=SAMPLE_RATE, name=name, max_seconds=MAX_FILE_SECONDS)
        source, (samples, remark) = name or clip.name, _middle(clip)
        pcm = np.clip(np.round(samples * 32768.0), -32768, 32767).astype("<i2")
        digest = hashlib.sha256(pcm.tobytes()).hexdigest()
        with self._changing() as contents:
            self._check_room(contents, len(pcm) / SAMPLE_RATE)
            for known in contents.clips:
                if known.id.endswith(f"-{digest[:12]}.flac"):
                    raise DataError(f"{source} is in this collection already, in the genre {known.genre}.")
            genre = self._genre(contents, genre)
            file = f"{genre}/{clip_stem(source, digest)}.flac"
            row = CollectedClip(
                file,
                source=source,
                source_sha256=source_sha256 or (digest if isinstance(audio, Clip) else _file_digest(Path(audio))),
                origin=origin,
                date=datetime.now(UTC).isoformat(timespec="milliseconds"),
                seconds=round(len(pcm) / SAMPLE_RATE, 3),
                answer=answer,
                probability=round(probability, 4),
                checkpoint=checkpoint,
            )
            contents.genres.setdefault(genre, []).append(row)
            write_table(self.folder, contents.clips)
            # Last: a line without a clip is not listed, but a clip without a line has lost its source.
            flac = io.BytesIO()
            soundfile.write(flac, pcm, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
            write_whole(self.folder / file, flac.getvalue())
        return Added(row, remark)

    def move(self, clip_id: str, genre: str) -> CollectedClip:
        """Move a clip to another genre, which is added if it is new."""
        with self._changing() as contents:
            clip = self._find(contents, clip_id)
            genre = self._genre(contents, genre)
            moved = replace(clip, file=f"{genre}/{clip.id}")
            move(self.folder / clip.file, self.folder / moved.file)
            write_table(self.folder, [moved if known == clip else known for known in contents.clips])
            return moved

    def delete(self, clip_id: str) -> CollectedClip:
        """Delete a clip."""
        with self._changing() as contents:
            clip = self._find(contents, clip_id)
            (self.folder / clip.file).unlink(missing_ok=True)
            write_table(self.folder, [known for known in contents.clips if known != clip])
            return clip

    @contextmanager
    def _changing(self) -> Iterator[Contents]:
        """Hold the lock and yield what the collection holds now."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / ".lock", timeout=_LOCK_SECONDS):
                self._recover()
                yield self.read()
        except Timeout as error:
            raise DataError(f"{self.folder.name}: another window is changing this collection; try again.") from error
        except OSError as error:
            raise DataError(f"{self.folder.name}: the collection cannot be changed ({error.strerror or error}).") from error

    def _recover(self) -> None:
        """Undo what a killed process has left half done."""
        for moving in self.folder.glob(".*.moving"):
            with suppress(OSError):  # another genre has the name by now
                moving.rename(self.folder / moving.name.removeprefix(".").removesuffix(".moving"))
        remove_abandoned(self.folder)
        for genre in (entry for entry in self.folder.iterdir() if entry.is_dir()):
            remove_abandoned(genre)

    def _genre(self, contents: Contents, name: str, other_than: str | None = None) -> str:
        """Return the stored name of a genre, ignoring case; add its folder if it is new."""
        name = checked_genre(name)
        for known in contents.genres:
            if name_key(known) == name_key(name) and known != other_than:
                return known
        if other_than is not None and name_key(name) == name_key(other_than):
            return name
        if len(contents.genres) >= self.limits.genres and other_than is None:
            raise DataError(f"A collection here takes {self.limits.genres} genres; remove one first.")
        (self.folder / name).mkdir(exist_ok=True)
        return name

    def _known(self, contents: Contents, name: str) -> None:
        if name not in contents.genres:
            raise DataError(f"The genre {name!r} is no longer in this collection.")

    def _find(self, contents: Contents, clip_id: str) -> CollectedClip:
        found = [clip for clip in contents.clips if clip.id == clip_id]
        if not found:
            raise DataError("This clip is no longer in the collection.")
        if len(found) > 1:  # copied into the folders by hand
            raise DataError(f"{len(found)} clips have the name {clip_id}; rename their files first.")
        return found[0]

    def _check_room(self, contents: Contents, seconds: float) -> None:
        if len(contents.clips) >= self.limits.clips:
            raise DataError(f"A collection here takes {self.limits.clips} clips; delete some first.")
        if contents.seconds + seconds > self.limits.seconds:
            raise DataError(
                f"A collection here takes {self.limits.seconds / 60:.0f} minutes of sound; delete some clips first."
            )

    def _write_others(self, contents: Contents, genres: Set[str]) -> None:
        if genres != contents.none_of_these:
            write_others(self.folder, genres)
        write_table(self.folder, read_contents(self.folder).clips)


def _middle(clip: Clip) -> tuple[np.ndarray, str]:
    """Return the middle 30 s of a clip, and a remark if half a second or more was left out."""
    if clip.sample_rate != SAMPLE_RATE:
        raise ValueError(f"{clip.name} has {clip.sample_rate} Hz, a collection stores {SAMPLE_RATE} Hz")
    seconds = clip.duration_seconds
    if seconds < MIN_CLIP_SECONDS:
        raise AudioError(f"{clip.name}: {seconds:.1f} s is too short; at least {MIN_CLIP_SECONDS:g} s is needed")
    samples = clip.middle(MAX_CLIP_SECONDS).samples
    if float(np.abs(samples - samples.mean()).max()) < SILENT_PEAK:
        raise AudioError(f"{clip.name}: this part is silent (under -60 dBFS); check the input or its level")
    remarks = [*clip.warnings]
    if round(seconds) > MAX_CLIP_SECONDS:
        remarks.insert(0, f"{clip.name}: {seconds:.0f} s long, so the middle {MAX_CLIP_SECONDS:g} s was taken.")
    return samples, " ".join(remarks)


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
