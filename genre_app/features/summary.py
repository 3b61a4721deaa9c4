"""Twenty-nine features of a segment, each as its mean and variance over time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from genre_app.features.spec import SUMMARY_MFCC, FeatureSpec

# In the order of the table features_3_sec.csv that is distributed with GTZAN; that table has no variance of the tempo.
_BY_FRAME = ("chroma_stft", "rms", "spectral_centroid", "spectral_bandwidth", "rolloff", "zero_crossing_rate")
_MFCC = tuple(f"mfcc{index}" for index in range(1, 1 + SUMMARY_MFCC))
_FEATURES = (*_BY_FRAME, "harmony", "perceptr", "tempo", *_MFCC)
SUMMARY_NAMES: tuple[str, ...] = tuple(f"{feature}_{part}" for feature in _FEATURES for part in ("mean", "var"))
"""Names of the values of a segment of kind ``summary``, in their order."""

_HPSS_WIDTH = 31  # frames or bins, the default of librosa.decompose.hpss
_TEMPOGRAM_SECONDS = 8.0  # the default of librosa.feature.tempo


def _running_median(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the median of `_HPSS_WIDTH` neighbours within each row, mirrored at its ends."""
    import scipy  # loads scipy.ndimage at its first use

    half = _HPSS_WIDTH // 2
    padded = np.pad(rows, ((0, 0), (half, half)), mode="symmetric")
    # Join the rows: scipy's one-dimensional filter is ten times as fast. The padding keeps neighbouring rows apart.
    medians: NDArray[np.float32] = scipy.ndimage.median_filter(padded.ravel(), _HPSS_WIDTH).reshape(padded.shape)
    return medians[:, half:-half]


def summarise(samples: NDArray[np.float32], spec: FeatureSpec) -> NDArray[np.float32]:
    """Compute mean and variance of the features of one segment.

    Parameters
    ----------
    samples : numpy.ndarray, float32 [n]
        Mono samples at ``spec.sample_rate``, without context.
    spec : FeatureSpec

    Returns
    -------
    numpy.ndarray, float32 [58]
        Mean and variance of each feature over all frames, named by `SUMMARY_NAMES`. Those of ``chroma_stft`` are over the
        pitch classes too; those of ``harmony`` and ``perceptr`` are over samples. ``tempo_mean`` is librosa's tempo of the
        whole segment in beats per minute; ``tempo_var`` is the variance of its tempo of each frame.

    References
    ----------
    librosa.feature.chroma_stft, rms, spectral_centroid, spectral_bandwidth, spectral_rolloff, zero_crossing_rate, tempo, mfcc;
    librosa.effects.hpss
    """
    import librosa  # here: its import takes seconds, and only this kind of features needs it

    rate, n_fft, hop = spec.sample_rate, spec.n_fft, spec.hop_length
    spectrum = librosa.stft(samples, n_fft=n_fft, hop_length=hop)
    magnitude = np.abs(spectrum)
    # librosa warns if it is to estimate the tuning of a sound without a pitch.
    tuning = None if (librosa.piptrack(S=magnitude**2, sr=rate)[0] > 0).any() else 0.0
    bands: dict[str, Any] = spec.model_dump(include={"n_mels", "fmin", "fmax"})
    bands |= {"htk": spec.mel_scale == "htk", "norm": spec.mel_norm}
    mel = librosa.feature.melspectrogram(S=magnitude**spec.power, sr=rate, n_fft=n_fft, **bands)
    log_mel = librosa.power_to_db(mel, ref=np.max if spec.db_reference == "max" else 1.0, top_db=spec.top_db)

    def separated(own: NDArray[np.float32], other: NDArray[np.float32]) -> Any:
        part = spectrum * librosa.util.softmask(own, other, power=2.0, split_zeros=True)
        return librosa.istft(part, n_fft=n_fft, hop_length=hop, length=len(samples), dtype=samples.dtype)

    steady, struck = _running_median(magnitude), _running_median(magnitude.T).T
    harmonic, percussive = separated(steady, struck), separated(struck, steady)
    onsets = librosa.onset.onset_strength(S=log_mel, sr=rate, n_fft=n_fft, hop_length=hop)
    width = librosa.time_to_frames(_TEMPOGRAM_SECONDS, sr=rate, hop_length=hop).item()
    tempogram = librosa.feature.tempogram(onset_envelope=onsets, sr=rate, hop_length=hop, win_length=width)
    tempo = librosa.feature.tempo(tg=tempogram, sr=rate, hop_length=hop)
    tempo_by_frame = librosa.feature.tempo(tg=tempogram, sr=rate, hop_length=hop, aggregate=None)
    features = (
        librosa.feature.chroma_stft(S=magnitude**2, sr=rate, n_fft=n_fft, tuning=tuning),
        librosa.feature.rms(y=samples, frame_length=n_fft, hop_length=hop),
        librosa.feature.spectral_centroid(S=magnitude, sr=rate, n_fft=n_fft),
        librosa.feature.spectral_bandwidth(S=magnitude, sr=rate, n_fft=n_fft),
        librosa.feature.spectral_rolloff(S=magnitude, sr=rate, n_fft=n_fft),
        librosa.feature.zero_crossing_rate(samples, frame_length=n_fft, hop_length=hop),
        harmonic,
        percussive,
    )
    pairs = [(feature.mean(), feature.var()) for feature in features]
    pairs.append((tempo.mean(), tempo_by_frame.var()))
    pairs += [(row.mean(), row.var()) for row in librosa.feature.mfcc(S=log_mel, n_mfcc=SUMMARY_MFCC)]
    return np.array(pairs, np.float32).reshape(-1)
