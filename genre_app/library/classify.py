"""Classify the contents that have no answer yet, in several processes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from genre_app.audio import open_audio
from genre_app.checkpoint import Checkpoint, load_checkpoint
from genre_app.combine import combine
from genre_app.data.cache.build import stamp_of
from genre_app.data.cache.workers import in_pool, worker_stops
from genre_app.errors import AudioError, CheckpointError
from genre_app.library.catalogue import Catalogue
from genre_app.library.records import Answer, Track
from genre_app.predict import classify
from genre_app.progress import QUIET, Meter, Monitor, usable_cores
from genre_app.teaching.embedding import networks_digest

if TYPE_CHECKING:
    from genre_app.audio import AudioStream

_FILES_PER_WORKER = 8  # starting a worker takes about as long as classifying this many tracks
_MAX_SECONDS = 3 * 3600.0  # the limit of the page
_NAME = "file"  # in messages, which are kept without it: files of any name may have the content
_CRASHED = "the process that classified it crashed or ran out of memory; convert it to WAV"


@dataclass(frozen=True)
class Classified:
    """Numbers of contents that one call classified, that failed, and whose files changed meanwhile."""

    n_done: int = 0
    n_failed: int = 0
    n_changed: int = 0


@dataclass(frozen=True)
class _Task:
    path: Path
    track: Track


def identity_of(checkpoint: Checkpoint) -> str:
    """Return a digest of all that the answers of a checkpoint depend on."""
    members = [(member.weight, member.temperature) for member in checkpoint.members]
    others = [checkpoint.genres, members, checkpoint.sure.model_dump(), checkpoint.none_of_these]
    return hashlib.sha256(f"{networks_digest(checkpoint)} {json.dumps(others)}".encode()).hexdigest()


def classify_new(
    folder: Path,
    catalogue: Catalogue,
    checkpoint: Checkpoint,
    names: Sequence[str],
    *,
    processes: int | None = None,
    retry: bool = False,
    monitor: Monitor = QUIET,
) -> Classified:
    """Classify each content that has no answer of this checkpoint, and select the checkpoint.

    Parameters
    ----------
    folder : pathlib.Path
    catalogue : Catalogue
        Scanned; see `genre_app.library.scan`.
    checkpoint : Checkpoint
    names : sequence of str
        Names or files of the checkpoints that were combined to it; each worker loads them.
    processes : int, optional
        Number of workers; by default one per core, fewer for few files.
    retry : bool
        Whether to try contents again that could not be classified.
    monitor : Monitor

    Raises
    ------
    CheckpointError
        If a checkpoint changed meanwhile, or its output is not finite.
    StoppedError
        What is classified by then is kept.
    """
    identity = identity_of(checkpoint)
    catalogue.use_checkpoint(identity, checkpoint.name)
    tracks = [track for track in catalogue.tracks() if track.content]
    left = {t.content: t for t in tracks if t.answer is None or (retry and t.answer.error)}
    tasks = [_Task(folder / track.path, track) for track in left.values()]
    if processes is None:
        processes = min(usable_cores(), len(tasks) // _FILES_PER_WORKER)
    work = partial(_in_worker, names=tuple(names), identity=identity)
    here = partial(_answer, checkpoint=checkpoint, monitor=monitor)
    meter = Meter("classifying tracks", len(tasks), sum(task.track.stamp[0] for task in tasks), monitor)
    n_failed = n_changed = 0
    # Also a single file is classified by a worker: a file that crashes its process must not stop each later call.
    for task, answer in in_pool(tasks, work, here, lambda _: Answer(error=_CRASHED), max(1, processes), monitor):
        if stamp_of(task.path) == task.track.stamp:
            catalogue.put_answer(task.track.content, answer)
            n_failed += bool(answer.error)
        else:
            n_changed += 1
        meter.advance(1, task.track.stamp[0])
    return Classified(len(tasks) - n_changed, n_failed, n_changed)


class _Watched:
    """An audio stream that stops between two blocks if the monitor says so."""

    def __init__(self, stream: AudioStream, monitor: Monitor) -> None:
        self._stream, self._monitor = stream, monitor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        for block in self._stream.blocks():
            self._monitor.check("classifying")
            yield block


def _answer(task: _Task, checkpoint: Checkpoint, monitor: Monitor) -> Answer:
    try:
        with open_audio(task.path, sample_rate=checkpoint.sample_rate, name=_NAME, max_seconds=_MAX_SECONDS) as stream:
            found = classify(cast("AudioStream", _Watched(stream, monitor)), checkpoint)
    except AudioError as error:
        return Answer(error=str(error).removeprefix(f"{_NAME}: "))
    except MemoryError:
        return Answer(error="there is not enough memory to decode it; cut it into shorter pieces")
    probabilities = dict(zip(found.genres, found.probabilities.tolist(), strict=True))
    return Answer(found.genre, found.rejected, bool(found.is_sure), probabilities, found.warnings)


def _in_worker(task: _Task, names: tuple[str, ...], identity: str) -> Answer:
    return _answer(task, _loaded(names, identity), Monitor(should_stop=worker_stops))


@lru_cache(maxsize=1)
def _loaded(names: tuple[str, ...], identity: str) -> Checkpoint:
    checkpoint = combine([load_checkpoint(name) for name in names])
    if identity_of(checkpoint) != identity:
        raise CheckpointError(f"the checkpoint {checkpoint.name} was replaced meanwhile; start again")
    return checkpoint
