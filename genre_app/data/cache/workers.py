"""Decode many files in several processes; one that crashes its process is found out and skipped."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from typing import TYPE_CHECKING

import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from genre_app.data.cache.rows import Rows, read_rows
from genre_app.data.sources.folder import AudioTrack
from genre_app.errors import AudioError
from genre_app.features import FeatureSpec
from genre_app.progress import Monitor

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

# Starting a process takes as long as about as many files.
_FILES_WORTH_A_PROCESS = 40
_SUMMARIES_WORTH_A_PROCESS = 4
_POLL_SECONDS = 0.2

_stop: Event | None = None  # of a worker process


@dataclass(frozen=True)
class Failure:
    """Why there are no rows of a file.

    Attributes
    ----------
    reason : str
        A sentence.
    passing : bool
        The file need not be to blame, so that it is worth another try.
    """

    reason: str
    passing: bool = False


def usable_processes(n_files: int, spec: FeatureSpec) -> int:
    """How many processes to start for so many files: at most one for each core that this process may use."""
    worth = _SUMMARIES_WORTH_A_PROCESS if spec.kind == "summary" else _FILES_WORTH_A_PROCESS
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, n_files // worth))


def read_all(
    tracks: Sequence[AudioTrack], spec: FeatureSpec, processes: int, monitor: Monitor
) -> Iterator[tuple[AudioTrack, Rows | Failure]]:
    """Decode files and compute their rows, in any order.

    Parameters
    ----------
    tracks : sequence of AudioTrack
    spec : FeatureSpec
    processes : int
        With 1, the work is done in this process.
    monitor : Monitor

    Yields
    ------
    AudioTrack, Rows or Failure

    Raises
    ------
    StoppedError
    """
    if processes > 1:
        yield from _pooled(deque(tracks), spec, processes, monitor)
        return
    yield from _here(tracks, spec, monitor)


def _here(tracks: Iterable[AudioTrack], spec: FeatureSpec, monitor: Monitor) -> Iterator[tuple[AudioTrack, Rows | Failure]]:
    for track in tracks:
        yield track, _rows_or_reason(track, spec, monitor)


def _rows_or_reason(track: AudioTrack, spec: FeatureSpec, monitor: Monitor) -> Rows | Failure:
    try:
        return read_rows(track.path, track.track_id, spec, monitor)
    except AudioError as error:
        reason, name = str(error), f"{track.path.name}: "
        reason = f"{track.track_id}: {reason.removeprefix(name)}" if reason.startswith(name) else reason
        # Of the disk or the connection; that a file is there and may be read again is noticed by itself.
        lasting = (FileNotFoundError, PermissionError)
        passing = isinstance(error.__cause__, OSError) and not isinstance(error.__cause__, lasting)
        return Failure(reason, passing)
    except MemoryError:
        return Failure(f"{track.track_id}: there is not enough memory to decode it; cut it into shorter pieces", passing=True)


def _pooled(
    waiting: deque[AudioTrack], spec: FeatureSpec, processes: int, monitor: Monitor
) -> Iterator[tuple[AudioTrack, Rows | Failure]]:
    suspects: deque[AudioTrack] = deque()  # were in work when a process died: each is tried again by itself
    context = get_context("spawn")
    while waiting or suspects:
        alone = bool(suspects)
        queue, n_flying = (suspects, 1) if alone else (waiting, 2 * processes)
        flying: dict[Future[Rows | Failure], AudioTrack] = {}
        stop = context.Event()
        n_workers = 1 if alone else processes
        with ProcessPoolExecutor(n_workers, mp_context=context, initializer=start_worker, initargs=(stop,)) as pool:
            ready = pool.submit(os.getpid)
            try:
                while queue or flying:
                    while queue and len(flying) < n_flying:
                        flying[pool.submit(_work, queue[0], spec)] = queue[0]
                        queue.popleft()
                    done, _ = wait(flying, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
                    monitor.check("decoding")
                    for future in done:
                        result = future.result()
                        yield flying.pop(future), result
            except BrokenProcessPool:
                suspects.extend(flying.values())
                if not alone:
                    continue
                if not ready.done() or ready.exception() is not None:
                    # No process starts here at all, as where the program is a script without a main guard.
                    yield from _here([*suspects, *waiting], spec, monitor)
                    return
                for track in flying.values():  # the one that it was at
                    suspects.remove(track)
                    reason = f"{track.track_id}: the process that decoded it crashed or ran out of memory; convert it to WAV"
                    yield track, Failure(reason, passing=True)
            except BaseException:  # also where the caller wants no more: the workers must not finish what they are at
                stop.set()
                for future in flying:
                    future.cancel()
                raise


def start_worker(stop: Event) -> None:
    """Initialise a worker process: one thread, deaf to Ctrl-C, told to stop by an event, and it ends when its parent does."""
    global _stop
    _stop = stop
    torch.set_num_threads(1)
    threadpool_limits(1)  # and numpy's
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to every process of the terminal; the parent answers it
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # A parent that was killed cannot end its workers, and they would wait for work for ever.
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def worker_stops() -> bool:
    """Whether this worker process was told to stop."""
    return _stop is not None and _stop.is_set()


def _work(track: AudioTrack, spec: FeatureSpec) -> Rows | Failure:
    return _rows_or_reason(track, spec, Monitor(should_stop=worker_stops))
