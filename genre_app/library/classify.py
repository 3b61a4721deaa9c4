"""Classify the contents that have no answer yet. An `Engine` does the work; `local` is one, `ray_engine` has another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
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
CRASHED = "the process that classified it crashed or ran out of memory; convert it to WAV"
"""The error of a file that crashes its process."""


@dataclass(frozen=True)
class Classified:
    """Numbers of contents that one call classified, that failed, and whose files changed meanwhile."""

    n_done: int = 0
    n_failed: int = 0
    n_changed: int = 0


@dataclass(frozen=True)
class Task:
    """A track to classify, and the full path of its file."""

    path: Path
    track: Track


@dataclass(frozen=True)
class Job:
    """How to classify.

    Attributes
    ----------
    checkpoint : Checkpoint
    names : tuple of str
        Names or files of the checkpoints that were combined to it; each worker loads them.
    identity : str
        `identity_of` the checkpoint.
    processes : int or None
        Number of workers; by default the engine chooses.
    monitor : Monitor
    """

    checkpoint: Checkpoint
    names: tuple[str, ...]
    identity: str
    processes: int | None
    monitor: Monitor


Engine = Callable[[Sequence[Task], Job], Iterator[tuple[Task, Answer]]]
"""Classifies files and yields each result as soon as it is known, in any order."""


def identity_of(checkpoint: Checkpoint) -> str:
    """Return a digest of all that the answers of a checkpoint depend on."""
    members = [(member.weight, member.temperature) for member in checkpoint.members]
    temperature = [checkpoint.temperature] if checkpoint.temperature != 1.0 else []  # else older catalogues would start anew
    others = [checkpoint.genres, members, checkpoint.sure.model_dump(), checkpoint.none_of_these, *temperature]
    return hashlib.sha256(f"{networks_digest(checkpoint)} {json.dumps(others)}".encode()).hexdigest()


def classify_new(
    folder: Path,
    catalogue: Catalogue,
    checkpoint: Checkpoint,
    names: Sequence[str],
    *,
    engine: Engine | None = None,
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
    engine : callable, optional
        An `Engine`; by default `local`.
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
    tasks = [Task(folder / track.path, track) for track in left.values()]
    job = Job(checkpoint, tuple(names), identity, processes, monitor)
    meter = Meter("classifying tracks", len(tasks), sum(task.track.stamp[0] for task in tasks), monitor)
    n_failed = n_changed = 0
    for task, answer in (engine or local)(tasks, job) if tasks else ():
        if stamp_of(task.path) == task.track.stamp:
            catalogue.put_answer(task.track.content, answer)
            n_failed += bool(answer.error)
        else:
            n_changed += 1
        meter.advance(1, task.track.stamp[0])
    return Classified(len(tasks) - n_changed, n_failed, n_changed)


def local(tasks: Sequence[Task], job: Job) -> Iterator[tuple[Task, Answer]]:
    """Classify files in several processes of this machine; the default `Engine`."""
    processes = min(job.processes or max(1, min(usable_cores(), len(tasks) // _FILES_PER_WORKER)), len(tasks))
    work = partial(_in_worker, names=job.names, identity=job.identity)
    # Also a single file is classified by a worker: a file that crashes its process must not stop each later call.
    return in_pool(tasks, work, partial(_here, job=job), lambda _: Answer(error=CRASHED), processes, job.monitor)


def _here(task: Task, job: Job) -> Answer:
    return answer_of(task.path, job.checkpoint, job.monitor)


def _in_worker(task: Task, names: tuple[str, ...], identity: str) -> Answer:
    return answer_of(task.path, loaded(names, identity), Monitor(should_stop=worker_stops))


@lru_cache(maxsize=1)
def loaded(names: tuple[str, ...], identity: str, device: str = "cpu") -> Checkpoint:
    """Load and combine checkpoints, once in a process.

    Raises
    ------
    CheckpointError
        If one cannot be loaded, or their identity is another.
    """
    checkpoint = combine([load_checkpoint(name, device) for name in names])
    if identity_of(checkpoint) != identity:
        raise CheckpointError(f"the checkpoint {checkpoint.name} was replaced meanwhile; start again")
    return checkpoint


def answer_of(path: Path, checkpoint: Checkpoint, monitor: Monitor = QUIET) -> Answer:
    """Return the answer of a checkpoint for a file, which may be an error."""
    try:
        with open_audio(path, sample_rate=checkpoint.sample_rate, name=_NAME, max_seconds=_MAX_SECONDS) as stream:
            found = classify(cast("AudioStream", _Watched(stream, monitor)), checkpoint)
    except AudioError as error:
        return Answer(error=str(error).removeprefix(f"{_NAME}: "))
    except MemoryError:
        return Answer(error="there is not enough memory to decode it; cut it into shorter pieces")
    probabilities = dict(zip(found.genres, found.probabilities.tolist(), strict=True))
    return Answer(found.genre, found.rejected, bool(found.is_sure), probabilities, found.warnings)


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
