"""Pitch and tempo of a track, changed by a given amount with the transforms that `genre_app.augment.waveform` draws from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]


def shift_pitch(samples: Samples, sample_rate: int, semitones: float) -> Samples:
    """Shift the pitch of samples [n] at the same tempo and length."""
    import audiomentations  # here: it imports librosa and scipy, which take seconds

    return _apply(audiomentations.PitchShift(p=1.0), {"num_semitones": semitones}, samples, sample_rate)


def change_tempo(samples: Samples, sample_rate: int, factor: float) -> Samples:
    """Change the tempo of samples [n] at the same pitch; the length is divided by ``factor``."""
    import audiomentations

    return _apply(audiomentations.TimeStretch(leave_length_unchanged=False, p=1.0), {"rate": factor}, samples, sample_rate)


def _apply(transform: object, parameters: dict[str, float], samples: Samples, sample_rate: int) -> Samples:
    # Given parameters instead of drawn ones: the transform would draw from global random generators.
    transform.parameters = parameters  # type: ignore[attr-defined]
    return np.asarray(transform.apply(samples, sample_rate), dtype=np.float32)  # type: ignore[attr-defined]
