"""Decode many files in several processes, and skip a file that crashes its process; `in_pool` does so with any work."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import connection, get_context, parent_process
from typing import TYPE_CHECKING, TypeVar, cast

import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from genre_app.data.cache.rows import Rows, read_rows
from genre_app.data.tracks import AudioTrack
from genre_app.errors import AudioError
from genre_app.features import FeatureSpec
from genre_app.progress import Monitor, usable_cores

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess
    from multiprocessing.synchronize import Event

# Starting a worker costs about as much as decoding this many files, or summarising this many.
_FILES_PER_WORKER = 40
_SUMMARIES_PER_WORKER = 4
_POLL_SECONDS = 0.2

_stop: Event | None = None  # in a worker: set when it must stop


@dataclass(frozen=True)
class Failure:
    """Why a file has no rows.

    Attributes
    ----------
    reason : str
        A sentence.
    passing : bool
        Whether the cause may lie outside the file, so that another try may succeed.
    """

    reason: str
    passing: bool = False


_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def n_workers(n_files: int, spec: FeatureSpec) -> int:
    """Return the number of processes worth starting for ``n_files`` files: at most one per usable core."""
    per_worker = _SUMMARIES_PER_WORKER if spec.kind == "summary" else _FILES_PER_WORKER
    return max(1, min(usable_cores(), n_files // per_worker))


def read_all(
    tracks: Sequence[AudioTrack], spec: FeatureSpec, processes: int, monitor: Monitor
) -> Iterator[tuple[AudioTrack, Rows | Failure]]:
    """Decode files and yield their rows, in any order; if ``processes`` is 1, this process does the work itself.

    Raises
    ------
    StoppedError
    """
    here = partial(_rows_or_failure, spec=spec, monitor=monitor)
    if processes > 1:
        return in_pool(tracks, partial(_work, spec=spec), here, _crashed, processes, monitor)
    return ((track, here(track)) for track in tracks)


def _crashed(track: AudioTrack) -> Failure:
    reason = f"{track.track_id}: the process that decoded it crashed or ran out of memory; convert it to WAV"
    return Failure(reason, passing=True)


def _rows_or_failure(track: AudioTrack, spec: FeatureSpec, monitor: Monitor) -> Rows | Failure:
    try:
        return read_rows(track.path, track.track_id, spec, monitor)
    except AudioError as error:
        reason, name = str(error), f"{track.path.name}: "
        reason = f"{track.track_id}: {reason.removeprefix(name)}" if reason.startswith(name) else reason
        # An error of the disk or the network may pass. A missing or forbidden file is noticed by its stamp when that changes.
        lasting = (FileNotFoundError, PermissionError)
        return Failure(reason, isinstance(error.__cause__, OSError) and not isinstance(error.__cause__, lasting))
    except MemoryError:
        return Failure(f"{track.track_id}: there is not enough memory to decode it; cut it into shorter pieces", passing=True)


def in_pool(
    items: Iterable[_Item],
    work: Callable[[_Item], _Result],
    here: Callable[[_Item], _Result],
    crashed: Callable[[_Item], _Result],
    processes: int,
    monitor: Monitor,
) -> Iterator[tuple[_Item, _Result]]:
    """Work on files in several processes, and find the ones that crash their process.

    Parameters
    ----------
    items : iterable
        The files; each can be pickled.
    work : callable
        Called in a worker, with one thread; can be pickled, and stops when `worker_stops`.
    here : callable
        Does the same in this process; called if no worker can start.
    crashed : callable
        Returns the result of a file that crashes its process.
    processes : int
    monitor : Monitor

    Yields
    ------
    item, result
        In any order.

    Raises
    ------
    StoppedError
    """
    # Not concurrent.futures: if a process dies while another one starts, the pool of Python 3.11 waits without end. Nor does it
    # say which file was in work.
    waiting = deque(items)
    is_alone = len(waiting) == 1
    context = get_context("spawn")
    stop = context.Event()
    workers: dict[connection.Connection, BaseProcess] = {}
    in_work: dict[connection.Connection, _Item] = {}
    lost: list[_Item] = []  # in work when their process died
    try:
        while waiting or in_work:
            if not processes:
                # No worker can start at all, for example when the program is a script without a main guard.
                yield from ((item, here(item)) for item in waiting)
                break
            while len(workers) < min(processes, len(waiting) + len(in_work)):
                pipe, theirs = context.Pipe()
                process = context.Process(target=_serve, args=(theirs, work, stop))
                process.start()
                theirs.close()
                workers[pipe] = process
            for pipe in cast("list[connection.Connection]", connection.wait(workers, _POLL_SECONDS)):
                try:
                    result, error = pipe.recv()
                except (EOFError, OSError):  # the process died
                    workers.pop(pipe).join()
                    if pipe in in_work:
                        lost.append(in_work.pop(pipe))
                    else:
                        processes -= 1  # it could not start
                    continue
                if error is not None:
                    raise error
                done = [(in_work.pop(pipe), result)] if pipe in in_work else []  # the first message has no result
                if waiting:
                    in_work[pipe] = waiting.popleft()
                    with suppress(OSError):  # the process has died since, as `connection.wait` will tell
                        pipe.send(in_work[pipe])
                yield from done
            monitor.check("decoding")
    finally:
        stop.set()  # after an error, the workers must not finish their files first
        for pipe in workers:
            pipe.close()
        for worker in workers.values():
            worker.join()
    for item in lost:
        if is_alone:
            yield item, crashed(item)
        else:  # with the others it may have had too little memory
            yield from in_pool([item], work, crashed, crashed, 1, monitor)


def _serve(pipe: connection.Connection, work: Callable[[_Item], _Result], stop: Event) -> None:
    """Work on the files that come through the pipe until it is closed; runs in a worker."""
    start_worker(stop)
    answer: tuple[_Result | None, Exception | None] = None, None
    with suppress(EOFError, OSError):
        while True:
            pipe.send(answer)
            item = pipe.recv()
            try:
                answer = work(item), None
            except Exception as error:  # noqa: BLE001 - the parent raises it
                answer = None, error


def start_worker(stop: Event) -> None:
    """Initialise a worker: it uses one thread, ignores Ctrl-C, stops at the event and ends with its parent."""
    global _stop
    _stop = stop
    torch.set_num_threads(1)
    threadpool_limits(1)  # numpy's threads
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to every process; the parent handles it
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # A killed parent cannot end its workers; without this they would wait for work for ever.
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def worker_stops() -> bool:
    """Whether this worker must stop."""
    return _stop is not None and _stop.is_set()


def _work(track: AudioTrack, spec: FeatureSpec) -> Rows | Failure:
    return _rows_or_failure(track, spec, Monitor(should_stop=worker_stops))
