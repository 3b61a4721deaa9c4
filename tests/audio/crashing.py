"""A worker whose decoder kills its process or hangs, or that talks nonsense, at a file of that name."""

import os
import time
from collections.abc import Callable
from typing import Any, BinaryIO

from genre_app.audio import clip, worker
from genre_app.audio.decode import open_decoder


def _half(server: Any, **_: Any) -> None:
    """Begin a message and say no more."""
    os.write(server.fileno(), b"\0\0\1\0{")
    time.sleep(60)


def _drip(server: Any, **_: Any) -> None:
    """Send a long message so slowly that it never ends."""
    os.write(server.fileno(), b"\0\0\1\0")
    while True:
        os.write(server.fileno(), b" ")
        time.sleep(0.05)


def _huge(server: Any, **_: Any) -> None:
    """State a length of two gigabytes."""
    os.write(server.fileno(), b"\x7f\xff\xff\xff{")
    time.sleep(60)


def _blocks(content: bytes, seconds: float = 0.0) -> Callable[..., None]:
    """Send the same block without end."""

    def send(server: Any, **_: Any) -> None:
        server.send_bytes(b'{"kind": "opened"}')
        while True:
            time.sleep(seconds)
            server.send_bytes(b'{"kind": "block"}')
            server.send_bytes(content)

    return send


def _short(server: Any, **_: Any) -> None:
    """Open the file again in place of its end."""
    server.send_bytes(b'{"kind": "opened"}')
    server.send_bytes(b'{"kind": "block"}')
    server.send_bytes(bytes(4 * 22050))
    server.send_bytes(b'{"kind": "opened"}')
    time.sleep(60)


_TAKEN_OVER = {
    "half": _half,
    "drip": _drip,
    "huge": _huge,
    "endless": _blocks(bytes(400_000)),
    "slow": _blocks(bytes(4), 0.05),
    "empty": _blocks(b""),
    "not-finite": _blocks(b"\xff" * 400_000),
    "short": _short,
}


def _open(source: str | BinaryIO, name: str) -> Any:
    decoder, file = open_decoder(source, name)
    if name.startswith("crash-opened"):
        os.abort()
    if name.startswith("crash-decoding"):
        decoder.blocks = _after_one_block(decoder.blocks())  # type: ignore[method-assign]
    if name.startswith("strange"):
        worker._send = lambda server, **_: server.send_bytes(b'{"kind": "hello"}')
    if name.startswith("taken-over"):
        worker._send = _TAKEN_OVER[name.removesuffix(".wav").removeprefix("taken-over-")]
    if name.startswith("hang"):
        time.sleep(60)
    return decoder, file


def _after_one_block(blocks: Any) -> Any:
    def crash() -> Any:
        yield next(blocks)
        os.abort()

    return crash


if __name__ == "__main__":
    clip.open_decoder = _open
    worker.main()
