"""Changes of pitch and speed."""

from __future__ import annotations

import numpy as np
import soxr

from genre_app.evaluation.conditions.level import Samples


def shift_pitch(samples: Samples, rate: int, semitones: float) -> Samples:
    """Move the pitch at the same tempo and length, with a phase vocoder."""
    import librosa  # here: it takes a while the first time

    return np.asarray(librosa.effects.pitch_shift(samples, sr=rate, n_steps=semitones, res_type="soxr_hq"), dtype=np.float32)


def change_speed(samples: Samples, rate: int, factor: float) -> Samples:
    """Play faster and thereby higher, as a tape does; the length is divided by ``factor``."""
    return np.asarray(soxr.resample(samples, rate * factor, rate), dtype=np.float32)
