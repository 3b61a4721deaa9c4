"""Filters, level, clipping and MP3."""

from __future__ import annotations

import io

import av
import numpy as np
import scipy  # its submodules are imported at first use; scipy.signal takes a second
import soxr
from numpy.random import Generator
from numpy.typing import NDArray

from genre_app.evaluation.conditions.level import Samples

TELEPHONE_HZ = (300.0, 3400.0)
"""Edges of the frequency band of a telephone line."""

_MP3_RATE = 44100  # Hz, the usual rate of MP3 files
_TILT_HZ = (60.0, 8000.0)  # ends of the tilt; the gain is linear in octaves between them


def _filtered(sections: NDArray[np.float64], samples: Samples) -> Samples:
    return np.asarray(scipy.signal.sosfilt(sections, samples), dtype=np.float32)


def telephone(samples: Samples, rate: int, generator: Generator) -> Samples:
    """Keep 300 to 3400 Hz with steep edges, as a telephone line does."""
    edges = [TELEPHONE_HZ[0], min(TELEPHONE_HZ[1], 0.45 * rate)]
    return _filtered(scipy.signal.ellip(6, 0.5, 45, edges, "bandpass", fs=rate, output="sos"), samples)


def phone_band(samples: Samples, rate: int, low_hz: float, high_hz: float) -> Samples:
    """Attenuate by 12 dB an octave below ``low_hz`` and by 24 dB above ``high_hz``, as a phone's microphone does."""
    samples = _filtered(scipy.signal.butter(2, low_hz, "highpass", fs=rate, output="sos"), samples)
    if high_hz < 0.49 * rate:
        samples = _filtered(scipy.signal.butter(4, high_hz, "lowpass", fs=rate, output="sos"), samples)
    return samples


def tilt(samples: Samples, rate: int, low_db: float) -> Samples:
    """Apply a gain of ``low_db`` at 60 Hz that falls linearly in octaves to ``-low_db`` at 8 kHz, with zero phase."""
    n_padded = scipy.fft.next_fast_len(len(samples) + rate // 4, real=True)  # the end must not wrap around
    frequencies = np.clip(scipy.fft.rfftfreq(n_padded, 1 / rate), *_TILT_HZ)
    gain_db = np.interp(np.log2(frequencies), np.log2(_TILT_HZ), (low_db, -low_db))
    spectrum = scipy.fft.rfft(samples, n_padded) * (10.0 ** (gain_db / 20.0)).astype(np.float32)
    return np.asarray(scipy.fft.irfft(spectrum, n_padded)[: len(samples)], dtype=np.float32)


def gain(samples: Samples, gain_db: float) -> Samples:
    """Change the level by ``gain_db``."""
    return samples * np.float32(10.0 ** (gain_db / 20.0))


def clip(samples: Samples, share: float) -> Samples:
    """Amplify samples until ``share`` of them exceed full scale, and clip them there."""
    threshold = float(np.quantile(np.abs(samples), 1.0 - share)) if len(samples) else 0.0
    return np.clip(samples / threshold, -1.0, 1.0).astype(np.float32) if threshold > 0 else samples


def mp3(samples: Samples, rate: int, kilobits: int) -> Samples:
    """Encode as mono MP3 of 44.1 kHz with LAME and decode; length and timing stay.

    At 44.1 kHz the encoder limits the frequency band as it does in usual files of the same bit rate.
    """
    wide = np.asarray(soxr.resample(samples, rate, _MP3_RATE), dtype=np.float32)
    file = io.BytesIO()
    with av.open(file, "w", format="mp3") as written:
        stream = written.add_stream("libmp3lame", rate=_MP3_RATE, layout="mono")
        stream.bit_rate = kilobits * 1000
        frame = av.AudioFrame.from_ndarray(wide[None], format="fltp", layout="mono")
        frame.sample_rate = _MP3_RATE
        for packet in (*stream.encode(frame), *stream.encode(None)):
            written.mux(packet)
    file.seek(0)
    with av.open(file, "r") as read:
        # The file states the delay and padding of the encoder, and the decoder removes them.
        decoded = np.concatenate([part.to_ndarray()[0] for part in read.decode(audio=0)])
    back = np.asarray(soxr.resample(decoded, _MP3_RATE, rate), dtype=np.float32)[: len(samples)]
    return np.pad(back, (0, len(samples) - len(back)))
