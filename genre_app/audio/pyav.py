"""Decode compressed audio, and the sound of videos, with PyAV, which brings its own FFmpeg."""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from genre_app.audio import base
from genre_app.audio.base import Source, full_scale
from genre_app.errors import AudioError

if TYPE_CHECKING:
    from av.audio.fifo import AudioFifo
    from av.audio.frame import AudioFrame
    from av.container import InputContainer
    from av.packet import Packet

# Playlist formats (hls, dash, concat) are left out: with them, an uploaded file could make FFmpeg read other files or URLs.
FORMATS = "mov,mp4,m4a,matroska,webm,asf,aac,mp3,ogg,wav,w64,flac,aiff,au,caf,voc,ac3,eac3,amr,ape,wv,tta,avi,flv"
_EXACT_DURATIONS = {"mov", "matroska", "asf", "flac", "ogg"}  # in other formats FFmpeg estimates the duration
_DTYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}
_MAX_CHANNELS = 8  # PyAV's frames have pointers to eight channels
# A file is damaged if it ends before this share of its stated frames or duration. A stated duration may be rounded up, so
# a fixed number of seconds is allowed on top.
_LEAST_SHARE = 0.99
_ROUNDED_SECONDS = 0.25
_MISSING_SECONDS = 0.05  # an MP3 is damaged if more than this cannot be decoded: two frames at 44.1 kHz
_MOST_MISSING = 0.25  # share that cannot be decoded, above which a file is refused: the rest is too little to judge by
_TAGS = (b"TAG", b"APETAGEX", b"LYRICS", b"ID3")  # first bytes of what may lie between two joined MP3
_MAX_OGG_PAGE = 65307  # bytes (RFC 3533)


class AvDecoder:
    """The first audio track that PyAV can decode; see `genre_app.audio.base.Decoder`.

    Parameters
    ----------
    file : Source
        At its start.
    name : str
        Name of the file in messages.

    Raises
    ------
    AudioError
        If there is no audio track, or none whose codec PyAV supports.
    av.FFmpegError
        If FFmpeg cannot open the file, or its format is not in `FORMATS`.
    """

    def __init__(self, file: Source, name: str) -> None:
        import av

        self._name = name
        options = {"format_whitelist": FORMATS}
        self._container: InputContainer = av.open(file, "r", options=options, metadata_errors="replace")
        self._format = self._container.format.name.split(",")[0]
        streams = self._container.streams
        decodable = [stream for stream in streams.audio if stream.codec_context is not None]
        if not decodable:
            problem = "the file has no audio in it; choose a file with an audio track"
            if streams.audio:
                problem = "its audio codec is not supported; convert it to WAV, FLAC or MP3"
            elif streams.video:
                problem = "the video has no sound; choose a file with an audio track"
            self._container.close()  # its streams must not be used after this: that crashes the interpreter
            raise AudioError(f"{name}: {problem}")
        self._stream = decodable[0]
        # PyAV (up to 18.1 at least) frees a custom channel layout twice, when it is read and when the file is closed, which
        # crashes the process. So read it once here and replace it by an unnamed layout of the same size ("2C").
        self._stream.codec_context.layout = f"{max(1, self._stream.codec_context.layout.nb_channels)}C"
        self.damaged = False
        self.claimed_seconds: float | None = None
        position = file.tell()
        self._claimed_frames = _mp3_frames(file) if self._format == "mp3" else None
        self._cut_short = self._format == "ogg" and not _ogg_is_whole(file)
        file.seek(position)  # where FFmpeg goes on reading
        self._n_good = self._n_bad = 0  # packets
        self._gaps = _Gaps()
        self._seconds = self._end = 0.0  # seconds decoded, and the last time stamp of any track

    def blocks(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield sample rate (Hz) and samples [n, channels]."""
        import av

        fifo, kind, n_held, n_wanted = av.AudioFifo(), None, 0, 0  # joins the short frames while their kind stays the same
        several, index = len(self._container.streams) > 1, self._stream.index
        try:
            for packet in self._container.demux():
                if several and packet.pts is not None and packet.time_base is not None:
                    self._end = max(self._end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                if packet.stream_index != index:
                    continue
                for frame in self._frames(packet):
                    if n_held >= n_wanted or kind != _kind(frame):
                        yield from self._drained(fifo)
                        if kind != _kind(frame):
                            fifo, kind = av.AudioFifo(), _kind(frame)
                        n_held, n_wanted = 0, base.BLOCK_VALUES // frame.layout.nb_channels
                    frame.pts = None  # with time stamps, the fifo refuses gaps
                    fifo.write(frame)
                    n_held += frame.samples
        except (av.FFmpegError, OSError, IndexError):  # IndexError: PyAV does not know tracks that begin later
            self._n_bad += 1
        yield from self._drained(fifo)
        self._judge()

    def _frames(self, packet: Packet) -> list[AudioFrame]:
        import av

        try:
            frames = self._stream.decode(packet)
        except av.FFmpegError:
            self._n_bad += 1
            self._gaps.add_bad(packet)
            return []
        usable = [frame for frame in frames if _is_usable(frame)]
        if len(usable) < len(frames):
            self._n_bad += 1
            if not self._n_good:
                raise AudioError(f"{self._name}: its channel layout is not supported; convert it to mono or stereo")
        elif packet.size:
            self._n_good += 1
            (self._gaps.add_good if usable else self._gaps.add_bad)(packet)  # FFmpeg decodes a tag to nothing, without an error
        return usable

    def _drained(self, fifo: AudioFifo) -> Iterator[tuple[int, NDArray[np.float32]]]:
        frame = fifo.read()
        if frame is None:
            return
        self._seconds += frame.samples / max(1, frame.sample_rate)
        dtype, channels = _DTYPES[frame.format.packed.name], frame.layout.nb_channels
        # Not frame.to_ndarray(): with more than eight channels it reads memory that is not the frame's.
        planes: list[Any] = list(frame.planes[:channels])
        if frame.format.is_planar:
            samples = np.stack([np.frombuffer(plane, dtype, frame.samples) for plane in planes]).T
        else:
            samples = np.frombuffer(planes[0], dtype, frame.samples * channels).reshape(frame.samples, channels)
        yield frame.sample_rate, full_scale(samples)

    def _judge(self) -> None:
        if self._format == "mp3":
            # Tags at the end look like bad packets, so count only those before a good one, and the frames that are stated.
            missing = self._seconds * self._gaps.share
            if self._claimed_frames is not None and self._n_good < _LEAST_SHARE * self._claimed_frames - 1:
                missing = max(missing, self._seconds * (self._claimed_frames / max(1, self._n_good) - 1))
            if missing > _MISSING_SECONDS:
                self.damaged = True
                self.claimed_seconds = self._seconds + missing
            self._refuse_above(self._gaps.share / (1 + self._gaps.share))
            return
        self._refuse_above(self._n_bad / max(1, self._n_good + self._n_bad))
        self.damaged = bool(self._n_bad) or self._cut_short
        if self._format in _EXACT_DURATIONS and self._container.duration:
            self.claimed_seconds = self._container.duration / 1e6
            # A video may be longer than its sound, so with several tracks compare the last time stamp of any of them.
            reached = self._seconds if len(self._container.streams) == 1 else self._end
            self.damaged |= reached < _LEAST_SHARE * self.claimed_seconds - _ROUNDED_SECONDS

    def _refuse_above(self, share: float) -> None:
        if share > _MOST_MISSING:
            raise AudioError(f"{self._name}: {share:.0%} of the sound cannot be decoded: the file is damaged; copy it again")

    def close(self) -> None:
        """Release the file."""
        self._container.close()


class _Gaps:
    """Bytes between the packets that can be decoded, apart from tags: bad packets, and what the demuxer skipped."""

    def __init__(self) -> None:
        self._good = self._missing = 0  # bytes
        self._end: int | None = None  # of the last good packet
        self._is_tag: bool | None = None  # whether the gap after it begins with a tag; None before its first packet

    @property
    def share(self) -> float:
        """Missing bytes over bytes of good packets."""
        return self._missing / max(1, self._good)

    def add_bad(self, packet: Packet) -> None:
        if self._is_tag is None:
            self._is_tag = bytes(packet).startswith(_TAGS)

    def add_good(self, packet: Packet) -> None:
        self._good += packet.size
        if packet.pos is None:
            return
        gap = 0 if self._end is None else max(0, packet.pos - self._end)
        self._end = packet.pos + packet.size
        if not gap:
            self._is_tag = None  # not before: a few bytes of a cover picture may pass for a packet
        elif not self._is_tag:
            self._missing += gap


def _kind(frame: AudioFrame) -> tuple[str, int, int]:
    return frame.format.name, frame.layout.nb_channels, frame.sample_rate


def _is_usable(frame: AudioFrame) -> bool:
    layout = frame.layout
    name = layout.name
    if " channels (" in name or name.startswith("ambisonic"):
        # This may be a custom layout, which PyAV frees twice (see above). One more reference, and PyAV never frees it.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(layout))
        return False
    return 0 < layout.nb_channels <= _MAX_CHANNELS and frame.format.name.removesuffix("p") in _DTYPES


def _mp3_frames(file: Source) -> int | None:
    """Return the number of frames that the first frame of an MP3 states (``Xing`` or ``Info``), or None."""
    file.seek(0)
    tag = file.read(10)
    size = sum(byte << shift for byte, shift in zip(tag[6:], (21, 14, 7, 0), strict=False)) if tag[:3] == b"ID3" else -10
    file.seek(10 + size)
    head = file.read(4096)
    found = re.search(rb"(?:Xing|Info)...[\x01\x03\x05\x07\x09\x0b\x0d\x0f](....)", head, re.DOTALL)
    return int.from_bytes(found[1], "big") if found else None


def _ogg_is_whole(file: Source) -> bool:
    """Return whether the last page of an Ogg file is complete."""
    length = file.seek(0, os.SEEK_END)
    file.seek(max(0, length - 2 * _MAX_OGG_PAGE))  # holds at least one whole page
    tail = file.read()
    page = tail[tail.rfind(b"OggS") :]
    if len(page) < 27:
        return False
    lacing = page[27 : 27 + page[26]]
    return len(lacing) == page[26] and len(page) >= 27 + len(lacing) + sum(lacing)
