"""A worker whose decoder kills its process, hangs, or talks nonsense, at a file of that name."""

import os
import time
from typing import Any, BinaryIO

from genre_app.audio import clip, worker
from genre_app.audio.decode import open_decoder


def _open(source: str | BinaryIO, name: str) -> Any:
    decoder, file = open_decoder(source, name)
    if name.startswith("crash-opened"):
        os.abort()
    if name.startswith("crash-decoding"):
        decoder.blocks = _after_one_block(decoder.blocks())  # type: ignore[method-assign]
    if name.startswith("strange"):
        worker._send = lambda server, **_: server.send_bytes(b'{"kind": "hello"}')
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
