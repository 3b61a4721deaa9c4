"""Bounded memory, file objects, arrays, and names."""

from __future__ import annotations

import contextlib
import io
import struct
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from genre_app.audio import load_clip, open_audio
from genre_app.errors import AudioError
from tests.audio.files import FORMATS, RATE, clip_from_array, cut, message, write


class LongWav(io.RawIOBase):
    """A stereo WAV file of any length that is computed where it is read."""

    def __init__(self, seconds: int, rate: int = 16000) -> None:
        block = (8000 * np.sin(np.arange(rate) * 0.1)).astype("<i2")
        self.second = np.stack([block, block], 1).tobytes()
        size = seconds * len(self.second)
        self.head = (
            b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 2, rate, 4 * rate, 4, 16)
        )
        self.head += b"data" + struct.pack("<I", size)
        self.length, self.position, self.n_read = len(self.head) + size, 0, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.position

    def seek(self, offset: int, whence: int = 0) -> int:
        self.position = offset + (0, self.position, self.length)[whence]
        return self.position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = min(len(buffer), self.length - self.position)
        if count <= 0:
            return 0
        start = self.position - len(self.head)
        if start < 0:
            data = self.head[self.position : self.position + count]
        else:
            shift = start % len(self.second)
            repeats = (shift + count) // len(self.second) + 1
            data = (self.second * repeats)[shift : shift + count]
        buffer[: len(data)] = data
        self.position += len(data)
        self.n_read += len(data)
        return len(data)


def peak_of_streaming(source: object) -> tuple[int, float]:
    """Return the memory allocated at the peak, bytes, and how many seconds came out."""
    tracemalloc.start()
    try:
        with open_audio(source) as stream:  # type: ignore[arg-type]
            n_samples = sum(len(block) for block in stream.blocks())
            assert n_samples == stream.n_samples
        return tracemalloc.get_traced_memory()[1], n_samples / 22050
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_length() -> None:
    short, seconds = peak_of_streaming(LongWav(60))
    assert seconds == pytest.approx(60)
    long, seconds = peak_of_streaming(LongWav(1800))
    assert seconds == pytest.approx(1800)
    assert long < 1.1 * short < 8e6


def test_memory_does_not_grow_with_the_length_of_compressed_audio(stereo: np.ndarray) -> None:
    data = write(stereo[:, :1], RATE, "MP3", "MPEG_LAYER_III")
    short, _ = peak_of_streaming(io.BytesIO(data * 10))
    long, seconds = peak_of_streaming(io.BytesIO(data * 60))
    assert seconds == pytest.approx(180, abs=5)
    assert long < 1.1 * short < 8e6


def test_too_long_audio_is_refused_before_it_is_read() -> None:
    source = LongWav(3600)
    text = message(source, name="set.wav", max_seconds=20)
    assert text == "set.wav: the audio is longer than 20 s; cut it into shorter pieces"
    assert source.n_read < 0.02 * source.length
    assert "longer than 2 min;" in message(LongWav(180), max_seconds=120)
    assert load_clip(LongWav(20), max_seconds=20).duration_seconds == 20


def test_a_stream_is_consumed_once_and_ends_when_it_is_closed(tmp_path: Path, stereo: np.ndarray) -> None:
    path = tmp_path / "Über uns.mp3"
    path.write_bytes(write(np.tile(stereo, (4, 1)), RATE, "MP3", "MPEG_LAYER_III"))
    whole = load_clip(path, sample_rate=16000)
    assert whole.name == "Über uns.mp3"
    with open_audio(path, sample_rate=16000) as stream:
        blocks = list(stream.blocks())
        assert stream.sample_rate == 16000
        assert stream.n_samples == len(whole.samples)
        np.testing.assert_array_equal(np.concatenate(blocks), whole.samples)
        assert list(stream.blocks()) == []
    stream = open_audio(path)
    blocks_of_closed: Iterator[np.ndarray] = stream.blocks()
    next(blocks_of_closed)
    stream.close()
    assert list(blocks_of_closed) == []


@pytest.mark.parametrize("name", ["wav 16", "mp3"])
def test_a_file_object_is_read_from_its_start_and_left_open(name: str, stereo: np.ndarray) -> None:
    data = FORMATS[name][0](stereo)
    file = io.BytesIO(data)
    file.seek(1000)
    np.testing.assert_array_equal(load_clip(file).samples, load_clip(data).samples)
    assert not file.closed

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    class Lost(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(5, "Input/output error")

    assert "cannot go back" in message(Pipe(data), name="pipe")
    assert "cannot be read" in message(Lost(data), name="lost")


def test_names_in_messages_have_no_folder_and_no_control_characters(tmp_path: Path) -> None:
    path = tmp_path / "a\nb\x1b[31m.mp3"
    path.write_bytes(b"")
    assert message(path).startswith("a?b?[31m.mp3: ")
    assert message(b"", name="C/D/e.wav").startswith("e.wav: ")
    assert message(b"").startswith("clip: ")
    assert len(message(b"", name="n" * 1000)) < 250


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "int64", "float16", "float32", "float64"])
def test_arrays_of_every_type_have_the_same_scale(dtype: str) -> None:
    sine = 0.5 * np.sin(2 * np.pi * 440 * np.arange(22050) / 22050)
    values = sine.astype(dtype)
    if not dtype.startswith("float"):
        half = 2.0 ** (8 * np.dtype(dtype).itemsize - 1)
        values = np.round(sine * (half - 1) + (half if dtype == "uint8" else 0)).astype(dtype)
    for shape in ((-1,), (-1, 1)):
        clip = clip_from_array(values.reshape(shape), 22050, name="take")
        np.testing.assert_allclose(clip.samples, sine, atol=0.01 if "8" in dtype else 5e-4)
        assert clip.name == "take"


def test_decoders_write_nothing_to_the_terminal(stereo: np.ndarray, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("mp3", "aac", "webm", "m4a", "wma", "vorbis", "flac 16"):
        data = bytearray(FORMATS[name][0](stereo))
        for damaged in (cut(data, 0.6), cut(data, 0.01), data[:3000] + b"junk" * 200 + data[3500:]):
            with contextlib.suppress(AudioError):
                load_clip(bytes(damaged))
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err == ""
