"""Compute features of segments; no other module computes a model's input from samples."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchaudio import functional as AF

from genre_app.features.spec import DELTA_WIDTH, FeatureSpec
from genre_app.features.summary import summarise

_AMIN = 1e-10  # least power, the default of librosa.power_to_db
_LOG10_GAIN = 4.0  # log10 of the factor in log10(10000 * mel + 1)


@lru_cache(maxsize=16)
def mel_filterbank(spec: FeatureSpec, device: torch.device) -> Tensor:
    """Return the weight of each FFT bin in each mel band, float32 [n_fft // 2 + 1, n_mels]."""
    filterbank: Tensor = AF.melscale_fbanks(
        1 + spec.n_fft // 2, spec.fmin, spec.fmax, spec.n_mels, spec.sample_rate, norm=spec.mel_norm, mel_scale=spec.mel_scale
    )
    return filterbank.to(device)


def mel_edges(spec: FeatureSpec) -> NDArray[np.float64]:
    """Return the edges of the mel bands in Hz [n_mels + 2]; band ``k`` lies between edges ``k`` and ``k + 2``."""
    import librosa  # here: the first use takes half a second

    return np.asarray(librosa.mel_frequencies(spec.n_mels + 2, fmin=spec.fmin, fmax=spec.fmax, htk=spec.mel_scale == "htk"))


@lru_cache(maxsize=16)
def analysis_window(n_fft: int, device: torch.device) -> Tensor:
    """Return the periodic Hann window, float32 [n_fft]."""
    return torch.hann_window(n_fft, periodic=True, device=device)


@lru_cache(maxsize=16)
def _dct(n_mfcc: int, n_mels: int, device: torch.device) -> Tensor:
    dct: Tensor = AF.create_dct(n_mfcc, n_mels, norm="ortho")  # [n_mels, n_mfcc]
    return dct.to(device)


@lru_cache(maxsize=16)
def _delta_matrix(n_frames: int, order: int, device: torch.device) -> Tensor:
    from scipy.signal import savgol_filter  # here: its import is slow, and only one kind of features needs it

    # The Savitzky-Golay filter is linear, so its responses to the unit vectors are the columns of its matrix, edges included.
    response = savgol_filter(np.eye(n_frames), DELTA_WIDTH, deriv=order, polyorder=order, axis=0, mode="interp")
    return torch.from_numpy(response).float().to(device)  # [frames out, frames in]


def floored(db: Tensor, spec: FeatureSpec) -> Tensor:
    """Apply the spec's reference and floor to ``db`` [s, bins, frames] in dB re 1.0, to each segment by itself.

    References
    ----------
    librosa.power_to_db, its ``ref`` and ``top_db``
    """
    peak = db.amax(dim=(-2, -1), keepdim=True)
    if spec.db_reference == "max":
        db = db - peak
        peak = torch.zeros_like(peak)
    return torch.maximum(db, peak - spec.top_db)


def finish(db: Tensor, spec: FeatureSpec) -> Tensor:
    """Turn log-mel spectrograms in dB re 1.0 [s, n_mels, frames] into the features of ``spec.kind`` [s, n_bins, frames].

    Each segment gets the spec's reference and floor first; applying them twice gives the same result. The compression
    ``log10_10000`` has neither.

    Raises
    ------
    ValueError
        For the kind ``summary``, which cannot be computed from a log-mel spectrogram.
    """
    if spec.kind == "summary":
        raise ValueError("summary features are computed from audio, not from log-mel columns; give the audio itself")
    if spec.compression == "log10_10000":
        return torch.log10(1.0 + 10.0 ** (db / 10.0 + _LOG10_GAIN))
    db = floored(db, spec)
    if spec.kind == "log_mel":
        return db
    mfcc = torch.einsum("smt,mc->sct", db, _dct(spec.n_mfcc, spec.n_mels, db.device))
    if spec.kind == "mfcc":
        return mfcc
    deltas = [torch.einsum("scu,tu->sct", mfcc, _delta_matrix(mfcc.shape[-1], order, db.device)) for order in (1, 2)]
    return torch.cat([mfcc, *deltas], dim=1)


@torch.no_grad()  # not inference_mode: a network cannot be trained on its tensors
def extract(samples: Tensor, spec: FeatureSpec, *, padded: bool = False) -> Tensor:
    """Compute the features of a batch of segments on the device of ``samples``.

    Parameters
    ----------
    samples : Tensor, float32 [s, n]
        Mono samples at ``spec.sample_rate``.
    spec : FeatureSpec
    padded : bool
        The samples include ``n_fft`` samples of context, half of them at each end, as those of `split` do. If False, zeros are
        added there, as in librosa.

    Returns
    -------
    Tensor, float32 [s, bins, frames]
        ``frames = 1 + n // hop_length`` without context; one frame for ``summary``.

    Raises
    ------
    ValueError
        If the samples are not a float32 matrix.

    References
    ----------
    librosa.feature.melspectrogram, librosa.power_to_db, librosa.feature.mfcc, librosa.feature.delta
    """
    if samples.ndim != 2 or samples.dtype != torch.float32:
        raise ValueError(f"samples must be a float32 matrix [segments, samples], got {samples.dtype} {tuple(samples.shape)}")
    before, after = spec.n_fft // 2, spec.n_fft - spec.n_fft // 2  # samples of context
    if spec.kind == "summary":
        rows = samples[:, before : samples.shape[1] - after] if padded else samples
        return torch.from_numpy(np.stack([summarise(row, spec) for row in rows.cpu().numpy()])[:, :, None]).to(samples.device)
    if not padded:
        samples = torch.nn.functional.pad(samples, (before, after))
    window = analysis_window(spec.n_fft, samples.device)
    # [s, n_fft // 2 + 1, frames]
    spectrum = torch.stft(samples, spec.n_fft, spec.hop_length, window=window, center=False, return_complex=True)
    magnitude = spectrum.real.square() + spectrum.imag.square()
    if spec.power != 2.0:
        magnitude = magnitude.pow(spec.power / 2.0)
    mel = torch.einsum("sft,fm->smt", magnitude, mel_filterbank(spec, samples.device))
    return finish(10.0 * torch.log10(mel.clamp(min=_AMIN)), spec)
