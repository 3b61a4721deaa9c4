"""Write samples as a WAV file, for players and for files that a user asked for."""

from __future__ import annotations

import io

import numpy as np
import soundfile
from numpy.typing import NDArray


def wav_file(samples: NDArray[np.floating], sample_rate: int) -> bytes:
    """Return a WAV file of 16 bits of samples [n], scaled down to full scale if they exceed it."""
    peak = max(1.0, float(np.abs(samples).max(initial=0.0)))
    file = io.BytesIO()
    soundfile.write(file, samples / np.float32(peak), sample_rate, format="WAV", subtype="PCM_16")
    return file.getvalue()
