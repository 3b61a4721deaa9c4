"""What microphones, loudspeakers, lines and codecs do."""

from __future__ import annotations

import io

import av
import numpy as np
import scipy  # whose parts load when they are first used: scipy.signal takes a second
import soxr
from numpy.random import Generator
from numpy.typing import NDArray

from genre_app.evaluation.conditions.level import Samples

_MP3_RATE = 44100  # Hz, what MP3 files nearly always have
_EQUALISER_HZ = (60.0, 8000.0)  # its two ends; straight over the octaves between them


def _filtered(sections: NDArray[np.float64], samples: Samples) -> Samples:
    return np.asarray(scipy.signal.sosfilt(sections, samples), dtype=np.float32)


def telephone(samples: Samples, rate: int, generator: Generator) -> Samples:
    """Keep 300 to 3400 Hz, with the steep edges of a telephone line."""
    edges = [300.0, min(3400.0, 0.45 * rate)]
    return _filtered(scipy.signal.ellip(6, 0.5, 45, edges, "bandpass", fs=rate, output="sos"), samples)


def phone_band(samples: Samples, rate: int, low_hz: float, high_hz: float) -> Samples:
    """Keep what a mobile phone's microphone hears: 12 dB an octave are lost under ``low_hz``, 24 dB over ``high_hz``."""
    samples = _filtered(scipy.signal.butter(2, low_hz, "highpass", fs=rate, output="sos"), samples)
    if high_hz < 0.49 * rate:
        samples = _filtered(scipy.signal.butter(4, high_hz, "lowpass", fs=rate, output="sos"), samples)
    return samples


def tilt(samples: Samples, rate: int, low_db: float) -> Samples:
    """Change 60 Hz by ``low_db``, 8 kHz by its opposite, and what lies between in proportion; without delay."""
    n_padded = scipy.fft.next_fast_len(len(samples) + rate // 4, real=True)  # the end must not ring into the beginning
    frequencies = np.clip(scipy.fft.rfftfreq(n_padded, 1 / rate), *_EQUALISER_HZ)
    gain_db = np.interp(np.log2(frequencies), np.log2(_EQUALISER_HZ), (low_db, -low_db))
    spectrum = scipy.fft.rfft(samples, n_padded) * (10.0 ** (gain_db / 20.0)).astype(np.float32)
    return np.asarray(scipy.fft.irfft(spectrum, n_padded)[: len(samples)], dtype=np.float32)


def gain(samples: Samples, gain_db: float) -> Samples:
    """Change the level."""
    return samples * np.float32(10.0 ** (gain_db / 20.0))


def clip(samples: Samples, share: float) -> Samples:
    """Make samples so loud that a share of them is cut off at full scale."""
    threshold = float(np.quantile(np.abs(samples), 1.0 - share)) if len(samples) else 0.0
    return np.clip(samples / threshold, -1.0, 1.0).astype(np.float32) if threshold > 0 else samples


def mp3(samples: Samples, rate: int, kilobits: int) -> Samples:
    """Encode with LAME as mono of 44.1 kHz, and decode; nothing is delayed.

    What the files in use have lost at such rates is lost here: it is the encoder that chooses the band it keeps.
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
        # The file says how much the encoder delayed and padded, and the decoder leaves that out.
        decoded = np.concatenate([part.to_ndarray()[0] for part in read.decode(audio=0)])
    back = np.asarray(soxr.resample(decoded, _MP3_RATE, rate), dtype=np.float32)[: len(samples)]
    return np.pad(back, (0, len(samples) - len(back)))
