"""Export a collection as a zip, and import one."""

from __future__ import annotations

import os
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from genre_app.data.collection.collection import Collection
from genre_app.data.collection.index import OTHERS, TABLE, CollectedClip
from genre_app.data.sources.archive import Limits as ZipLimits
from genre_app.data.sources.archive import unpack
from genre_app.data.sources.folder import AudioFolder
from genre_app.errors import AudioError, DataError
from genre_app.files import move, name_key

_ZIP_LIMITS = ZipLimits(files=12_000, unpacked_bytes=8 << 30)


@dataclass(frozen=True)
class Imported:
    """Number of clips that an import added, and a sentence about each file that it left out."""

    added: int
    refused: tuple[str, ...]


def export_zip(collection: Collection, target: Path) -> int:
    """Write the clips and the table of a collection into a zip; return the number of clips.

    Raises
    ------
    DataError
        If there are no clips, or a file cannot be read or written.
    """
    clips = collection.read().clips
    if not clips:
        raise DataError("This collection has no clips yet; record or drop some first.")
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        # FLAC is compressed already. A file copied by hand may have a date that a zip cannot hold.
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
            for clip in clips:
                archive.write(collection.folder / clip.file, clip.file)
            for name in (TABLE, OTHERS):
                if (collection.folder / name).is_file():
                    archive.write(collection.folder / name, name)
        move(temporary, target)
    except OSError as error:  # also a clip that another window has just moved or deleted
        what = f"the collection cannot be exported ({error.strerror or error}); try again"
        raise DataError(f"{collection.folder.name}: {what}.") from error
    finally:
        temporary.unlink(missing_ok=True)
    return len(clips)


def import_zip(collection: Collection, path: Path, *, limits: ZipLimits | None = None) -> Imported:
    """Add the clips of a zip of genre folders, as `export_zip` or any program writes it; clips that are here stay as they are.

    ``limits`` is what the zip may hold, by default as much as a collection at home.

    Raises
    ------
    DataError
        If the zip is damaged, hostile, or has no audio in genre folders.
    """
    with tempfile.TemporaryDirectory(prefix="genre-app-import-", ignore_cleanup_errors=True) as work:
        found = AudioFolder.find(unpack(path, Path(work), limits=limits or _ZIP_LIMITS))
        contents = Collection(found.path).read()
        rows = {clip.id: clip for clip in contents.clips}
        added, refused = 0, [reason for _, reason in found.refused]
        for track in found.tracks:
            row = rows.get(track.path.name, CollectedClip(track.track_id, origin="file"))
            try:
                collection.add(
                    track.genre,
                    track.path,
                    origin=row.origin,
                    name=row.source or track.path.name,
                    answer=row.answer,
                    probability=row.probability,
                    checkpoint=row.checkpoint,
                    source_sha256=row.source_sha256,
                )
                added += 1
            except (AudioError, DataError) as error:
                refused.append(str(error))
        others = set(map(name_key, contents.none_of_these))
        for genre in collection.read().genres:
            if name_key(genre) in others:
                collection.mark_none_of_these(genre, True)
    return Imported(added, tuple(refused))
