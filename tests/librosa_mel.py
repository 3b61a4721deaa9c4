"""Log-mel features as librosa computes them: what ours are held to and timed against."""

from __future__ import annotations

import librosa
import numpy as np

from genre_app.features import FeatureSpec


def log_mel(samples: np.ndarray, spec: FeatureSpec) -> np.ndarray:
    """Float32 [n_mels, frames], dB."""
    mel = librosa.feature.melspectrogram(
        y=samples,
        sr=spec.sample_rate,
        n_fft=spec.n_fft,
        hop_length=spec.hop_length,
        n_mels=spec.n_mels,
        fmin=spec.fmin,
        fmax=spec.fmax,
        htk=spec.mel_scale == "htk",
        norm=spec.mel_norm,
        power=spec.power,
    )
    return librosa.power_to_db(mel, ref=np.max if spec.db_reference == "max" else 1.0, top_db=spec.top_db)
