"""Classify the contents of a library on the machines of a Ray cluster; needs Ray, the extra ``ray``.

Actors of Ray Data read the files by their paths, so no audio goes through Ray. Only this process writes the catalogue.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from genre_app.errors import CheckpointError, DataError, first_line
from genre_app.library.classify import CRASHED, Job, Task, answer_of, loaded
from genre_app.library.records import Answer
from genre_app.progress import Monitor

# An actor returns the answers of a block together: a larger block costs Ray less, a smaller one loses less in a kill.
_MAX_PER_BLOCK = 16
_BLOCKS_PER_ACTOR = 4  # so that all actors end at about the same time
# Decoding needs a core: four threads classify 1.6 times as many clips as one (tests/bench/README.md, row `clips`).
_ACTORS_PER_GPU = 4
_POLL_SECONDS = 0.2
_PROBE = -1  # the index of a row that shows that actors work


def check_ray() -> None:
    """Raise a `DataError` if Ray Data is not installed."""
    try:
        import ray.data  # noqa: F401
    except ImportError as error:
        raise DataError("The engine ray needs the library Ray; install it with: pip install genre-app[ray]") from error


def on_ray(tasks: Sequence[Task], job: Job) -> Iterator[tuple[Task, Answer]]:
    """Classify files with a pool of Ray actors; the `Engine` of ``--engine ray``.

    It uses the Ray that is running in this process, else the cluster that ``RAY_ADDRESS`` names, else a cluster of its own on
    this machine. If the cluster has GPUs, the actors use them.

    Raises
    ------
    CheckpointError
        If a machine has another checkpoint, or the output is not finite.
    DataError
        If the cluster cannot be used, or one of its machines does not see a file.
    StoppedError
    """
    check_ray()
    from ray.exceptions import RayError

    left, works = dict(enumerate(tasks)), False
    try:
        with _connected():
            for alone in (False, True):  # files in work when an actor died are tried again, each in a block of its own
                for index, result in _results(left, job, alone=alone) if left else ():
                    works = True
                    if (task := left.pop(index, None)) is not None:
                        yield task, _checked(task, result)
    except (RayError, ConnectionError) as error:
        raise DataError(f"The Ray cluster cannot be used: {first_line(error)}; look at its log.") from error
    if left and not works:
        raise DataError("No actor can start; install the same version of genre-app on each machine of the Ray cluster.")
    for task in left.values():
        yield task, Answer(error=CRASHED)


def _checked(task: Task, result: str) -> Answer:
    found = json.loads(result)
    if isinstance(found, str):
        raise CheckpointError(found)
    if found is None and task.path.is_file():
        raise DataError(f"A machine of the Ray cluster does not see {task.path}; mount the folder under this path everywhere.")
    if found is None:  # the file was removed meanwhile
        return Answer()
    return Answer(**{**found, "warnings": tuple(found["warnings"])})


@contextmanager
def _connected() -> Iterator[None]:
    import ray

    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a cluster that is started here shall report nothing to its makers
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR)
        with suppress(ValueError):  # not in the main thread
            signal.signal(signal.SIGTERM, on_sigterm)  # Ray has replaced it
        yield
    finally:
        ray.shutdown()


def _results(tasks: Mapping[int, Task], job: Job, *, alone: bool) -> Iterator[tuple[int, str]]:
    """Yield the index and the `Actor.result` of each task that does not crash its actor."""
    import ray.data

    cluster = ray.cluster_resources()
    n_gpus = int(cluster.get("GPU", 0))
    fitting = max(1, n_gpus * _ACTORS_PER_GPU or int(cluster.get("CPU", 1)))
    n_actors = min(job.processes or fitting, len(tasks))
    per_block = 1 if alone else min(_MAX_PER_BLOCK, max(1, len(tasks) // (_BLOCKS_PER_ACTOR * n_actors)))
    rows = [{"index": _PROBE, "path": b""}]  # bytes, since Arrow takes no path that is not UTF-8
    rows += [{"index": index, "path": os.fsencode(task.path.absolute())} for index, task in tasks.items()]

    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # it logs each crash
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.max_errored_blocks = -1  # a crash costs its block only
    names = tuple(os.path.abspath(name) if Path(name).is_file() else name for name in job.names)  # noqa: PTH100
    found = ray.data.from_items(rows, override_num_blocks=-(-len(rows) // per_block)).map_batches(
        Actor,
        fn_constructor_args=(names, job.identity, bool(n_gpus)),
        batch_size=None,
        compute=ray.data.ActorPoolStrategy(
            min_size=min(n_actors, fitting), max_size=n_actors, max_tasks_in_flight_per_actor=1 if alone else 2
        ),
        num_cpus=1,
        num_gpus=1 / _ACTORS_PER_GPU if n_gpus else None,
        ray_remote_args_fn=lambda: {"max_task_retries": 0},  # else a file that crashes its actor is tried for ever
    )
    return ((row["index"], row["result"]) for row in _polled(found.iter_rows(), job.monitor))


def _polled(rows: Iterator[dict[str, Any]], monitor: Monitor) -> Iterator[dict[str, Any]]:
    """Yield the rows, and check meanwhile whether to stop."""
    ready: queue.Queue[dict[str, Any] | BaseException | None] = queue.Queue()
    closed = threading.Event()

    def read() -> None:
        try:
            for row in rows:
                ready.put(row)
                if closed.is_set():
                    return
            ready.put(None)
        except BaseException as error:  # noqa: BLE001 - raised again below
            ready.put(error)

    threading.Thread(target=read, daemon=True).start()
    try:
        while True:
            monitor.check("classifying")
            with suppress(queue.Empty):
                row = ready.get(timeout=_POLL_SECONDS)
                if isinstance(row, BaseException):
                    raise row
                if row is None:
                    return
                yield row
    finally:
        closed.set()


class Actor:
    """Answers for files in a process of the cluster.

    Parameters
    ----------
    names : tuple of str
        Of the checkpoints.
    identity : str
        Their `genre_app.library.classify.identity_of`.
    on_gpu : bool
    """

    def __init__(self, names: tuple[str, ...], identity: str, on_gpu: bool) -> None:
        torch.set_num_threads(1)
        self._loading = (names, identity, "cuda" if on_gpu else "cpu")

    def __call__(self, batch: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return the result of each file of a batch."""
        results = [self.result(Path(os.fsdecode(path))) for path in batch["path"]]
        return {"index": batch["index"], "result": np.fromiter(results, object, len(results))}

    def result(self, path: Path) -> str:
        """Return as JSON the answer for a file, null if there is no such file here, or why the checkpoint cannot be used."""
        try:
            return json.dumps(asdict(answer_of(path, loaded(*self._loading))) if path.is_file() else None)
        except CheckpointError as error:
            return json.dumps(str(error))
