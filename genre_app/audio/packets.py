"""A digest of the coded audio in a file: it stays the same when only the tags change."""

from __future__ import annotations

import hashlib
from pathlib import Path

from genre_app.audio.pyav import FORMATS
from genre_app.errors import AudioError, first_line


def packets_digest(path: Path) -> str:
    """Return a digest of the packets of the first audio track and of their times, without decoding them.

    Raises
    ------
    AudioError
        If FFmpeg cannot read the file.
    """
    import av

    digest = hashlib.sha256()
    try:
        with av.open(path, "r", options={"format_whitelist": FORMATS}, metadata_errors="replace") as container:
            for packet in container.demux(container.streams.audio[0]):
                digest.update(f"{packet.pts} {packet.size}\0".encode())
                digest.update(bytes(packet))
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise AudioError(f"{path.name}: its coded audio cannot be read: {first_line(error)}") from error
    return digest.hexdigest()
