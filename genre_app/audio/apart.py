"""Decode files in processes of their own, so that a crash in a native decoder ends one answer and not the server.

`start` turns this on in the server of the page; everything else decodes in its own process. A worker decodes one file at a
time. It is asked in JSON and answers in JSON and raw samples: nothing is unpickled, since a hostile file may have taken it
over.
"""

from __future__ import annotations

import json
import math
import socket
import time
from collections.abc import Generator
from threading import Lock
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationError

from genre_app import child
from genre_app.audio.channel import Channel
from genre_app.audio.stream import AudioStream
from genre_app.errors import AudioError

_WORKER = "genre_app.audio.worker"
_PATIENCE_SECONDS = 60.0  # between two blocks of a file
_MAX_WAIT_SECONDS = 600.0  # for all blocks of a file; three hours of Opus take 80 s on a slow core (measured)
_MAX_MESSAGE_BYTES = 1 << 16
_MAX_BLOCK_BYTES = 1 << 25  # a block is half a megabyte, and 48 times as large if it is resampled from 4 kHz to 192 kHz

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
    """Message of a worker about its file. The samples of a block follow in a message of their own."""

    kind: Literal["opened", "block", "end", "error"]
    warnings: list[str] = []
    sentence: str = ""
    n_samples: int = Field(0, ge=0, lt=1 << 53)


class WorkerError(OSError):
    """A worker has sent a message that does not belong to its answer."""


class Worker:
    """A process that decodes."""

    def __init__(self, module: str) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = child.start(module, str(theirs.fileno()), pass_fds=[theirs.fileno()])
        self.channel = Channel(ours)

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self.channel.close()
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
        request = json.dumps({"source": path, "name": name, **options}).encode()
        while True:
            with self._lock:
                idle = self._idle.pop() if self._idle else None
            worker = idle
            try:
                worker = idle or Worker(self._module)
                worker.channel.send_bytes(request, _PATIENCE_SECONDS)
                return ApartStream(self, worker, name, **options)
            except OSError as error:
                if worker is not None:
                    worker.stop()
                # An idle worker may have died before this file came; one that hangs does so because of this file.
                if idle is None or not isinstance(error, ConnectionError):
                    raise crashed(name) from error

    def give_back(self, worker: Worker, *, usable: bool) -> None:
        """Keep a worker for the next file, or end it."""
        with self._lock:
            kept = usable and len(self._idle) < self._n_idle
            if kept:
                self._idle.append(worker)
        if not kept:
            worker.stop()


class ApartStream(AudioStream):
    """A stream that a worker decodes, mixes and resamples; the worker has been asked for it.

    Raises
    ------
    AudioError
        If the worker cannot open the file.
    OSError
        If the worker died, hung or sent a wrong message before it had opened the file.
    """

    def __init__(
        self, pool: Pool, worker: Worker, name: str, *, sample_rate: int, max_seconds: float | None = None, **_: Any
    ) -> None:
        super().__init__(sample_rate, name)
        self._pool, self._worker = pool, worker
        self._most_samples = math.inf if max_seconds is None else max_seconds * sample_rate
        self._wait_seconds = _MAX_WAIT_SECONDS  # left
        self._is_at_rest = False  # whether the worker waits for its next file
        try:
            self._next("opened")
        except AudioError:
            self._release()
            raise

    def _decoded(self) -> Generator[NDArray[np.float32], None, None]:
        try:
            while self._next("block", "end").kind == "block":
                content = self._receive(_MAX_BLOCK_BYTES)
                if not content or len(content) % np.dtype(np.float32).itemsize:
                    raise WorkerError
                block = np.frombuffer(content, np.float32)
                self.n_samples += len(block)
                if self.n_samples > self._most_samples or not np.isfinite(block).all():
                    raise WorkerError  # the worker checks both
                yield block
        except OSError as error:
            raise crashed(self.name) from error

    def _next(self, *expected: str) -> _Message:
        """Wait for the worker's next message, of an expected kind or an error."""
        try:
            message = _Message.model_validate_json(self._receive(_MAX_MESSAGE_BYTES))
        except ValidationError as error:
            raise WorkerError from error
        if message.kind not in ("error", *expected):
            raise WorkerError
        self._is_at_rest = message.kind in ("end", "error")
        if message.kind == "error":
            self.n_samples = message.n_samples
            raise AudioError(message.sentence)
        self._warnings.extend(message.warnings)
        return message

    def _receive(self, most: int) -> bytearray:
        began = time.monotonic()
        content = self._worker.channel.recv_bytes(most, min(_PATIENCE_SECONDS, self._wait_seconds))
        self._wait_seconds -= time.monotonic() - began
        return content

    def _release(self) -> None:
        self._pool.give_back(self._worker, usable=self._is_at_rest)


def crashed(name: str) -> AudioError:
    """Return the error of a file whose worker died."""
    return AudioError(f"{name}: decoding it crashed, took too long or needed too much memory; convert it to WAV")
