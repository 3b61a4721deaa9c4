"""A process that decodes files for a server; `genre_app.audio.apart` starts it and says why."""

from __future__ import annotations

import json
import resource
import signal
import socket
import sys
from contextlib import suppress
from typing import Any

import av  # noqa: F401 - while the worker is idle, so that no file waits for it

from genre_app.audio.channel import Channel
from genre_app.audio.clip import open_audio
from genre_app.audio.stream import AudioStream
from genre_app.errors import AudioError

_MAX_BYTES = 2 << 30  # of memory; the address space, which is larger than what is used


def main() -> None:
    """Answer requests from the socket whose number is the first argument, until the server closes it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to every process; the server ends this one
    _limit_memory()
    server = Channel(socket.socket(fileno=int(sys.argv[1])))
    with suppress(ConnectionError):
        while True:
            answer(server, json.loads(server.recv_bytes()))


def answer(server: Channel, request: dict[str, Any]) -> None:
    """Decode the file that a request names, and send what `genre_app.audio.open_audio` makes of it."""
    stream: AudioStream | None = None
    try:
        with open_audio(**request) as stream:
            _send(server, kind="opened")
            for block in stream.blocks():
                _send(server, kind="block")
                server.send_bytes(block.tobytes())
            _send(server, kind="end", warnings=stream.warnings)
    except AudioError as error:
        _send(server, kind="error", sentence=str(error), n_samples=stream.n_samples if stream else 0)


def _send(server: Channel, **message: Any) -> None:
    server.send_bytes(json.dumps(message).encode())


def _limit_memory() -> None:
    with suppress(ValueError):  # macOS has no such limit, or the user has set a lower one
        resource.setrlimit(resource.RLIMIT_AS, (_MAX_BYTES, _MAX_BYTES))


if __name__ == "__main__":
    main()
