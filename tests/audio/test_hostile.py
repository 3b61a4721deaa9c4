"""Files without audio, out of bounds, or made to do harm."""

from __future__ import annotations

import io
import math
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from genre_app.audio import load_clip
from genre_app.errors import AudioError
from tests.audio.files import FORMATS, RATE, clip_from_array, encode, error_db, message, write


def custom_layout(samples: np.ndarray) -> bytes:
    """Make a MOV whose two channels are listed right before left: a layout that FFmpeg has no name for."""
    data = bytearray(encode(samples, RATE, "mov", "pcm_s16le"))
    chan = data.find(b"chan") - 4
    (old,) = struct.unpack(">I", data[chan : chan + 4])
    box = b"chan" + bytes(4) + struct.pack(">III", 0, 0, 2) + struct.pack(">II12xII12x", 2, 0, 1, 0)
    data[chan : chan + old] = struct.pack(">I", len(box) + 4) + box
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"sowt"):
        at = data.rfind(kind, 0, chan) - 4
        (size,) = struct.unpack(">I", data[at : at + 4])
        data[at : at + 4] = struct.pack(">I", size + len(box) + 4 - old)
    return bytes(data)


def test_an_odd_channel_layout_does_not_end_the_process(stereo: np.ndarray) -> None:
    data = custom_layout(stereo)
    for _ in range(3):
        assert error_db(load_clip(data), clip_from_array(stereo, RATE).samples) < -75


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "the file is empty"),
        (b"x", "not an audio file"),
        (b"This is a shopping list.\n" * 300, "not an audio file"),
        (bytes(50_000), "not an audio file"),
        (b"<!doctype html><html></html>" * 200, "not an audio file"),
        (b"%PDF-1.4\n" * 200, "not an audio file"),
        (b"PK\x03\x04" + bytes(2000), "not an audio file"),
        (b"ID3 is how this text begins. " * 200, "damaged"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "damaged"),
    ],
)
def test_files_without_audio_are_refused_in_one_sentence(content: bytes, part: str, tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    path.write_bytes(content)
    for source in (path, str(path), content, io.BytesIO(content)):
        text = message(source, name="song.mp3")
        assert text.startswith("song.mp3: ")
        assert part in text
    assert str(tmp_path) not in message(path)


def test_playlists_open_nothing(tmp_path: Path, stereo: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("private.mp3").write_bytes(write(stereo, RATE, "MP3", "MPEG_LAYER_III"))
    for playlist in (
        "ffconcat version 1.0\nfile private.mp3\n",
        f"ffconcat version 1.0\nfile '{tmp_path / 'private.mp3'}'\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\nprivate.mp3\n#EXT-X-ENDLIST\n",
    ):
        Path("list.mp3").write_text(playlist)
        assert "not an audio file" in message("list.mp3")
        assert "not an audio file" in message(playlist.encode())


def test_paths_that_are_no_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "album").mkdir()
    assert message(tmp_path / "album").startswith("album: this is a folder")
    assert message(tmp_path / "gone.mp3").startswith("gone.mp3: there is no such file")
    assert message("").startswith("clip: there is no such file")
    assert "cannot be opened" in message("a\0b.mp3")
    assert "cannot be opened" in message("x" * 5000)
    assert "not a regular file" in message("/dev/null")


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.wav"
    path.write_bytes(b"RIFF")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # as root, a test may read everything
    assert message(path).startswith("secret.wav: the file may not be read")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("channels", [1, 2])
def test_samples_that_are_not_finite_are_refused(value: float, channels: int, stereo: np.ndarray) -> None:
    samples = stereo[:, :channels].copy()
    samples[60_000, channels - 1] = value
    assert "not numbers" in message(write(samples, RATE, "WAV", "FLOAT"), name="broken.wav")
    with pytest.raises(AudioError, match="not numbers"):
        clip_from_array(samples, RATE)
    samples[60_000] = [math.inf, -math.inf][:channels]
    assert "not numbers" in message(write(samples, RATE, "AIFF", "FLOAT"))


def test_samples_far_beyond_full_scale_are_refused(stereo: np.ndarray) -> None:
    assert "scale them" in message(write(1e9 * stereo, RATE, "WAV", "FLOAT"))
    assert "scale them" in message(write(1e38 * stereo, RATE, "WAV", "DOUBLE"))
    assert load_clip(write(3e4 * stereo, RATE, "WAV", "FLOAT")).samples.max() > 1000  # integers stored as floats


@pytest.mark.parametrize("container", ["WAV", "FLAC", "AIFF", "AU"])
def test_files_without_samples_or_with_too_few_are_refused(container: str) -> None:
    text = message(write(np.zeros((0, 1)), RATE, container, "PCM_16"), name="take")
    assert "no audio" in text or "is empty" in text  # soundfile writes no FLAC header without samples
    assert "0.45 s is too short; at least 0.5 s is needed" in message(write(np.zeros((19845, 2)), RATE, container, "PCM_16"))
    assert load_clip(write(np.zeros((22050, 2)), RATE, container, "PCM_16")).duration_seconds == 0.5


@pytest.mark.parametrize("rate", [1, 100, 3999, 384001, 2_000_000])
def test_sample_rates_out_of_all_bounds_are_refused(rate: int) -> None:
    assert f"sample rate of {rate} Hz is not supported" in message(write(np.zeros((1000, 1)), rate, "WAV", "PCM_16"))


def test_an_unsupported_codec_is_named_as_the_reason(stereo: np.ndarray) -> None:
    wav = bytearray(write(stereo, RATE, "WAV", "PCM_16"))
    wav[20:22] = b"\xcd\xab"
    assert "codec is not supported" in message(bytes(wav))
    webm = encode(stereo, 48000, "webm", "libopus").replace(b"A_OPUS", b"A_NONE")
    assert "codec is not supported" in message(webm)


def test_mutated_files_end_in_a_clip_or_a_clear_error(stereo: np.ndarray) -> None:
    random = np.random.default_rng(2)
    originals = [
        FORMATS[name][0](stereo[:50_000]) for name in ("wav 16", "flac 16", "vorbis", "mp3", "m4a", "webm", "wma", "aiff")
    ]
    originals.append(custom_layout(stereo[:50_000]))
    n_clips = 0
    errors: list[str] = []
    for k in range(180):
        data = bytearray(originals[k % len(originals)])
        for _ in range(random.integers(1, 30)):
            at = random.integers(min(len(data), (300, len(data))[k % 2]))
            data[at] = random.integers(256)
        try:
            clip = load_clip(bytes(data), name="mutated", max_seconds=60)
        except AudioError as error:
            errors.append(str(error))
        else:
            n_clips += 1
            assert np.isfinite(clip.samples).all()
    assert n_clips > 40
    assert len(errors) > 20
    assert all(error.startswith("mutated: ") for error in errors)


@pytest.mark.skipif(os.name != "posix", reason="the names of files are text there")
def test_a_name_that_is_not_utf8_can_be_opened(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.wav")
    path.write_bytes(write(np.full((RATE, 1), 0.1), RATE, "WAV", "PCM_16"))
    assert len(load_clip(path, sample_rate=RATE).samples) == RATE
