"""Compressed audio, and the sound of videos, through PyAV, which brings its own FFmpeg."""

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

# FFmpeg's playlist formats (hls, dash, concat) would read other files and addresses on a stranger's word.
_FORMATS = "mov,mp4,m4a,matroska,webm,asf,aac,mp3,ogg,wav,w64,flac,aiff,au,caf,voc,ac3,eac3,amr,ape,wv,tta,avi,flv"
_EXACT_DURATIONS = {"mov", "matroska", "asf", "flac", "ogg"}  # elsewhere FFmpeg guesses from the bit rate
_DTYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}
_MAX_CHANNELS = 8


class AvDecoder:
    """The first audio track that PyAV can decode; see `genre_app.audio.base.Decoder`.

    Parameters
    ----------
    file : Source
        At its start.
    name : str
        What messages call it.

    Raises
    ------
    AudioError
        If there is no audio track, or none with a codec that PyAV has.
    av.FFmpegError
        If this is no file that FFmpeg may open.
    """

    def __init__(self, file: Source, name: str) -> None:
        import av

        self._name = name
        options = {"format_whitelist": _FORMATS}
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
            self._container.close()  # after this, a look at its streams would crash the interpreter
            raise AudioError(f"{name}: {problem}")
        self._stream = decodable[0]
        # PyAV (to 18.1 at least) frees a layout of the file's own making twice, here and on closing, and that ends the
        # process. Reading it frees it; an unnamed layout of as many channels ("2C") then stands in its place.
        self._stream.codec_context.layout = f"{max(1, self._stream.codec_context.layout.nb_channels)}C"
        self.damaged = False
        self.claimed_seconds: float | None = None
        self._claimed_frames = _mp3_frames(file) if self._format == "mp3" else None
        self._cut_short = self._format == "ogg" and not _ogg_is_whole(file)
        self._n_good = self._n_bad = 0  # packets
        self._seconds = self._end = 0.0  # decoded, and the last time stamp of all tracks

    def blocks(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield sample rate (Hz) and samples [n, channels]."""
        import av

        fifo, kind, n_held, n_wanted = av.AudioFifo(), None, 0, 0  # frames are short: gathered up to the next change of kind
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
                    frame.pts = None  # or the fifo objects to gaps
                    fifo.write(frame)
                    n_held += frame.samples
        except (av.FFmpegError, OSError, IndexError):  # the last for tracks that turn up midway, which PyAV does not know
            self._n_bad += 1
        yield from self._drained(fifo)
        self._judge()

    def _frames(self, packet: Packet) -> list[AudioFrame]:
        import av

        try:
            frames = self._stream.decode(packet)
        except av.FFmpegError:
            self._n_bad += 1
            return []
        usable = [frame for frame in frames if _is_usable(frame)]
        if len(usable) < len(frames):
            self._n_bad += 1
            if not self._n_good:
                raise AudioError(f"{self._name}: its channel layout is not supported; convert it to mono or stereo")
        elif packet.size:
            self._n_good += 1
        return usable

    def _drained(self, fifo: AudioFifo) -> Iterator[tuple[int, NDArray[np.float32]]]:
        frame = fifo.read()
        if frame is None:
            return
        self._seconds += frame.samples / max(1, frame.sample_rate)
        dtype, channels = _DTYPES[frame.format.packed.name], frame.layout.nb_channels
        # Not frame.to_ndarray(), which takes what lies in memory behind an eighth channel for a ninth.
        planes: list[Any] = list(frame.planes[:channels])
        if frame.format.is_planar:
            samples = np.stack([np.frombuffer(plane, dtype, frame.samples) for plane in planes]).T
        else:
            samples = np.frombuffer(planes[0], dtype, frame.samples * channels).reshape(frame.samples, channels)
        yield frame.sample_rate, full_scale(samples)

    def _judge(self) -> None:
        if self._format == "mp3":
            # Tags at the end look like bad packets, so only the count in the file's first frame can tell.
            if self._claimed_frames is not None and self._n_good < 0.99 * self._claimed_frames - 1:
                self.damaged = True
                self.claimed_seconds = self._seconds * self._claimed_frames / max(1, self._n_good)
            return
        self.damaged = bool(self._n_bad) or self._cut_short
        if self._format in _EXACT_DURATIONS and self._container.duration:
            self.claimed_seconds = self._container.duration / 1e6
            # A video may go on after its sound, so beside other tracks the time stamps of all of them have to do.
            reached = self._seconds if len(self._container.streams) == 1 else self._end
            self.damaged |= reached < 0.99 * self.claimed_seconds - 0.25

    def close(self) -> None:
        """Release the file."""
        self._container.close()


def _kind(frame: AudioFrame) -> tuple[str, int, int]:
    return frame.format.name, frame.layout.nb_channels, frame.sample_rate


def _is_usable(frame: AudioFrame) -> bool:
    layout = frame.layout
    name = layout.name
    if " channels (" in name or name.startswith("ambisonic"):
        # The layout may be of the file's own making, see above. One reference more, and PyAV never frees it.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(layout))
        return False
    return 0 < layout.nb_channels <= _MAX_CHANNELS and frame.format.name.removesuffix("p") in _DTYPES


def _mp3_frames(file: Source) -> int | None:
    """Return how many frames an MP3's first frame announces, if it does (``Xing`` or ``Info``)."""
    position = file.tell()
    file.seek(0)
    tag = file.read(10)
    size = sum(byte << shift for byte, shift in zip(tag[6:], (21, 14, 7, 0), strict=False)) if tag[:3] == b"ID3" else -10
    file.seek(10 + size)
    head = file.read(4096)
    file.seek(position)
    found = re.search(rb"(?:Xing|Info)...[\x01\x03\x05\x07\x09\x0b\x0d\x0f](....)", head, re.DOTALL)
    return int.from_bytes(found[1], "big") if found else None


def _ogg_is_whole(file: Source) -> bool:
    """Tell whether the last page of an Ogg file is all there."""
    position = file.tell()
    length = file.seek(0, os.SEEK_END)
    file.seek(max(0, length - 2 * 65307))  # the largest page, twice
    tail = file.read()
    file.seek(position)
    page = tail[tail.rfind(b"OggS") :]
    lacing = page[27 : 27 + page[26]] if len(page) > 26 else b""
    return len(page) > 26 and len(lacing) == page[26] and len(page) >= 27 + len(lacing) + sum(lacing)
