"""Feature specification, segmentation of a clip, and the one place that computes a spectrogram.

Conventions
-----------
Column ``k`` of a clip's spectrogram is centred on sample ``k * hop_length`` with zeros beyond both ends of the clip, as librosa
does with ``center=True``. Segments begin on such a column, so that a segment cut from a stored spectrogram and the same segment
computed from audio agree column by column.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor
from torchaudio import functional as AF

_AMIN = 1e-10  # power floor of librosa.power_to_db
_DELTA_WIDTH = 9  # librosa.feature.delta's default
_MAX_VALUES = 1 << 24  # in one segment: ten times what any published system has, and what a hostile checkpoint may ask for

# What a stored log-mel column depends on; the other fields say how columns are grouped and finished.
COLUMN_FIELDS = (
    "sample_rate",
    "n_fft",
    "hop_length",
    "n_mels",
    "fmin",
    "fmax",
    "mel_scale",
    "mel_norm",
    "power",
    "center",
)


class FeatureSpec(BaseModel):
    """Everything needed to turn samples into a model's input; it travels inside the checkpoint.

    Attributes
    ----------
    kind : {"log_mel", "mfcc", "mfcc_delta"}
        ``mfcc_delta`` stacks MFCC, delta and delta-delta: ``3 * n_mfcc`` bins.
    sample_rate : int
        Hz.
    n_fft, hop_length : int
        Samples.
    fmin, fmax : float
        Edges of the mel filterbank, Hz.
    db_reference : {"one", "max"}
        Zero dB is a power of 1.0, or the loudest value of the segment.
    top_db : float
        The floor lies this many dB under the segment's maximum.
    segment_seconds, segment_hop_seconds : float
        Length of a segment and distance between starts; both are rounded to whole columns.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["log_mel", "mfcc", "mfcc_delta"] = "log_mel"
    sample_rate: int = Field(22050, ge=4000, le=192000)
    n_fft: int = Field(2048, ge=64, le=65536)
    hop_length: int = Field(1709, ge=16, le=65536)
    n_mels: int = Field(128, ge=4, le=1024)
    n_mfcc: int = Field(20, ge=1, le=1024)
    fmin: float = Field(0.0, ge=0.0)
    fmax: float = Field(11025.0, gt=0.0)
    mel_scale: Literal["slaney", "htk"] = "slaney"
    mel_norm: Literal["slaney"] | None = "slaney"
    power: float = Field(2.0, ge=1.0, le=2.0)
    center: Literal[True] = True
    db_reference: Literal["one", "max"] = "one"
    top_db: float = Field(80.0, gt=0.0, le=200.0)
    segment_seconds: float = Field(5.0, ge=0.1, le=120.0)
    segment_hop_seconds: float = Field(2.5, gt=0.0, le=120.0)

    @model_validator(mode="after")
    def _consistent(self) -> FeatureSpec:
        if not self.fmin < self.fmax <= self.sample_rate / 2:
            raise ValueError(f"fmin < fmax <= sample_rate / 2 must hold, got {self.fmin}, {self.fmax}, {self.sample_rate} Hz")
        if self.kind != "log_mel" and self.n_mfcc > self.n_mels:
            raise ValueError(f"n_mfcc ({self.n_mfcc}) cannot exceed n_mels ({self.n_mels})")
        spectrum = self.segment_frames * (1 + self.n_fft // 2)
        features = self.segment_frames * max(self.n_mels, self.segment_frames if self.kind == "mfcc_delta" else 0)
        if max(spectrum, features) > _MAX_VALUES:
            raise ValueError(f"a segment's spectrum may have {_MAX_VALUES} values, got {max(spectrum, features)}; shorten it")
        if self.kind == "mfcc_delta" and self.segment_frames < _DELTA_WIDTH:
            raise ValueError(f"delta needs segments of at least {_DELTA_WIDTH} frames, got {self.segment_frames}")
        return self

    @property
    def n_bins(self) -> int:
        """Rows of a model's input."""
        return {"log_mel": self.n_mels, "mfcc": self.n_mfcc, "mfcc_delta": 3 * self.n_mfcc}[self.kind]

    @property
    def segment_frames(self) -> int:
        """Columns of a model's input."""
        return 1 + round(self.segment_seconds * self.sample_rate) // self.hop_length

    @property
    def segment_hop_frames(self) -> int:
        """Columns between the starts of neighbouring segments, at least one."""
        return max(1, round(self.segment_hop_seconds * self.sample_rate / self.hop_length))

    @property
    def segment_samples(self) -> int:
        """Samples from the centre of a segment's first column to the centre of its last."""
        return (self.segment_frames - 1) * self.hop_length

    def seconds(self, frame: int) -> float:
        """Time of a column, in seconds from the start of the clip."""
        return frame * self.hop_length / self.sample_rate

    def with_overlap(self, overlap: float) -> FeatureSpec:
        """Return the spec with segments that share the fraction ``overlap`` (0 <= overlap < 1) of their length."""
        if not 0.0 <= overlap < 1.0:
            raise ValueError(f"overlap must be at least 0 and below 1, got {overlap}")
        return self.model_copy(update={"segment_hop_seconds": self.segment_seconds * (1.0 - overlap)})


def segment_start_frames(n_frames: int, spec: FeatureSpec) -> list[int]:
    """First columns of the segments that cover ``n_frames`` columns: evenly spaced, the last one right-aligned.

    A clip shorter than a segment gets one segment, which starts at 0 and repeats the clip until it is full: a network that was
    trained on music takes silence for a sign of something.
    """
    last = n_frames - spec.segment_frames
    if last <= 0:
        return [0]
    starts = list(range(0, last + 1, spec.segment_hop_frames))
    if starts[-1] != last:
        starts.append(last)
    return starts


@dataclass(frozen=True)
class Segments:
    """Some consecutive segments of a clip.

    Attributes
    ----------
    start_frames : list of int
    samples : numpy.ndarray, float32 [s, n_fft // 2 + segment_samples + n_fft // 2]
        Each segment with the samples that its outermost columns reach into; zeros beyond the clip. A clip shorter than a
        segment is repeated.
    """

    start_frames: list[int]
    samples: NDArray[np.float32]


def split(blocks: Iterable[NDArray[np.float32]], spec: FeatureSpec, *, batch_size: int = 32) -> Iterator[Segments]:
    """Cut a stream of samples into batches of segments, holding no more than one batch of them.

    Parameters
    ----------
    blocks : iterable of numpy.ndarray, float32 [n]
        Consecutive mono samples at ``spec.sample_rate``.
    spec : FeatureSpec
    batch_size : int
        Segments to a batch.

    Yields
    ------
    Segments
    """
    half = spec.n_fft // 2
    width = half + spec.segment_samples + half
    hop = spec.segment_hop_frames * spec.hop_length
    held = np.zeros(half, np.float32)  # padded samples from position `origin` on
    origin = 0
    n_samples = 0
    next_start = 0  # frame
    waiting: list[tuple[int, NDArray[np.float32]]] = []

    def batches(least: int) -> Iterator[Segments]:
        while len(waiting) >= least:
            taken, waiting[:] = waiting[:batch_size], waiting[batch_size:]
            yield Segments([start for start, _ in taken], np.stack([samples for _, samples in taken]))

    for block in blocks:
        n_samples += len(block)
        held = np.concatenate([held, block])
        # A segment is complete once its last column is; that column exists when its centre lies within the clip, but the
        # samples after the centre may still come, so wait for the whole width.
        while next_start * spec.hop_length + width <= origin + len(held):
            at = next_start * spec.hop_length - origin
            waiting.append((next_start, held[at : at + width]))
            next_start += spec.segment_hop_frames
            if len(waiting) == batch_size:
                yield from batches(batch_size)
        # Keep what the next segment needs, and what a right-aligned last one may need.
        keep = max(0, min(next_start * spec.hop_length, origin + len(held) - width - hop) - origin)
        held = held[keep:]
        origin += keep

    n_frames = 1 + n_samples // spec.hop_length
    if n_samples and n_frames < spec.segment_frames:
        held = np.concatenate([held[:half], np.resize(held[half:], half + spec.segment_samples)])
    held = np.concatenate([held, np.zeros(width, np.float32)])
    done = next_start - spec.segment_hop_frames
    for start in segment_start_frames(n_frames, spec):
        if start > done:
            at = start * spec.hop_length - origin
            waiting.append((start, held[at : at + width]))
    yield from batches(1)


@lru_cache(maxsize=16)
def _mel_filterbank(spec: FeatureSpec, device: torch.device) -> Tensor:
    filterbank: Tensor = AF.melscale_fbanks(
        1 + spec.n_fft // 2, spec.fmin, spec.fmax, spec.n_mels, spec.sample_rate, norm=spec.mel_norm, mel_scale=spec.mel_scale
    )  # [n_fft // 2 + 1, n_mels]
    return filterbank.to(device)


@lru_cache(maxsize=16)
def _window(n_fft: int, device: torch.device) -> Tensor:
    return torch.hann_window(n_fft, periodic=True, device=device)


@lru_cache(maxsize=16)
def _delta_matrix(n_frames: int, order: int, device: torch.device) -> Tensor:
    from scipy.signal import savgol_filter  # here, since it takes longer to import than most specs ever need it

    # The Savitzky-Golay derivative is linear, so its response to the unit vectors is the whole of it, edges included.
    response = savgol_filter(np.eye(n_frames), _DELTA_WIDTH, deriv=order, polyorder=order, axis=0, mode="interp")
    return torch.from_numpy(response).float().to(device)  # [frames out, frames in]


def to_db(power: Tensor, spec: FeatureSpec) -> Tensor:
    """Power to dB with the spec's reference and floor, each item of the batch for itself.

    Parameters
    ----------
    power : Tensor [s, bins, frames]

    Returns
    -------
    Tensor [s, bins, frames]
        dB.

    References
    ----------
    librosa.power_to_db
    """
    return _floored(10.0 * torch.log10(power.clamp(min=_AMIN)), spec)


def _floored(db: Tensor, spec: FeatureSpec) -> Tensor:
    peak = db.amax(dim=(-2, -1), keepdim=True)
    if spec.db_reference == "max":
        db = db - peak
        peak = torch.zeros_like(peak)
    return torch.maximum(db, peak - spec.top_db)


def finish(db: Tensor, spec: FeatureSpec) -> Tensor:
    """Go from log-mel columns in dB [s, n_mels, frames] to the features of ``spec.kind`` [s, n_bins, frames]."""
    if spec.kind == "log_mel":
        return db
    dct = AF.create_dct(spec.n_mfcc, spec.n_mels, norm="ortho").to(db)  # [n_mels, n_mfcc]
    mfcc = torch.einsum("smt,mc->sct", db, dct)
    if spec.kind == "mfcc":
        return mfcc
    deltas = [torch.einsum("scu,tu->sct", mfcc, _delta_matrix(mfcc.shape[-1], order, db.device)) for order in (1, 2)]
    return torch.cat([mfcc, *deltas], dim=1)


@torch.no_grad()  # not inference_mode, whose tensors cannot be trained on
def extract(samples: Tensor, spec: FeatureSpec, *, padded: bool = False) -> Tensor:
    """Compute the features of a batch of segments, on the device that the samples are on.

    Parameters
    ----------
    samples : Tensor, float32 [s, n]
        Mono samples at ``spec.sample_rate``.
    spec : FeatureSpec
    padded : bool
        The samples already carry ``n_fft // 2`` samples of context at either end, as those of `split` do; otherwise zeros
        are put there, which is what librosa does.

    Returns
    -------
    Tensor, float32 [s, bins, frames]
        dB for ``log_mel``. ``frames = 1 + n // hop_length`` without context.

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
    half = spec.n_fft // 2
    if not padded:
        samples = torch.nn.functional.pad(samples, (half, half))
    spectrum = torch.stft(
        samples,
        spec.n_fft,
        spec.hop_length,
        window=_window(spec.n_fft, samples.device),
        center=False,
        return_complex=True,
    )  # [s, n_fft // 2 + 1, frames]
    magnitude = spectrum.real.square() + spectrum.imag.square()
    if spec.power != 2.0:
        magnitude = magnitude.pow(spec.power / 2.0)
    mel = torch.einsum("sft,fm->smt", magnitude, _mel_filterbank(spec, samples.device))
    return finish(to_db(mel, spec), spec)


def split_columns(columns: NDArray[np.floating], spec: FeatureSpec) -> tuple[list[int], Tensor]:
    """Cut a track's stored log-mel columns into segments with the features that `extract` gives for the same audio.

    Parameters
    ----------
    columns : numpy.ndarray [frames, n_mels]
        dB re 1.0.
    spec : FeatureSpec

    Returns
    -------
    start_frames : list of int
    features : Tensor, float32 [s, bins, segment_frames]
    """
    db = torch.from_numpy(np.ascontiguousarray(columns, dtype=np.float32)).T  # [n_mels, frames]
    if db.shape[1] < spec.segment_frames:
        db = db[:, torch.arange(spec.segment_frames) % db.shape[1]]
    starts = segment_start_frames(db.shape[1], spec)
    segments = torch.stack([db[:, start : start + spec.segment_frames] for start in starts])
    return starts, finish(_floored(segments, spec), spec)
