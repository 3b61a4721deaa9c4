"""Decode files in processes of their own, so that a crash in a native decoder ends one answer and not the server.

`start` turns this on in the server of the page; everything else decodes in its own process. A worker decodes one file at a
time. It is asked in JSON and answers in JSON and raw samples: nothing is unpickled, since a hostile file may have taken it
over.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Generator
from multiprocessing.connection import Connection
from threading import Lock
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from genre_app import child
from genre_app.audio.stream import AudioStream
from genre_app.errors import AudioError

_WORKER = "genre_app.audio.worker"
_PATIENCE_SECONDS = 60.0  # between two blocks of a file
_MAX_MESSAGE_BYTES = 1 << 25  # a block is half a megabyte, and 48 times as large if it is resampled from 4 kHz to 192 kHz

_pool: Pool | None = None


def start(n_idle: int) -> None:
    """Let `genre_app.audio.open_audio` decode files in workers from now on.

    Parameters
    ----------
    n_idle : int
        Workers that are kept ready. Files that come while these are busy get further workers.
    """
    global _pool
    _pool = Pool(n_idle)


def running() -> Pool | None:
    """Return the workers, or None if this process decodes by itself."""
    return _pool


class _Message(BaseModel):
    """What a worker says of its file; the samples of a block follow by themselves."""

    kind: Literal["opened", "block", "end", "error"]
    warnings: list[str] = []
    sentence: str = ""
    n_samples: int = 0


class WorkerError(Exception):
    """A worker has died, does not answer, or answers what no worker says."""


class Worker:
    """A process that decodes."""

    def __init__(self, module: str) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = child.start(module, str(theirs.fileno()), pass_fds=[theirs.fileno()])
        self._connection = Connection(ours.detach())

    def send(self, message: dict[str, Any]) -> None:
        """Send a message; raises `WorkerError`."""
        try:
            self._connection.send_bytes(json.dumps(message).encode())
        except OSError as error:
            raise WorkerError from error

    def receive(self) -> bytes:
        """Wait for the next message; raises `WorkerError`."""
        try:
            if self._connection.poll(_PATIENCE_SECONDS):
                return self._connection.recv_bytes(_MAX_MESSAGE_BYTES)
        except (EOFError, OSError) as error:
            raise WorkerError from error
        raise WorkerError

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._connection.close()
        self._process.wait()


class Pool:
    """Workers that are ready.

    Parameters
    ----------
    n_idle : int
        Most workers that are kept while they are idle.
    module : str
        What a worker runs.
    """

    def __init__(self, n_idle: int, module: str = _WORKER) -> None:
        self._n_idle, self._module = n_idle, module
        self._lock = Lock()
        self._idle = [Worker(module) for _ in range(n_idle)]

    def open(self, path: str, name: str, **options: Any) -> ApartStream:
        """Open a file in a worker; parameters and errors as in `genre_app.audio.open_audio`."""
        request = {"source": path, "name": name, **options}
        while True:
            with self._lock:
                idle = self._idle.pop() if self._idle else None
            worker = idle or Worker(self._module)
            try:
                worker.send(request)
                return ApartStream(self, worker, options["sample_rate"], name)
            except WorkerError as error:
                worker.stop()
                if idle is None:  # an idle worker may have died before this file came
                    raise crashed(name) from error

    def give_back(self, worker: Worker, *, usable: bool) -> None:
        """Keep a worker for the next file, or end it."""
        with self._lock:
            kept = usable and len(self._idle) < self._n_idle
            if kept:
                self._idle.append(worker)
        if not kept:
            worker.stop()

    def close(self) -> None:
        """End the idle workers, and the others when they are given back."""
        with self._lock:
            self._n_idle, idle, self._idle = 0, self._idle, []
        for worker in idle:
            worker.stop()


class ApartStream(AudioStream):
    """A stream that a worker decodes, mixes and resamples; the worker has been asked for it.

    Raises
    ------
    AudioError
        If the worker cannot open the file.
    WorkerError
        If the worker died before it had opened the file.
    """

    def __init__(self, pool: Pool, worker: Worker, sample_rate: int, name: str) -> None:
        super().__init__(sample_rate, name)
        self._pool, self._worker = pool, worker
        self._is_at_rest = False  # whether the worker waits for its next file
        try:
            self._next()
        except AudioError:
            self._release()
            raise

    def _decoded(self) -> Generator[NDArray[np.float32], None, None]:
        try:
            while self._next().kind == "block":
                content = self._worker.receive()
                if len(content) % np.dtype(np.float32).itemsize:
                    raise WorkerError
                block = np.frombuffer(content, np.float32)
                self.n_samples += len(block)
                yield block
        except WorkerError as error:
            raise crashed(self.name) from error

    def _next(self) -> _Message:
        """Wait for the worker's next message."""
        try:
            message = _Message.model_validate_json(self._worker.receive())
        except ValidationError as error:
            raise WorkerError from error
        self._is_at_rest = message.kind in ("end", "error")
        if message.kind == "error":
            self.n_samples = message.n_samples
            raise AudioError(message.sentence)
        self._warnings.extend(message.warnings)
        return message

    def _release(self) -> None:
        self._pool.give_back(self._worker, usable=self._is_at_rest)


def crashed(name: str) -> AudioError:
    """Return the error of a file whose worker died."""
    return AudioError(f"{name}: decoding it crashed, took too long or needed too much memory; convert it to WAV")
