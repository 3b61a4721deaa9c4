"""Decode audio files to blocks of float samples at the file's own rate, without a system ffmpeg.

soundfile reads uncompressed files, five times faster than PyAV. PyAV reads compressed files: on 30 s it takes as long as
soundfile for MP3, half as long for Vorbis and a third for Opus (measured). PyAV also decodes an MP3 to its end, where
libsndfile stops at an estimated length, and it continues after damage. Files that soundfile cannot open go to PyAV too. Both
decode block by block, so memory does not grow with the length of a file.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from genre_app.audio import base
from genre_app.audio.base import Decoder, Source
from genre_app.audio.pyav import AvDecoder
from genre_app.errors import AudioError

_PLAIN = (b"RIFF", b"RF64", b"riff", b"FORM", b".snd")  # first bytes of uncompressed files: WAV, W64, AIFF, AU
_COMPRESSED = (b"fLaC", b"OggS", b"ID3", b"\x1aE\xdf\xa3", b"0&\xb2u")  # FLAC, Ogg, tagged MP3, Matroska, WMA
_PLACEHOLDER_SIZE = 0x7FFF0000  # bytes; programs that write to a pipe do not know a chunk's length and state this much or more
_HEAD_BYTES = 4096  # enough to recognise a format and to see a WAV's codec
_MISSING_SECONDS = 0.05  # a file is damaged if more than this is missing


class SoundFileDecoder:
    """A file that libsndfile opens; see `genre_app.audio.base.Decoder`."""

    def __init__(self, source: str | bytes | Source) -> None:
        self._file = soundfile.SoundFile(source)
        self.frames: int = self._file.frames
        # libsndfile decodes the data that exists; its log names each length in a header that is larger.
        notes = re.findall(r"^ *(?:data|SSND|Data Size|riff) *: (\d+) \(should be (\d+)\)", self._file.extra_info, re.MULTILINE)
        notes += re.findall(
            r"Calculated frame count (\d+) does not match value from 'ds64' chunk of (\d+)", self._file.extra_info
        )
        sizes = [sorted(map(int, note)) for note in notes]
        self._claims = max((claim / max(1, there) for there, claim in sizes if claim < _PLACEHOLDER_SIZE), default=1.0)
        self.damaged = False
        self.claimed_seconds: float | None = None

    def blocks(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield sample rate (Hz) and samples [n, channels]."""
        rate, channels = self._file.samplerate, self._file.channels
        buffer = np.empty((max(1, base.BLOCK_VALUES // channels), channels), np.float32)
        n_decoded = 0
        while True:
            try:
                block = self._file.read(out=buffer)
            except soundfile.LibsndfileError:
                self.damaged = True
                block = buffer[: self._file.tell() - n_decoded]  # the samples before the damage
            if not len(block):
                break
            n_decoded += len(block)
            yield rate, block
        claimed = max(self.frames, round(n_decoded * self._claims))
        self.damaged |= claimed - n_decoded > _MISSING_SECONDS * rate
        self.claimed_seconds = claimed / rate

    def close(self) -> None:
        """Release the file."""
        self._file.close()


def open_decoder(source: str | BinaryIO, name: str) -> tuple[Decoder, BinaryIO | None]:
    """Open a file with the library that suits its format.

    Parameters
    ----------
    source : str or BinaryIO
        A path, or a seekable file object, which is read from its start.
    name : str
        Name of the file in messages.

    Returns
    -------
    decoder : Decoder
    file : BinaryIO or None
        The file that was opened here, if any; close it after the decoder.

    Raises
    ------
    AudioError
        If the file is missing, unreadable, empty, a folder, or holds no audio that either library can decode.
    """
    path = source if isinstance(source, str) else None
    file = _open_path(source, name) if isinstance(source, str) else source
    try:
        return _open_either(path, Source(file), name), file if path is not None else None
    except BaseException as error:
        if path is not None:
            file.close()
        if isinstance(error, OSError):
            raise AudioError(f"{name}: the file cannot be read; check the disk or the connection") from error
        raise


def _open_either(path: str | None, source: Source, name: str) -> Decoder:
    source.seek(0)
    head = source.read(_HEAD_BYTES)
    if not head:
        raise AudioError(f"{name}: the file is empty; choose another file")
    compressed = head.startswith(_COMPRESSED) or head[4:8] == b"ftyp" or (head[0] == 0xFF and head[1:2] >= b"\xe0")
    # A WAV can hold MP3 (codec 0x50 or 0x55), whose length libsndfile only estimates.
    plain = head.startswith(_PLAIN) and not re.search(rb"fmt ....[\x50\x55]\0", head, re.DOTALL)
    decoder = _open_soundfile(path, source) if plain else None
    if decoder is not None and decoder.frames:  # 0 if the recorder never filled in the length
        return decoder

    import av

    try:
        source.seek(0)
        return AvDecoder(source, name)
    except (av.FFmpegError, ValueError) as error:
        if decoder is not None:
            return decoder
        if isinstance(error, AudioError):
            raise
        if compressed or head.startswith(_PLAIN):
            what = "the file is damaged, was cut short or has a codec that is not supported; save or copy it again"
            raise AudioError(f"{name}: {what}") from error
        raise AudioError(f"{name}: this is not an audio file that can be read; use WAV, FLAC, OGG, MP3 or M4A") from error


def _open_soundfile(path: str | None, source: Source) -> SoundFileDecoder | None:
    source.seek(0)
    # soundfile cannot encode a name whose bytes are not UTF-8.
    place = os.fsencode(path) if path is not None and os.name == "posix" else path
    try:
        return SoundFileDecoder(place or source)
    except soundfile.LibsndfileError:
        return None


def _open_path(path: str, name: str) -> BinaryIO:
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - Path would take "" for the current folder
        if stat.S_ISDIR(mode):
            raise AudioError(f"{name}: this is a folder; give the audio files in it")
        if not stat.S_ISREG(mode):
            raise AudioError(f"{name}: this is not a regular file; save the audio to a file first")
        return Path(path).open("rb")
    except FileNotFoundError as error:
        raise AudioError(f"{name}: there is no such file; check the path") from error
    except PermissionError as error:
        raise AudioError(f"{name}: the file may not be read; check its permissions") from error
    except AudioError:
        raise
    except (OSError, ValueError) as error:
        raise AudioError(f"{name}: the file cannot be opened; check the path") from error
