"""Twenty-nine features of a segment, each summed up by its mean and variance over time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from genre_app.features.spec import SUMMARY_MFCC, FeatureSpec

# In the order of the well-known features_3_sec.csv, which has the tempo as one column only.
_FEATURES = (
    "chroma_stft",
    "rms",
    "spectral_centroid",
    "spectral_bandwidth",
    "rolloff",
    "zero_crossing_rate",
    "harmony",
    "perceptr",
    "tempo",
    *(f"mfcc{index}" for index in range(1, 1 + SUMMARY_MFCC)),
)
SUMMARY_NAMES: tuple[str, ...] = tuple(f"{feature}_{part}" for feature in _FEATURES for part in ("mean", "var"))
"""What the values of a segment of kind ``summary`` are."""


_HPSS_WIDTH = 31  # frames, and bins: the default of librosa.decompose.hpss


def _running_median(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Median over `_HPSS_WIDTH` neighbours within each row, mirrored at its ends."""
    import scipy  # whose parts load when they are first used

    half = _HPSS_WIDTH // 2
    padded = np.pad(rows, ((0, 0), (half, half)), mode="symmetric")
    # End to end in one dimension, for which scipy has a filter ten times as fast; what straddles two rows is cut off.
    medians: NDArray[np.float32] = scipy.ndimage.median_filter(padded.ravel(), _HPSS_WIDTH).reshape(padded.shape)
    return medians[:, half:-half]


def summarise(samples: NDArray[np.float32], spec: FeatureSpec) -> NDArray[np.float32]:
    """Sum up one segment.

    Parameters
    ----------
    samples : numpy.ndarray, float32 [n]
        Mono samples at ``spec.sample_rate``, without context.
    spec : FeatureSpec

    Returns
    -------
    numpy.ndarray, float32 [58]
        Mean and variance of each feature over all frames (of ``chroma_stft`` over all pitch classes too, of ``harmony`` and
        ``perceptr`` over samples), named by `SUMMARY_NAMES`. ``tempo_mean`` is librosa's estimate for the segment as a
        whole, in beats per minute, as the tempo of the well-known table is; ``tempo_var`` the variance of its estimates frame
        by frame.

    References
    ----------
    librosa.feature.chroma_stft, rms, spectral_centroid, spectral_bandwidth, spectral_rolloff, zero_crossing_rate, tempo, mfcc;
    librosa.effects.hpss
    """
    import librosa  # here: it takes seconds the first time, and most specs need none of it

    rate, n_fft, hop = spec.sample_rate, spec.n_fft, spec.hop_length
    spectrum = librosa.stft(samples, n_fft=n_fft, hop_length=hop)
    magnitude = np.abs(spectrum)
    # Without a peak there is no tuning to estimate, and librosa would warn.
    tuning = None if samples.any() else 0.0
    mel = librosa.feature.melspectrogram(
        S=magnitude**spec.power,
        sr=rate,
        n_fft=n_fft,
        n_mels=spec.n_mels,
        fmin=spec.fmin,
        fmax=spec.fmax,
        htk=spec.mel_scale == "htk",
        norm=spec.mel_norm,
    )
    log_mel = librosa.power_to_db(mel, ref=np.max if spec.db_reference == "max" else 1.0, top_db=spec.top_db)
    steady, struck = _running_median(magnitude), _running_median(magnitude.T).T
    harmonic, percussive = (
        librosa.istft(
            spectrum * librosa.util.softmask(own, other, power=2.0, split_zeros=True),
            n_fft=n_fft,
            hop_length=hop,
            length=len(samples),
            dtype=samples.dtype,
        )
        for own, other in ((steady, struck), (struck, steady))
    )
    tempogram = librosa.feature.tempogram(
        onset_envelope=librosa.onset.onset_strength(S=log_mel, sr=rate, n_fft=n_fft, hop_length=hop),
        sr=rate,
        hop_length=hop,
        win_length=librosa.time_to_frames(8.0, sr=rate, hop_length=hop).item(),
    )
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
