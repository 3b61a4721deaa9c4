"""What a preset sounds like: the waveform counterparts of what training does to log-mel columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from genre_app.augment.chain import AugmentConfig, ChainConfig
from genre_app.augment.presets import PRESETS
from genre_app.augment.waveform import WaveformConfig, augment_waveform
from genre_app.features import FeatureSpec

_MASK_SECONDS = 6.0  # training masks each segment, which is about that long


def preview(
    samples: NDArray[np.float32],
    sample_rate: int,
    preset_name: str,
    seed: int,
    other: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Do to a clip what a preset does to training segments, everything that it may do at once.

    Parameters
    ----------
    samples : numpy.ndarray, float32 [n]
        Mono.
    sample_rate : int
        Hz.
    preset_name : str
        One of `PRESETS`.
    seed : int
    other : numpy.ndarray, float32 [m], optional
        At the same sample rate; the clip that mixup blends in. Without it nothing is blended.

    Returns
    -------
    numpy.ndarray, float32 [k]
        Within full scale; of another length where the tempo was changed.

    Raises
    ------
    ValueError
        For an unknown preset.
    """
    if preset_name not in PRESETS:
        raise ValueError(f"there is no augmentation {preset_name!r}; choose one of: {', '.join(PRESETS)}")
    config = PRESETS[preset_name]
    mild = config.mild
    rng = np.random.default_rng(seed)
    spec = FeatureSpec(sample_rate=sample_rate, hop_length=512, fmax=sample_rate / 2)
    instrument = WaveformConfig(
        pitch_probability=float(mild.pitch_probability > 0),
        pitch_semitones=mild.pitch_semitones,
        stretch_probability=float(config.stretch_probability > 0),
        stretch=config.stretch,
    )
    device = WaveformConfig(
        noise_probability=float(mild.gaussian_probability > 0),
        noise_amplitude=mild.gaussian_sigma,
        gain_probability=float(mild.gain_probability > 0),
        gain_db=mild.gain_db,
    )
    changed = augment_waveform(samples, sample_rate, instrument, int(rng.integers(1 << 31)))
    if mild.equaliser_probability > 0:
        knots = rng.uniform(-mild.equaliser_db, mild.equaliser_db, mild.equaliser_knots)
        at = np.linspace(0, mild.equaliser_knots - 1, spec.n_mels)
        changed = equalise(changed, np.interp(at, np.arange(mild.equaliser_knots), knots), spec)
    changed = augment_waveform(changed, sample_rate, device, int(rng.integers(1 << 31)))
    if config.recorded_share > 0:
        changed = augment_waveform(changed, sample_rate, _recording(config.recorded), int(rng.integers(1 << 31)))
    if config.mask_probability > 0:
        changed = _mask(changed, config, spec, rng)
    if config.mixup_probability > 0 and other is not None:
        drawn = rng.beta(config.mixup_alpha, config.mixup_alpha)
        share = np.float32(max(drawn, 1.0 - drawn))
        # Training blends the columns' dB, which no waveform does; blended samples are the closest that can be heard.
        changed = share * changed + (1 - share) * np.resize(other, len(changed))
    peak = float(np.abs(changed).max(initial=0.0))
    return (changed / max(1.0, peak)).astype(np.float32)


def _recording(chain: ChainConfig) -> WaveformConfig:
    """Return what makes of a waveform what a chain makes of columns: always its room and its device, the rest now and then.

    It stays as loud as it is: what is too soft cannot be compared.
    """
    same = [name for name in WaveformConfig.model_fields if name.startswith(("suppress_", "control_", "limit_"))]
    return WaveformConfig(
        room_probability=float(chain.room_probability > 0),
        room_direct_db=chain.room_direct_db,
        room_t60_seconds=chain.room_t60_seconds,
        response_probability=float(chain.band_probability > 0),
        response_low_hz=chain.band_low_hz,
        response_high_hz=chain.band_high_hz,
        response_slope_db=chain.band_slope_db,
        response_db=(0.0, chain.equaliser_db),
        colour_probability=chain.noise_probability,
        colour_snr_db=chain.noise_snr_db,
        colour_slope_db=chain.noise_slope_db,
        clip_probability=chain.clip_probability,
        codec_probability=chain.code_probability,
        **{name: getattr(chain, name) for name in same},
    )


def equalise(samples: NDArray[np.float32], response_db: NDArray[np.floating], spec: FeatureSpec) -> NDArray[np.float32]:
    """Filter samples [n] by a frequency response in dB, given at the centre of each mel band [n_mels]; it has no delay."""
    import librosa  # here: it takes a while the first time

    htk = spec.mel_scale == "htk"
    centres = librosa.mel_frequencies(spec.n_mels + 2, fmin=spec.fmin, fmax=spec.fmax, htk=htk)[1:-1]
    padded = len(samples) + spec.n_fft  # the end must not ring into the beginning
    spectrum = np.fft.rfft(samples, padded)
    frequencies = np.fft.rfftfreq(padded, 1 / spec.sample_rate)
    spectrum *= 10.0 ** (np.interp(frequencies, centres, response_db) / 20.0)
    return np.fft.irfft(spectrum, padded)[: len(samples)].astype(np.float32)


def _mask(
    samples: NDArray[np.float32], config: AugmentConfig, spec: FeatureSpec, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Bring stripes of frequency and time to the mean level of the clip, as masks do."""
    import librosa

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
    for _ in range(max(1, round(config.mask_count * seconds / _MASK_SECONDS))):
        width = min(columns, round(rng.integers(config.mask_frames + 1) / frames_per_column))
        start = int(rng.integers(columns - width + 1))
        hidden[:, start : start + width] = True
    spectrum = np.where(hidden, spectrum / (magnitude + 1e-7) * level, spectrum)
    masked: NDArray[np.float32] = librosa.istft(
        spectrum, n_fft=spec.n_fft, hop_length=spec.hop_length, length=len(samples), dtype=np.float32
    )
    return masked
