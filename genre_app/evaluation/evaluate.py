"""Evaluate a checkpoint on labelled tracks, from a folder of audio or a mel cache.

`genre_app.evaluation.metrics` defines the metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from genre_app.audio import Clip, load_clip, open_audio
from genre_app.checkpoint import Checkpoint
from genre_app.data.cache.mel_cache import MelCache
from genre_app.data.sources.folder import AudioFolder, match_genres
from genre_app.data.tracks import AudioTrack, CachedTrack
from genre_app.errors import AudioError, DataError
from genre_app.evaluation.metrics import Report, TrackResult
from genre_app.files import AnyPath
from genre_app.predict import classify_columns, overlapped, run_members

Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class MemberTrack:
    """Probabilities of one labelled track by each member.

    Attributes
    ----------
    track_id : str
    label : int
        Index of the true genre.
    of_members : list of numpy.ndarray, each float32 [s, g]
        Of the segments that are not silent.
    """

    track_id: str
    label: int
    of_members: list[NDArray[np.float32]]

    def joined_by(self, checkpoint: Checkpoint) -> TrackResult:
        """Return the prediction of a checkpoint with these members."""
        return TrackResult(self.track_id, self.label, checkpoint.joined(self.of_members))


@dataclass(frozen=True, eq=False)
class MemberTracks:
    """Result of `evaluate_members`.

    Attributes
    ----------
    checkpoint : Checkpoint
        With the members that were evaluated.
    tracks : tuple of MemberTrack
    failed : tuple of (str, str)
        Track id of each track that could not be classified, with the reason.
    notes : tuple of str
        Which members were left out, and whether the knn vote was.
    """

    checkpoint: Checkpoint
    tracks: tuple[MemberTrack, ...]
    failed: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


def evaluate(
    data: AnyPath,
    checkpoint: Checkpoint,
    *,
    split: str | None = None,
    overlap: float | None = None,
    seconds: float | None = None,
    workers: int = 1,
    on_track: Callable[[int, int], None] | None = None,
) -> Report:
    """Evaluate a checkpoint on a folder of genre folders or on a mel cache.

    Of several members, a mel cache evaluates those whose features it can provide; the report names the others. It then has no
    knn vote, because the references are of all members together.

    Parameters
    ----------
    data : str or os.PathLike
    checkpoint : Checkpoint
    split : str, optional
        For a mel cache, a split of its index. For a folder, the folder in it that holds the genre folders. By default all
        tracks are evaluated.
    overlap : float, optional
        Share of a segment that it has in common with the next one; by default that of the checkpoint.
    seconds : float, optional
        Classify only this much from the middle of each track; needs audio.
    workers : int
        Number of audio files decoded at the same time; the result does not depend on it.
    on_track : callable, optional
        Called with the numbers of finished and of all tracks after each track.

    Returns
    -------
    Report

    Raises
    ------
    DataError
        If the data cannot be used, have a genre that the checkpoint does not know, or were computed with another feature
        specification, or if no track can be classified.
    """
    found = evaluate_members(
        data, checkpoint, split=split, overlap=overlap, seconds=seconds, workers=workers, on_track=on_track
    )
    tracks = tuple(track.joined_by(found.checkpoint) for track in found.tracks)
    return Report(checkpoint.genres, tracks, found.checkpoint.references, found.failed, notes=found.notes)


def evaluate_members(
    data: AnyPath,
    checkpoint: Checkpoint,
    *,
    split: str | None = None,
    overlap: float | None = None,
    seconds: float | None = None,
    workers: int = 1,
    on_track: Callable[[int, int], None] | None = None,
) -> MemberTracks:
    """Return the probabilities of each member of a checkpoint; parameters and errors as in `evaluate`."""
    path = Path(data)
    tracks: Sequence[AudioTrack | CachedTrack]
    failed: list[tuple[str, str]] = []
    notes: tuple[str, ...] = ()
    if MelCache.is_cache(path):
        if seconds is not None:
            raise DataError(
                f"{path} is a mel cache, of which only whole tracks are evaluated; leave the seconds out or give audio."
            )
        cache = MelCache.open(path)
        checkpoint, notes = _fitting(cache, checkpoint)
        spec, tracks, workers = overlapped(checkpoint.spec, overlap), _cached_tracks(cache, split), 0

        def probabilities(track: Any) -> list[NDArray[np.float32]]:
            return classify_columns(cache.rows(track), checkpoint, spec)
    else:
        folder = AudioFolder.open(path, split)
        path, tracks = folder.path, folder.tracks
        failed += folder.refused

        def probabilities(track: Any) -> list[NDArray[np.float32]]:
            return _of_audio(track, checkpoint, overlap, seconds)

    labels = match_genres((track.genre for track in tracks), checkpoint.genres, path)

    def one(track: Any) -> MemberTrack:
        return MemberTrack(track.track_id, labels[track.genre], probabilities(track))

    results = for_each(one, tracks, failed, where=path, workers=workers, on_track=on_track)
    return MemberTracks(checkpoint, tuple(results), tuple(failed), notes)


def _fitting(cache: MelCache, checkpoint: Checkpoint) -> tuple[Checkpoint, tuple[str, ...]]:
    """Return the checkpoint with the members whose features the cache can provide, and a note about each of the others."""
    fitting, left_out, errors = [], [], []
    for member in checkpoint.members:
        try:
            cache.check_spec(
                member.spec, f"the checkpoint {checkpoint.name} needs it", "make the cache again", "evaluate on audio"
            )
            # Temperatures are chosen for all members together; without the others, the network's own is right.
            fitting.append(replace(member, temperature=1.0))
        except DataError as error:
            errors.append(error)
            left_out.append(f"{member.model.name} on {member.spec.kind} at {member.spec.sample_rate} Hz")
    if not fitting:
        raise errors[0]
    if not left_out:
        return checkpoint, ()
    notes = [f"left out, since the cache lacks their features: {', '.join(left_out)}"]
    if checkpoint.references is not None:
        notes.append("the knn vote is left out too, since all networks together classified its reference tracks")
    return replace(checkpoint, members=tuple(fitting), temperature=1.0, references=None), tuple(notes)


def _cached_tracks(cache: MelCache, split: str | None) -> list[CachedTrack]:
    tracks = [track for track in cache.tracks if split is None or track.split == split]
    if not tracks:
        splits = ", ".join(sorted({track.split for track in cache.tracks}))
        raise DataError(f"{cache.path} has no split {split!r}; choose one of: {splits}.")
    return tracks


def _of_audio(
    track: AudioTrack, checkpoint: Checkpoint, overlap: float | None, seconds: float | None
) -> list[NDArray[np.float32]]:
    if seconds is not None:
        found = run_members(load_middle(track, checkpoint.sample_rate, seconds), checkpoint, overlap=overlap)
    else:
        with open_audio(track.path, sample_rate=checkpoint.sample_rate, name=track.track_id) as stream:
            found = run_members(stream, checkpoint, overlap=overlap)
    return [rows[found.sounds] for rows in found.of_members]


def load_middle(track: AudioTrack, sample_rate: int, seconds: float | None) -> Clip:
    """Decode a track and keep ``seconds`` from its middle; keep all of it if it is shorter, or if ``seconds`` is None."""
    clip = load_clip(track.path, sample_rate=sample_rate, name=track.track_id)
    return clip if seconds is None else clip.middle(seconds)


def for_each(
    one: Callable[[Any], Result],
    tracks: Sequence[Any],
    failed: list[tuple[str, str]],
    *,
    where: Path,
    workers: int,
    on_track: Callable[[int, int], None] | None,
) -> list[Result]:
    """Return ``one(track)`` for each track, in order.

    Parameters
    ----------
    one : callable
        May raise an `AudioError` or a `DataError`.
    tracks : sequence
    failed : list of (str, str)
        Gets the id and the reason of each track for which ``one`` raises.
    where : pathlib.Path
        Named in the error.
    workers : int
        Number of threads; 0 for this thread. Threads suffice, since decoding and the network release Python's lock.
    on_track : callable, optional
        Called with the numbers of finished and of all tracks after each track.

    Raises
    ------
    DataError
        If ``one`` raises for all tracks.
    """

    def attempt(track: Any) -> Result | AudioError | DataError:
        try:
            return one(track)
        except (AudioError, DataError) as error:
            return error

    results: list[Result] = []
    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        try:
            found = pool.map(attempt, tracks) if workers else map(attempt, tracks)
            for done, (track, result) in enumerate(zip(tracks, found, strict=True), 1):
                if isinstance(result, AudioError | DataError):
                    failed.append((track.track_id, str(result)))
                else:
                    results.append(result)
                if on_track is not None:
                    on_track(done, len(tracks))
        finally:
            pool.shutdown(cancel_futures=True)
    if not results:
        raise DataError(f"{where}: not one of {len(failed)} tracks can be classified; the first says: {failed[0][1]}")
    return results
