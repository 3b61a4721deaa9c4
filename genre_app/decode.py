"""Audio files to blocks of float samples at the file's own rate, without a system ffmpeg.

soundfile reads what is not compressed (five times faster there), PyAV the rest: measured on 30 s it takes as long as soundfile
for MP3, half as long for Vorbis and a third for Opus, it plays an MP3 to its end where libsndfile stops at an estimated length,
and it resynchronises after damage. Each is the other's fallback. Both decode forwards, block by block, so that a file's length
costs no memory.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import numpy as np
import soundfile
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av.audio.fifo import AudioFifo
    from av.container import InputContainer

_BLOCK_VALUES = 1 << 17  # samples times channels that are handed on at once; larger is no faster
_PLAIN = (b"RIFF", b"RF64", b"riff", b"FORM", b".snd", b"caff")  # how uncompressed files begin
_COMPRESSED = (b"fLaC", b"OggS", b"ID3", b"\x1aE\xdf\xa3", b"0&\xb2u")  # FLAC, Ogg, tagged MP3, Matroska, WMA

# What PyAV may open. FFmpeg's playlist formats (hls, dash, concat) would read other files and addresses on a stranger's word.
_AV_FORMATS = "mov,mp4,m4a,matroska,webm,asf,aac,mp3,ogg,wav,w64,flac,aiff,au,caf,ac3,eac3,amr,ape,wv,tta,avi,flv"
_AV_EXACT_DURATIONS = {"mov", "matroska", "asf", "flac", "ogg"}  # elsewhere FFmpeg guesses from the bit rate
_PLACEHOLDER_SIZE = 0x7FFF0000  # chunk sizes from here on are what writers to a pipe put, who do not know the length


class AudioError(ValueError):
    """Audio that cannot be used; the message is one sentence that names the file, what is wrong and what to do."""


class Decoder(Protocol):
    """An open file, decoded once from its start to its end.

    Attributes
    ----------
    damaged : bool
        Something could not be decoded or is missing; known once the blocks are consumed.
    claimed_seconds : float or None
        How long a damaged file says it is.
    """

    damaged: bool
    claimed_seconds: float | None

    def blocks(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield sample rate (Hz) and samples [n, channels], full scale 1.0; an array is valid until the next one."""
        ...

    def close(self) -> None:
        """Release the file."""
        ...


class _SoundFileDecoder:
    def __init__(self, source: str | BinaryIO) -> None:
        self._file = soundfile.SoundFile(source)
        self.frames: int = self._file.frames
        self.mpeg = str(self._file.subtype).startswith("MPEG")
        # libsndfile takes what is there and notes in its log where a header promised more.
        notes = re.findall(r"^ *(?:data|SSND|Data Size|riff) *: (\d+) \(should be (\d+)\)", self._file.extra_info, re.MULTILINE)
        notes += re.findall(
            r"Calculated frame count (\d+) does not match value from 'ds64' chunk of (\d+)", self._file.extra_info
        )
        sizes = [sorted(map(int, note)) for note in notes]
        self._claims = max((claim / max(1, there) for there, claim in sizes if claim < _PLACEHOLDER_SIZE), default=1.0)
        self.damaged = False
        self.claimed_seconds: float | None = None

    def blocks(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        rate, channels = self._file.samplerate, self._file.channels
        buffer = np.empty((max(1, _BLOCK_VALUES // channels), channels), np.float32)
        n_decoded = 0
        while True:
            try:
                block = self._file.read(out=buffer)
            except soundfile.LibsndfileError:
                self.damaged = True
                block = buffer[: self._file.tell() - n_decoded]  # what came before the damage
            if not len(block):
                break
            n_decoded += len(block)
            yield rate, block
        claimed = max(self.frames, round(n_decoded * self._claims))
        self.damaged |= claimed - n_decoded > 0.05 * rate
        self.claimed_seconds = claimed / rate

    def close(self) -> None:
        self._file.close()


class _AvDecoder:
    def __init__(self, file: BinaryIO, name: str) -> None:
        import av

        self._name = name
        self._container: InputContainer = av.open(
            file, "r", options={"format_whitelist": _AV_FORMATS}, metadata_errors="replace"
        )
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
        self.damaged = False
        self.claimed_seconds: float | None = None
        self._claimed_frames = _mp3_frames(file) if self._format == "mp3" else None
        self._cut_short = self._format == "ogg" and not _ogg_is_whole(file)

    def blocks(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        import av

        fifo = av.AudioFifo()  # of short frames, from one change of the sample format to the next
        kind: tuple[Any, ...] = ()
        n_good = n_bad = 0
        seconds = end = 0.0
        try:
            for packet in self._container.demux():
                if packet.pts is not None and packet.time_base is not None:
                    end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                if packet.stream.index != self._stream.index:
                    continue
                try:
                    frames = self._stream.decode(packet)
                except av.FFmpegError:
                    n_bad += 1
                    continue
                n_good += packet.size > 0
                for frame in frames:
                    seconds += frame.samples / max(1, frame.sample_rate)
                    if kind != (frame.format.name, frame.layout, frame.sample_rate):
                        yield from self._drained(fifo)
                        fifo, kind = av.AudioFifo(), (frame.format.name, frame.layout, frame.sample_rate)
                    frame.pts = None  # or the fifo objects to gaps
                    fifo.write(frame)
                    if fifo.samples * frame.layout.nb_channels >= _BLOCK_VALUES:
                        yield from self._drained(fifo)
        except (av.FFmpegError, OSError):
            n_bad += 1
        yield from self._drained(fifo)
        self._judge(n_good, n_bad, seconds, end)

    def _drained(self, fifo: AudioFifo) -> Iterator[tuple[int, NDArray[np.float32]]]:
        frame = fifo.read()
        if frame is None:
            return
        try:
            values: NDArray[Any] = frame.to_ndarray()  # [channels, n] if planar, else [1, n * channels]
        except ValueError as error:
            raise AudioError(f"{self._name}: its sample format is not supported; convert it to WAV, FLAC or MP3") from error
        samples = values.T if frame.format.is_planar else values.reshape(frame.samples, -1)
        yield frame.sample_rate, full_scale(samples)

    def _judge(self, n_good: int, n_bad: int, seconds: float, end: float) -> None:
        if self._format == "mp3":
            # Tags at the end look like bad packets, so only the count in the file's first frame can tell.
            if self._claimed_frames is not None and n_good < 0.99 * self._claimed_frames - 1:
                self.damaged, self.claimed_seconds = True, seconds * self._claimed_frames / max(1, n_good)
            return
        self.damaged = bool(n_bad) or self._cut_short
        if self._format in _AV_EXACT_DURATIONS and self._container.duration:
            self.claimed_seconds = self._container.duration / 1e6
            # A video may go on after its sound, so beside other tracks the time stamps of all of them have to do.
            reached = seconds if len(self._container.streams) == 1 else end
            self.damaged |= reached < 0.99 * self.claimed_seconds - 0.25

    def close(self) -> None:
        self._container.close()


def full_scale(samples: NDArray[Any]) -> NDArray[np.float32]:
    """Return samples of any numeric type as float32 with full scale at 1.0; that of integers is by their width."""
    if samples.dtype.kind == "f":
        return samples.astype(np.float32, copy=False)
    half = 2.0 ** (8 * samples.dtype.itemsize - 1)
    # float64 first where float32 cannot hold the integers.
    wide: NDArray[np.floating] = samples.astype(np.float64 if samples.dtype.itemsize > 2 else np.float32)
    if samples.dtype.kind == "u":
        wide -= half  # the middle of the range is zero
    wide /= half
    return wide.astype(np.float32, copy=False)


def _mp3_frames(file: BinaryIO) -> int | None:
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


def _ogg_is_whole(file: BinaryIO) -> bool:
    """Tell whether the last page of an Ogg file is all there."""
    position = file.tell()
    length = file.seek(0, os.SEEK_END)
    file.seek(max(0, length - 2 * 65307))  # the largest page, twice
    tail = file.read()
    file.seek(position)
    page = tail[tail.rfind(b"OggS") :]
    lacing = page[27 : 27 + page[26]] if len(page) > 26 else b""
    return len(page) > 26 and len(lacing) == page[26] and len(page) >= 27 + len(lacing) + sum(lacing)


def open_decoder(source: str | BinaryIO, name: str) -> tuple[Decoder, BinaryIO | None]:
    """Open a file with the library that suits it, or else with the other.

    Parameters
    ----------
    source : str or BinaryIO
        A path, or a file object that can seek; it is read from its start.
    name : str
        What messages call it.

    Returns
    -------
    decoder : Decoder
    file : BinaryIO or None
        To be closed after the decoder.

    Raises
    ------
    AudioError
        If the file is missing, unreadable, empty, a folder, or holds no audio that either library decodes.
    """
    opened: BinaryIO | None = None
    if isinstance(source, str):
        file = opened = _open_path(source, name)
    else:
        file = source
    try:
        return _open_either(source, file, name), opened
    except BaseException as error:
        if opened is not None:
            opened.close()
        if isinstance(error, OSError):
            raise AudioError(f"{name}: the file cannot be read; check the disk or the connection") from error
        raise


def _open_either(source: str | BinaryIO, file: BinaryIO, name: str) -> Decoder:
    import av

    file.seek(0)
    head = file.read(12)
    if not head:
        raise AudioError(f"{name}: the file is empty; choose another file")
    plain = head.startswith(_PLAIN)
    compressed = head.startswith(_COMPRESSED) or head[4:8] == b"ftyp" or (head[0] == 0xFF and head[1:2] >= b"\xe0")
    decoder = _open_soundfile(source, file) if plain else None
    # A WAV can hold MP3, whose length libsndfile guesses, or claim no data where a recorder did not return to fill that in.
    if decoder is not None and decoder.frames and not decoder.mpeg:
        return decoder
    try:
        file.seek(0)
        return _AvDecoder(file, name)
    except (av.FFmpegError, ValueError) as error:
        if decoder is None and not plain and not compressed:
            decoder = _open_soundfile(source, file)
        if decoder is not None:
            return decoder
        if isinstance(error, AudioError):
            raise
        if plain or compressed:
            what = "the file is damaged, was cut short or has a codec that is not supported; save or copy it again"
            raise AudioError(f"{name}: {what}") from error
        raise AudioError(f"{name}: this is not an audio file that can be read; use WAV, FLAC, OGG, MP3 or M4A") from error


def _open_soundfile(source: str | BinaryIO, file: BinaryIO) -> _SoundFileDecoder | None:
    file.seek(0)
    try:
        return _SoundFileDecoder(source)
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
