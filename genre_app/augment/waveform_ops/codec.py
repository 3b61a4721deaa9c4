"""Encoding with a lossy codec and decoding again."""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Codec = Literal["mp3", "opus"]

# Encoder, container, largest bit rate in kbit/s for mono, and sample rates in Hz: those of MPEG 1, 2 and 2.5; Opus always
# decodes at 48 kHz. The encoder of Opus refuses a larger bit rate; that of MP3 takes the nearest one.
_CODECS = {
    "mp3": ("libmp3lame", "mp3", 320, (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)),
    "opus": ("libopus", "ogg", 256, (48000,)),
}
_FLUSH_SECONDS = 0.1  # silence appended so that the codec also returns the end; longer than a frame of either codec


def round_trip(samples: NDArray[np.float32], sample_rate: int, codec: Codec, kilobits: float) -> NDArray[np.float32]:
    """Encode samples as mono and decode them; length and timing stay.

    Parameters
    ----------
    samples : numpy.ndarray, float32 [n]
        Samples beyond full scale are clipped.
    sample_rate : int
        Hz. MP3 encodes at this rate or the next higher one that it supports, at most 48 kHz; Opus at 48 kHz.
    codec : {"mp3", "opus"}
    kilobits : float
        Bit rate in kbit/s; MP3 uses the nearest rate that it supports, Opus at most 256.

    Returns
    -------
    numpy.ndarray, float32 [n]
    """
    import av  # here: av and soxr load large libraries
    import soxr

    if not len(samples):
        return samples
    name, container, most_kilobits, rates = _CODECS[codec]
    rate = next((rate for rate in rates if rate >= sample_rate), rates[-1])
    sent = np.asarray(soxr.resample(np.clip(samples, -1.0, 1.0), sample_rate, rate), dtype=np.float32)
    sent = np.pad(sent, (0, round(_FLUSH_SECONDS * rate)))
    file = io.BytesIO()
    with av.open(file, "w", format=container) as written:
        stream = written.add_stream(name, rate=rate, layout="mono")
        assert isinstance(stream, av.AudioStream)  # noqa: S101 - the type is in no signature of av
        stream.bit_rate = round(min(kilobits, most_kilobits) * 1000)
        frame = av.AudioFrame.from_ndarray(sent[None], format="fltp", layout="mono")
        frame.sample_rate = rate
        converter = av.AudioResampler(format=stream.format, layout="mono", rate=rate)
        for packet in (*(packet for part in converter.resample(frame) for packet in stream.encode(part)), *stream.encode(None)):
            written.mux(packet)
    file.seek(0)
    with av.open(file, "r") as read:
        # The file states the delay of the encoder, and the decoder removes it.
        to_float = av.AudioResampler(format="fltp", layout="mono", rate=rate)
        frames = [back for part in read.decode(audio=0) for back in to_float.resample(part)]
    decoded = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    back = np.asarray(soxr.resample(decoded, rate, sample_rate), dtype=np.float32)[: len(samples)]
    return np.pad(back, (0, len(samples) - len(back)))
