"""There and back through a lossy codec: what its encoder leaves out is gone."""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Codec = Literal["mp3", "opus"]

_OPUS_RATE = 48000  # Hz, at which Opus decodes whatever it was given
_MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


def round_trip(samples: NDArray[np.float32], sample_rate: int, codec: Codec, kilobits: float) -> NDArray[np.float32]:
    """Encode as mono and decode; the length stays, and nothing is delayed.

    Parameters
    ----------
    samples : numpy.ndarray, float32 [n]
        What exceeds full scale is cut off.
    sample_rate : int
        Hz. MP3 keeps it where it has it, else the next higher one is used, and 48 kHz for Opus.
    codec : {"mp3", "opus"}
    kilobits : float
        Per second; MP3 takes the nearest rate that it has.

    Returns
    -------
    numpy.ndarray, float32 [n]
    """
    import av  # here, as the two below: with them come libraries that take a while
    import soxr

    if not len(samples):
        return samples
    rate = _OPUS_RATE if codec == "opus" else next((rate for rate in _MP3_RATES if rate >= sample_rate), _MP3_RATES[-1])
    sent = np.asarray(soxr.resample(np.clip(samples, -1.0, 1.0), sample_rate, rate), dtype=np.float32)
    # One frame's time of silence behind lets the codec give out the end, too.
    sent = np.pad(sent, (0, rate // 10))
    file = io.BytesIO()
    name, container = {"mp3": ("libmp3lame", "mp3"), "opus": ("libopus", "ogg")}[codec]
    with av.open(file, "w", format=container) as written:
        stream = written.add_stream(name, rate=rate, layout="mono")
        assert isinstance(stream, av.AudioStream)  # noqa: S101 - which no signature says
        stream.bit_rate = round(kilobits * 1000)
        frame = av.AudioFrame.from_ndarray(sent[None], format="fltp", layout="mono")
        frame.sample_rate = rate
        converter = av.AudioResampler(format=stream.format, layout="mono", rate=rate)
        for packet in (*(packet for part in converter.resample(frame) for packet in stream.encode(part)), *stream.encode(None)):
            written.mux(packet)
    file.seek(0)
    with av.open(file, "r") as read:
        # The file says how much the encoder delayed, and the decoder leaves that out.
        to_float = av.AudioResampler(format="fltp", layout="mono", rate=rate)
        frames = [back for part in read.decode(audio=0) for back in to_float.resample(part)]
    heard = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    back = np.asarray(soxr.resample(heard, rate, sample_rate), dtype=np.float32)[: len(samples)]
    return np.pad(back, (0, len(samples) - len(back)))
