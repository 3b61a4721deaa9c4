"""Compressed or plain audio to blocks of float samples at the file's own rate: soundfile first, then PyAV.

Neither needs a system ffmpeg. Both decode forwards only and block by block, so a file's length costs no memory.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import numpy as np
import soundfile
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.container import InputContainer

_BLOCK_VALUES = 1 << 17  # samples times channels that are decoded at once

# What PyAV may open. FFmpeg's playlist formats (hls, dash, concat) would read other files and addresses on a stranger's word.
_AV_FORMATS = "mov,mp4,matroska,webm,asf,aac,mp3,ogg,wav,w64,flac,aiff,au,caf,ac3,eac3,amr,ape,avi,flv,mpegts,mpeg,tta,wv"
_DURATION_IN_HEADER = ("mov", "matroska", "asf", "avi", "flv")  # elsewhere FFmpeg guesses it from the bit rate


class AudioError(ValueError):
    """Audio that cannot be used; the message is one sentence that names the file, what is wrong and what to do."""


class Decoder(Protocol):
    """An open file, decoded once from its start to its end."""

    damage: str | None  # what is missing, known once the blocks are consumed

    def blocks(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield sample rate (Hz) and samples [n, channels], full scale 1.0; an array is valid until the next one."""
        ...

    def close(self) -> None:
        """Release the file."""
        ...


class _ForwardSoundFile(soundfile.SoundFile):
    # soundfile seeks to where it already is after every block if the file can seek, and MP3 decoders start afresh after a
    # seek: half of the time would go there.
    def seekable(self) -> bool:
        return False


class _SoundFileDecoder:
    def __init__(self, source: str | BinaryIO) -> None:
        self._file = _ForwardSoundFile(source)
        self.damage: str | None = None

    def blocks(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        rate, channels, claimed = self._file.samplerate, self._file.channels, self._file.frames
        buffer = np.empty((max(1, _BLOCK_VALUES // channels), channels), np.float32)
        n_decoded = 0
        while True:
            try:
                block = self._file.read(out=buffer)
            except soundfile.LibsndfileError:
                self.damage = f"{n_decoded / rate:.1f} s"
                return
            if not len(block):
                break
            n_decoded += len(block)
            yield rate, block
        if n_decoded < claimed < 1 << 62:
            self.damage = f"{n_decoded / rate:.1f} s of {claimed / rate:.1f} s"

    def close(self) -> None:
        self._file.close()


class _AvDecoder:
    def __init__(self, file: BinaryIO, name: str) -> None:
        import av

        self.damage: str | None = None
        try:
            self._container: InputContainer = av.open(file, "r", options={"format_whitelist": _AV_FORMATS})
        except (av.FFmpegError, ValueError) as error:
            raise AudioError(f"{name}: this is not an audio file that can be read; use WAV, FLAC, OGG, MP3 or M4A") from error
        if not self._container.streams.audio:
            video = bool(self._container.streams.video)
            self._container.close()
            what = "the video has no sound" if video else "the file has no audio in it"
            raise AudioError(f"{name}: {what}; choose a file with an audio track")
        self._stream = self._container.streams.audio[0]

    def blocks(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        import av

        n_bad = 0
        seconds = end = 0.0
        try:
            for packet in self._container.demux():
                if packet.pts is not None:
                    end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                if packet.stream.index != self._stream.index:
                    continue
                try:
                    frames = self._stream.codec_context.decode(packet)
                except av.FFmpegError:
                    n_bad += 1
                    continue
                for frame in frames:
                    seconds += frame.samples / frame.sample_rate
                    yield frame.sample_rate, _frame_samples(frame)
        except av.FFmpegError:
            n_bad += 1
        claimed = (self._container.duration or 0) / 1e6 if self._container.format.name.startswith(_DURATION_IN_HEADER) else 0.0
        if n_bad or end < 0.98 * claimed - 0.5:
            self.damage = f"{seconds:.1f} s" + (f" of {claimed:.1f} s" if claimed > seconds else "")

    def close(self) -> None:
        self._container.close()


def _frame_samples(frame: AudioFrame) -> NDArray[np.float32]:
    values: NDArray[Any] = frame.to_ndarray()  # [channels, n] if planar, else [1, n * channels]
    samples = values.T if frame.format.is_planar else values.reshape(frame.samples, -1)
    if samples.dtype.kind == "u":
        return (samples.astype(np.float32) - 128.0) / 128.0
    if samples.dtype.kind == "i":
        return samples.astype(np.float32) / np.float32(-float(np.iinfo(samples.dtype).min))
    return samples.astype(np.float32, copy=False)


def open_decoder(source: str | BinaryIO, name: str) -> tuple[Decoder, BinaryIO | None]:
    """Open a file with the first library that knows it.

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
        file = opened = _open_file(source, name)
    else:
        file = source
    try:
        if not file.seek(0, os.SEEK_END):
            raise AudioError(f"{name}: the file is empty; choose another file")
        file.seek(0)
        try:
            return _SoundFileDecoder(source), opened
        except soundfile.LibsndfileError:
            file.seek(0)
            return _AvDecoder(file, name), opened
    except BaseException:
        if opened is not None:
            opened.close()
        raise


def _open_file(path: str, name: str) -> BinaryIO:
    try:
        mode = Path(path).stat().st_mode
        if stat.S_ISDIR(mode):
            raise AudioError(f"{name}: this is a folder; give the audio files in it")
        if not stat.S_ISREG(mode):
            raise AudioError(f"{name}: this is not a regular file; save the audio to a file first")
        return Path(path).open("rb")
    except FileNotFoundError as error:
        raise AudioError(f"{name}: there is no such file; check the path") from error
    except PermissionError as error:
        raise AudioError(f"{name}: the file may not be read; check its permissions") from error
    except (OSError, ValueError) as error:
        raise AudioError(f"{name}: the file cannot be opened ({getattr(error, 'strerror', error)}); check the path") from error
