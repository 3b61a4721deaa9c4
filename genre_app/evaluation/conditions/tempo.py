"""Changes of pitch and of speed."""

from __future__ import annotations

import numpy as np
import soxr

from genre_app.evaluation.conditions.level import Samples


def shift_pitch(samples: Samples, rate: int, semitones: float) -> Samples:
    """Shift the pitch at the same tempo and length with a phase vocoder."""
    import librosa  # here: importing it takes seconds

    return np.asarray(librosa.effects.pitch_shift(samples, sr=rate, n_steps=semitones, res_type="soxr_hq"), dtype=np.float32)


def change_speed(samples: Samples, rate: int, factor: float) -> Samples:
    """Change pitch and tempo together by resampling; the length is divided by ``factor``."""
    return np.asarray(soxr.resample(samples, rate * factor, rate), dtype=np.float32)
