"""Labelled clips to teach, from a collection or from any folder of genre folders, and the folds that test the result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genre_app.checkpoint_header import check_genres
from genre_app.data.collection import Collection as MusicCollection
from genre_app.data.collection.index import TABLE
from genre_app.data.sources.folder import AudioFolder
from genre_app.data.sources.gtzan import gtzan_name
from genre_app.errors import DataError, some
from genre_app.files import AnyPath, valid_text

MIN_GENRES = 2
MIN_CLIPS = 2
"""Of each genre, so that a clip can be left out."""

CACHE = ".embeddings"
"""Folder of a collection in which embeddings are kept."""

_MAX_SOURCES = 60  # up to this number, each source is left out by itself; above it, they are left out in `_PARTS` parts
_PARTS = 20


@dataclass(frozen=True)
class Example:
    """A labelled clip.

    Attributes
    ----------
    path : pathlib.Path
    genre : str
    name : str
        Name of the clip in the result.
    source : str
        Clips with the same source come from the same file; they are left out together.
    """

    path: Path
    genre: str
    name: str
    source: str


def folder_examples(folder: AnyPath) -> tuple[list[Example], frozenset[str]]:
    """Return the clips of a folder of genre folders, and its genres that mean "none of these".

    If the folder is a collection, clips of one source are kept together; so are the pieces of a track of GTZAN.

    Raises
    ------
    DataError
        If there is no audio in genre folders.
    """
    found = AudioFolder.find(folder)
    contents = MusicCollection(found.path).read()
    known = {clip.id: clip.source_sha256 for clip in contents.clips}  # other folders have none
    sources = [known.get(t.path.name) or gtzan_name(t.track_id) or t.track_id for t in found.tracks]
    pairs = zip(found.tracks, sources, strict=True)
    examples = [Example(track.path, track.genre, valid_text(track.track_id), source) for track, source in pairs]
    return examples, contents.none_of_these


def cache_of(folder: AnyPath) -> Path | None:
    """Return the folder in which a collection keeps its embeddings; None if the folder is no collection."""
    return Path(folder) / CACHE if (Path(folder) / TABLE).is_file() else None


def check_examples(
    examples: Sequence[Example], failed: Sequence[tuple[Path, str]] = (), *, min_genres: int = MIN_GENRES
) -> None:
    """Refuse clips that are too few to teach.

    Raises
    ------
    DataError
        Says what is missing.
    """
    counts = Counter(example.genre for example in examples)
    lost = f" ({len(failed)} files could not be used: {failed[0][1]})" if failed else ""
    few = sorted(genre for genre, n in counts.items() if n < MIN_CLIPS)
    if len(counts) < min_genres:
        what = f"{min_genres} {'genre' if min_genres == 1 else 'genres'} with {MIN_CLIPS} clips each"
        raise DataError(f"Teaching needs {what}{lost}; add clips of another genre.")
    if few:
        raise DataError(f"Teaching needs {MIN_CLIPS} clips of each genre{lost}; add clips of {some(few)}.")
    try:
        check_genres(sorted(counts))
    except ValueError as error:
        raise DataError(f"The genres cannot be taught: {error}.") from error


def parts_left_out(
    examples: Sequence[Example], labels: NDArray[np.intp], remembered: Collection[int] = ()
) -> Iterator[NDArray[np.bool_]]:
    """Yield the clips, bool [n], that are left out together; each clip once, if its genre then still has another clip.

    A remembered genre needs no other clip.
    """
    sources = np.array([example.source for example in examples])
    # In the order of their genres, so that each part has clips of many genres.
    ordered = list(dict.fromkeys(sources[np.argsort(labels, kind="stable")].tolist()))
    n_parts = len(ordered) if len(ordered) <= _MAX_SOURCES else _PARTS
    for part in (ordered[start::n_parts] for start in range(n_parts)):
        left_out = np.isin(sources, part)
        for label in set(labels[left_out].tolist()):
            if label not in remembered and left_out[labels == label].all():
                left_out &= labels != label  # nothing of this genre would be left
        if left_out.any():
            yield left_out
