"""Create audio files of every format, and compare decoded samples."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from genre_app.audio import Clip, load_clip
from genre_app.audio.base import full_scale
from genre_app.audio.stream import DecodedStream
from genre_app.errors import AudioError

RATE = 44100


LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 6: "5.1", 8: "7.1"}


def write(samples: np.ndarray, rate: int, container: str, subtype: str, **options: object) -> bytes:
    """Encode samples [n, channels] with soundfile."""
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", rate, samples.shape[1], subtype, format=container, **options) as out:
        out.write(samples)
    return file.getvalue()


def encode(
    samples: np.ndarray,
    rate: int,
    container: str,
    codec: str,
    options: dict[str, str] | None = None,
    bit_rate: int = 0,
    file: Path | io.BytesIO | None = None,
) -> bytes:
    """Encode samples [n, channels] with PyAV."""
    file = file or io.BytesIO()
    with av.open(file, "w", format=container, options=options or {}) as out:
        stream = out.add_stream(codec, rate=rate, layout=LAYOUTS[samples.shape[1]])
        if bit_rate:
            stream.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1).astype(np.float32), "flt", LAYOUTS[samples.shape[1]])
        frame.sample_rate, frame.pts = rate, 0
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return file.read_bytes() if isinstance(file, Path) else file.getvalue()


def film(seconds: float, sound: np.ndarray | None = None) -> bytes:
    """Encode an MP4 of grey pictures, with sound [n, 2] at 44.1 kHz if there is any."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        video = out.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = out.add_stream("aac", rate=RATE, layout="stereo") if sound is not None else None
        for k in range(round(10 * seconds)):
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 5 * k % 255, np.uint8))
            picture.pts = k
            out.mux(video.encode(picture))
        out.mux(video.encode(None))
        if audio is not None and sound is not None:
            frame = av.AudioFrame.from_ndarray(sound.reshape(1, -1).astype(np.float32), "flt", "stereo")
            frame.sample_rate, frame.pts = RATE, 0
            out.mux(audio.encode(frame))
            out.mux(audio.encode(None))
    return file.getvalue()


class _Array:
    """Samples [n, channels] in memory as a decoder."""

    damaged = False
    claimed_seconds = None

    def __init__(self, samples: np.ndarray, rate: int) -> None:
        self.samples, self.rate = samples, rate

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        yield self.rate, self.samples

    def close(self) -> None:
        pass


def clip_from_array(samples: np.ndarray, rate: int, *, name: str = "clip") -> Clip:
    """Mix and resample samples [n] or [n, channels] of any type as those of a file."""
    values = full_scale(np.asarray(samples))
    stream = DecodedStream(_Array(values[:, None] if values.ndim == 1 else values, rate), 22050, name, None)
    return Clip(np.concatenate(list(stream.blocks())), 22050, name, stream.warnings)


def error_db(clip: Clip, expected: np.ndarray) -> float:
    """Return the error of a clip relative to the expected samples, in dB, over their common length."""
    n = min(len(clip.samples), len(expected))
    assert n > 0.97 * len(expected)
    return float(10 * np.log10(np.mean((clip.samples[:n] - expected[:n]) ** 2) / np.mean(expected[:n] ** 2) + 1e-30))


def message(source: object, **options: object) -> str:
    """Return the message with which a source is refused: one sentence, no path, no line break."""
    with pytest.raises(AudioError) as caught:
        load_clip(source, **options)  # type: ignore[arg-type]
    text = str(caught.value)
    assert "\n" not in text
    assert "/" not in text.replace("and/or", "")
    assert 10 < len(text) < 250
    return text


# Format, how to create it, and the largest error in dB, which depends on the codec.
FORMATS: dict[str, tuple[Callable[[np.ndarray], bytes], float]] = {
    "wav u8": (lambda x: write(x, RATE, "WAV", "PCM_U8"), -28),
    "wav 16": (lambda x: write(x, RATE, "WAV", "PCM_16"), -75),
    "wav 24": (lambda x: write(x, RATE, "WAV", "PCM_24"), -110),
    "wav 32": (lambda x: write(x, RATE, "WAV", "PCM_32"), -110),
    "wav float": (lambda x: write(x, RATE, "WAV", "FLOAT"), -110),
    "wav double": (lambda x: write(x, RATE, "WAV", "DOUBLE"), -110),
    "wav mu-law": (lambda x: write(x, RATE, "WAV", "ULAW"), -25),
    "wav adpcm": (lambda x: write(x, RATE, "WAV", "IMA_ADPCM"), -15),
    "wav64": (lambda x: write(x, RATE, "RF64", "PCM_16"), -75),
    "wav of mp3": (lambda x: encode(x, RATE, "wav", "libmp3lame"), 99),  # 99: the file does not state its padding
    "flac 16": (lambda x: write(x, RATE, "FLAC", "PCM_16"), -75),
    "flac 24": (lambda x: write(x, RATE, "FLAC", "PCM_24"), -110),
    "aiff": (lambda x: write(x, RATE, "AIFF", "PCM_16"), -75),
    "au": (lambda x: write(x, RATE, "AU", "PCM_16"), -75),
    "caf": (lambda x: write(x, RATE, "CAF", "PCM_16"), -75),
    "vorbis": (lambda x: write(x, RATE, "OGG", "VORBIS"), -8),
    "opus": (lambda x: encode(x, 48000, "ogg", "libopus"), -5),
    "mp3": (lambda x: write(x, RATE, "MP3", "MPEG_LAYER_III"), -10),
    "mp3 vbr": (lambda x: write(x, RATE, "MP3", "MPEG_LAYER_III", bitrate_mode="VARIABLE", compression_level=0.4), -10),
    "m4a": (lambda x: encode(x, RATE, "ipod", "aac"), -8),
    "m4a alac": (lambda x: encode(x, RATE, "ipod", "alac"), -75),
    "mp4 in pieces": (lambda x: encode(x, RATE, "mp4", "aac", {"movflags": "frag_keyframe+empty_moov"}), 99),  # see above
    "aac": (lambda x: encode(x, RATE, "adts", "aac"), 99),  # see above
    "webm": (lambda x: encode(x, 48000, "webm", "libopus"), -5),
    "webm live": (lambda x: encode(x, 48000, "webm", "libopus", {"live": "1"}), -5),  # as browsers record: without a length
    "wma": (lambda x: encode(x, RATE, "asf", "wmav2", bit_rate=128000), 99),  # see above
    "mov": (lambda x: encode(x, RATE, "mov", "pcm_s24le"), -110),
}


def cut(data: bytes, share: float) -> bytes:
    return data[: round(len(data) * share)]
