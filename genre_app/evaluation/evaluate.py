"""Evaluate a checkpoint on labelled tracks, from a folder of audio or a mel cache.

`genre_app.evaluation.metrics` defines the metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
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
from genre_app.features import FeatureSpec
from genre_app.files import AnyPath
from genre_app.predict import classify, classify_columns, overlapped

Result = TypeVar("Result")


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
    path = Path(data)
    tracks: Sequence[AudioTrack | CachedTrack]
    failed: list[tuple[str, str]] = []
    if MelCache.is_cache(path):
        if seconds is not None:
            raise DataError(
                f"{path} is a mel cache, of which only whole tracks are evaluated; leave the seconds out or give audio."
            )
        cache, spec = MelCache.open(path), overlapped(checkpoint.spec, overlap)
        tracks = _cached_tracks(cache, checkpoint, split, spec)

        def probabilities(track: Any) -> NDArray[np.float32]:
            return classify_columns(cache.rows(track), checkpoint, spec)

        workers = 0
    else:
        folder = AudioFolder.open(path, split)
        path, tracks = folder.path, folder.tracks
        failed += folder.refused

        def probabilities(track: Any) -> NDArray[np.float32]:
            return _of_audio(track, checkpoint, overlap, seconds)

    labels = match_genres((track.genre for track in tracks), checkpoint.genres, path)

    def one(track: Any) -> TrackResult:
        return TrackResult(track.track_id, labels[track.genre], probabilities(track))

    results = for_each(one, tracks, failed, where=path, workers=workers, on_track=on_track)
    return Report(checkpoint.genres, tuple(results), checkpoint.references, tuple(failed))


def _cached_tracks(cache: MelCache, checkpoint: Checkpoint, split: str | None, spec: FeatureSpec) -> list[CachedTrack]:
    """Return the tracks of a split after checking that the checkpoint can classify them."""
    cache.check_spec(spec, f"the checkpoint {checkpoint.name} needs it", "make the cache again", "evaluate on audio")
    tracks = [track for track in cache.tracks if split is None or track.split == split]
    if not tracks:
        splits = ", ".join(sorted({track.split for track in cache.tracks}))
        raise DataError(f"{cache.path} has no split {split!r}; choose one of: {splits}.")
    return tracks


def _of_audio(track: AudioTrack, checkpoint: Checkpoint, overlap: float | None, seconds: float | None) -> NDArray[np.float32]:
    if seconds is not None:
        prediction = classify(load_middle(track, checkpoint.sample_rate, seconds), checkpoint, overlap=overlap)
    else:
        with open_audio(track.path, sample_rate=checkpoint.sample_rate, name=track.track_id) as stream:
            prediction = classify(stream, checkpoint, overlap=overlap)
    return prediction.segment_probabilities[prediction.segment_sounds]


def load_middle(track: AudioTrack, sample_rate: int, seconds: float | None) -> Clip:
    """Decode a track and keep ``seconds`` from its middle; keep all of it if it is shorter, or if ``seconds`` is None."""
    clip = load_clip(track.path, sample_rate=sample_rate, name=track.track_id)
    n_kept = len(clip.samples)
    if seconds is not None:
        n_kept = round(min(seconds * sample_rate, n_kept))  # min first, since seconds may be infinite
    start = (len(clip.samples) - n_kept) // 2
    return replace(clip, samples=clip.samples[start : start + n_kept])


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
