"""Preview of a preset: the waveform counterparts of what training does to log-mel spectrograms."""

from __future__ import annotations

import librosa
import numpy as np
from numpy.typing import NDArray

from genre_app.augment.config import AugmentConfig, LogMelConfig, RecordingConfig, WaveformConfig
from genre_app.augment.presets import named_preset
from genre_app.augment.waveform import augment_waveform
from genre_app.features import FeatureSpec
from genre_app.features.spectrogram import mel_edges

_SEGMENT_SECONDS = 6.0  # about the length of the segments that training masks


def preview(
    samples: NDArray[np.float32], sample_rate: int, preset_name: str, seed: int, other: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Change a clip as a preset changes training segments, with every change of its mild chain at once.

    Parameters
    ----------
    samples : numpy.ndarray, float32 [n]
        Mono.
    sample_rate : int
        Hz.
    preset_name : str
        One of `genre_app.augment.presets.PRESETS`.
    seed : int
    other : numpy.ndarray, float32 [m], optional
        Clip at the same sample rate that mixup mixes in. Without it, mixup is left out.

    Returns
    -------
    numpy.ndarray, float32 [k]
        Within full scale; of another length where the tempo was changed.

    Raises
    ------
    ValueError
        For an unknown preset.
    """
    config: AugmentConfig = named_preset(preset_name)
    mild = config.mild
    rng = np.random.default_rng(seed)
    spec = FeatureSpec(sample_rate=sample_rate, hop_length=512, fmax=sample_rate / 2)
    instrument = WaveformConfig(
        pitch_probability=float(mild.pitch_probability > 0),
        pitch_semitones=mild.pitch_semitones,
        stretch_probability=float(config.stretch_probability > 0),
        stretch=config.stretch,
    )
    changed = augment_waveform(samples, sample_rate, instrument, int(rng.integers(1 << 31)))
    if mild.equaliser_probability > 0:
        knots = rng.uniform(-mild.equaliser_db, mild.equaliser_db, mild.equaliser_knots)
        at = np.linspace(0, mild.equaliser_knots - 1, spec.n_mels)
        changed = equalise(changed, np.interp(at, np.arange(mild.equaliser_knots), knots), spec)
    always = {name: float(value > 0) for name, value in mild if name.endswith("_probability")}
    device = _waveform(mild, always | {"pitch_probability": 0.0})
    changed = augment_waveform(changed, sample_rate, device, int(rng.integers(1 << 31)))
    if config.recorded_share > 0:
        chain = config.recorded
        # Without room and device the preview would often equal the clip; with the drawn gain it would often be too soft.
        always = {name: float(getattr(chain, name) > 0) for name in ("room_probability", "response_probability")}
        recorded = _waveform(chain, always | {"gain_probability": 0.0})
        changed = augment_waveform(changed, sample_rate, recorded, int(rng.integers(1 << 31)))
    if config.mask_probability > 0:
        changed = _mask(changed, config, spec, rng)
    if config.mixup_probability > 0 and other is not None:
        drawn = rng.beta(config.mixup_alpha, config.mixup_alpha)
        share = np.float32(max(drawn, 1.0 - drawn))
        # Training mixes decibels, which no waveform corresponds to; mixed samples are the closest that can be played.
        changed = share * changed + (1 - share) * np.resize(other, len(changed))
    peak = float(np.abs(changed).max(initial=0.0))
    return (changed / max(1.0, peak)).astype(np.float32)


def _waveform(chain: LogMelConfig, probabilities: dict[str, float]) -> WaveformConfig:
    """Return the settings that a chain shares with waveforms, with other probabilities for some parts."""
    values = (chain.model_dump() | probabilities).items()
    shared = {name: value for name, value in values if name in RecordingConfig.model_fields}
    shared["background_probability"] = 0.0  # needs a folder of noises
    return WaveformConfig(**shared, response_db=(0.0, chain.equaliser_db))


def equalise(samples: NDArray[np.float32], response_db: NDArray[np.floating], spec: FeatureSpec) -> NDArray[np.float32]:
    """Filter samples [n] with zero phase by a response in dB that is given at the centre of each mel band [n_mels]."""
    padded = len(samples) + spec.n_fft  # so that the filtered end does not wrap around to the start
    spectrum = np.fft.rfft(samples, padded)
    frequencies = np.fft.rfftfreq(padded, 1 / spec.sample_rate)
    spectrum *= 10.0 ** (np.interp(frequencies, mel_edges(spec)[1:-1], response_db) / 20.0)
    return np.fft.irfft(spectrum, padded)[: len(samples)].astype(np.float32)


def _mask(
    samples: NDArray[np.float32], config: AugmentConfig, spec: FeatureSpec, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Set stripes of frequency and of time to the mean level of the clip, as masks do."""
    training = FeatureSpec()
    spectrum = librosa.stft(samples, n_fft=spec.n_fft, hop_length=spec.hop_length)  # [bins, frames]
    magnitude = np.abs(spectrum)
    level = np.exp(np.log(magnitude + 1e-7).mean())
    edges = np.searchsorted(
        librosa.fft_frequencies(sr=spec.sample_rate, n_fft=spec.n_fft),
        librosa.mel_frequencies(training.n_mels + 1, fmin=spec.fmin, fmax=spec.fmax),
    )
    hidden = np.zeros(magnitude.shape, bool)
    for _ in range(config.mask_count):
        width = int(rng.integers(config.mask_bins + 1))
        low = int(rng.integers(training.n_mels - width + 1))
        hidden[edges[low] : edges[low + width]] = True
    columns = magnitude.shape[1]
    seconds = len(samples) / spec.sample_rate
    frames_per_column = spec.hop_length / spec.sample_rate * training.sample_rate / training.hop_length
    for _ in range(max(1, round(config.mask_count * seconds / _SEGMENT_SECONDS))):
        width = min(columns, round(rng.integers(config.mask_frames + 1) / frames_per_column))
        start = int(rng.integers(columns - width + 1))
        hidden[:, start : start + width] = True
    spectrum = np.where(hidden, spectrum / (magnitude + 1e-7) * level, spectrum)
    masked: NDArray[np.float32] = librosa.istft(
        spectrum, n_fft=spec.n_fft, hop_length=spec.hop_length, length=len(samples), dtype=np.float32
    )
    return masked
