"""How well a checkpoint does on labelled tracks: one way of counting for folders of audio and for mel caches.

`genre_app.evaluation.metrics` defines the numbers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from genre_app.audio import Clip, load_clip, open_audio
from genre_app.checkpoint import Checkpoint
from genre_app.data.cache.mel_cache import MelCache
from genre_app.data.sources.folder import AudioFolder, match_genres
from genre_app.data.tracks import AudioTrack, CachedTrack
from genre_app.errors import AudioError, DataError
from genre_app.evaluation.metrics import Report, TrackResult, wilson_interval
from genre_app.features import COLUMN_FIELDS, FeatureSpec, split_columns
from genre_app.predict import classify, overlapped

__all__ = ["Report", "TrackResult", "evaluate", "in_threads", "load_middle", "wilson_interval"]

Result = TypeVar("Result")


def evaluate(
    data: str | os.PathLike[str],
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
        Of a mel cache: as in its index. Of a folder: a folder within that holds the genre folders. By default everything.
    overlap : float, optional
        Share of a segment that neighbours have in common; the checkpoint's own by default.
    seconds : float, optional
        Classify only so much from the middle of each track; needs audio.
    workers : int
        Audio files that are decoded at once; the result does not depend on it.
    on_track : callable, optional
        Called with (tracks done, tracks in all) after each track.

    Returns
    -------
    Report

    Raises
    ------
    DataError
        If the data cannot be used, has a genre that the checkpoint does not know, was made by another feature specification, or
        not one of its tracks can be classified.
    """
    path = Path(data)
    if MelCache.is_cache(path):
        if seconds is not None:
            raise DataError(
                f"{path} is a mel cache, of which only whole tracks are evaluated; leave the seconds out or give audio."
            )
        results, total, failed = _of_cache(MelCache.open(path), checkpoint, split, overlapped(checkpoint.spec, overlap))
    else:
        results, total, failed = _of_folder(AudioFolder.open(path, split), checkpoint, overlap, seconds, workers)
    tracks: list[TrackResult] = []
    for done, result in enumerate(results, 1):
        if isinstance(result, TrackResult):
            tracks.append(result)
        else:
            failed.append(result)
        if on_track is not None:
            on_track(done, total)
    if not tracks:
        raise DataError(f"{path}: not one of {len(failed)} tracks can be classified; the first says: {failed[0][1]}")
    return Report(checkpoint.genres, tuple(tracks), checkpoint.references, tuple(failed))


_Results = Iterable[TrackResult | tuple[str, str]]


def _of_cache(
    cache: MelCache, checkpoint: Checkpoint, split: str | None, spec: FeatureSpec
) -> tuple[_Results, int, list[tuple[str, str]]]:
    if spec.kind == "summary":
        raise DataError(
            f"{cache.path} is a mel cache, from which features of kind summary cannot be computed, and the checkpoint "
            f"{checkpoint.name} needs them; evaluate on audio."
        )
    differences = [
        f"{name} {getattr(cache.spec, name)} instead of {getattr(spec, name)}"
        for name in COLUMN_FIELDS
        if getattr(cache.spec, name) != getattr(spec, name)
    ]
    if differences:
        raise DataError(
            f"{cache.path} was not made as the checkpoint {checkpoint.name} needs it: {', '.join(differences)}; "
            "make the cache again or evaluate on audio."
        )
    tracks = [track for track in cache.tracks if split is None or track.split == split]
    if not tracks:
        splits = ", ".join(sorted({track.split for track in cache.tracks}))
        raise DataError(f"{cache.path} has no split {split!r}; choose one of: {splits}.")
    labels = match_genres((track.genre for track in tracks), checkpoint.genres, cache.path)
    return (_of_columns(cache, track, labels[track.genre], checkpoint, spec) for track in tracks), len(tracks), []


def _of_columns(
    cache: MelCache, track: CachedTrack, label: int, checkpoint: Checkpoint, spec: FeatureSpec
) -> TrackResult | tuple[str, str]:
    try:
        columns = cache.rows(track)
    except DataError as error:
        return track.track_id, str(error)
    return TrackResult(track.track_id, label, checkpoint.probabilities(split_columns(columns, spec)[1]))


def _of_folder(
    folder: AudioFolder, checkpoint: Checkpoint, overlap: float | None, seconds: float | None, workers: int
) -> tuple[_Results, int, list[tuple[str, str]]]:
    labels = match_genres((track.genre for track in folder.tracks), checkpoint.genres, folder.path)
    one = partial(_of_file, checkpoint=checkpoint, labels=labels, overlap=overlap, seconds=seconds)
    return in_threads(one, folder.tracks, workers), len(folder.tracks), list(folder.refused)


def _of_file(
    track: AudioTrack, checkpoint: Checkpoint, labels: dict[str, int], overlap: float | None, seconds: float | None
) -> TrackResult | tuple[str, str]:
    try:
        if seconds is not None:
            prediction = classify(load_middle(track, checkpoint.spec.sample_rate, seconds), checkpoint, overlap=overlap)
        else:
            with open_audio(track.path, sample_rate=checkpoint.spec.sample_rate, name=track.track_id) as stream:
                prediction = classify(stream, checkpoint, overlap=overlap)
    except AudioError as error:
        return track.track_id, str(error)
    return TrackResult(track.track_id, labels[track.genre], prediction.segment_probabilities[prediction.segment_sounds])


def load_middle(track: AudioTrack, sample_rate: int, seconds: float | None) -> Clip:
    """Decode a track and keep ``seconds`` from its middle; a shorter one, or with None any, is kept whole."""
    clip = load_clip(track.path, sample_rate=sample_rate, name=track.track_id)
    n_kept = len(clip.samples)
    if seconds is not None:
        n_kept = round(min(seconds * sample_rate, n_kept))  # the seconds may be infinite
    start = (len(clip.samples) - n_kept) // 2
    return replace(clip, samples=clip.samples[start : start + n_kept])


def in_threads(one: Callable[[AudioTrack], Result], tracks: Sequence[AudioTrack], workers: int) -> Iterator[Result]:
    """Yield ``one(track)`` of each track in their order; decoder, network and filters run outside Python's lock."""
    with ThreadPoolExecutor(max_workers=workers) as pool:
        try:
            yield from pool.map(one, tracks)
        finally:
            pool.shutdown(cancel_futures=True)
