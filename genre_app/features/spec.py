"""What turns samples into a model's input, as data."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

DELTA_WIDTH = 9
"""Frames that a delta looks at, librosa.feature.delta's default."""

SUMMARY_MFCC = 20
"""MFCC among the features of kind ``summary``."""

_SUMMARY_VALUES = 2 * (9 + SUMMARY_MFCC)

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
    kind : {"log_mel", "mfcc", "mfcc_delta", "summary"}
        ``mfcc_delta`` stacks MFCC, delta and delta-delta: ``3 * n_mfcc`` bins. ``summary`` is mean and variance of 29 features
        over the segment, `genre_app.features.SUMMARY_NAMES`: 58 bins, one column.
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

    kind: Literal["log_mel", "mfcc", "mfcc_delta", "summary"] = Field("log_mel", description="what the network is given")
    sample_rate: int = Field(22050, ge=4000, le=192000, description="Hz")
    n_fft: int = Field(2048, ge=64, le=65536, description="samples of a frame")
    hop_length: int = Field(1709, ge=16, le=65536, description="samples from one frame to the next")
    n_mels: int = Field(128, ge=4, le=1024, description="mel bands")
    n_mfcc: int = Field(20, ge=1, le=1024, description="MFCC, where they are the features")
    fmin: float = Field(0.0, ge=0.0, description="lower edge of the mel filterbank, Hz")
    fmax: float = Field(11025.0, gt=0.0, description="upper edge of the mel filterbank, Hz")
    mel_scale: Literal["slaney", "htk"] = Field("slaney", description="formula of the mel scale")
    mel_norm: Literal["slaney"] | None = Field("slaney", description="slaney: filters of equal area")
    power: float = Field(2.0, ge=1.0, le=2.0, description="exponent of the magnitudes")
    center: Literal[True] = Field(True, description="frames are centred on their samples")
    db_reference: Literal["one", "max"] = Field("one", description="0 dB is a power of 1, or a segment's loudest value")
    top_db: float = Field(80.0, gt=0.0, le=200.0, description="dB from a segment's loudest value down to its floor")
    segment_seconds: float = Field(5.0, ge=0.1, le=120.0, description="length of a segment")
    segment_hop_seconds: float = Field(2.5, gt=0.0, le=120.0, description="from the start of one segment to that of the next")

    @model_validator(mode="after")
    def _consistent(self) -> FeatureSpec:
        if not self.fmin < self.fmax <= self.sample_rate / 2:
            raise ValueError(f"fmin < fmax <= sample_rate / 2 must hold, got {self.fmin}, {self.fmax}, {self.sample_rate} Hz")
        if self.kind != "log_mel" and self.n_mfcc > self.n_mels:
            raise ValueError(f"n_mfcc ({self.n_mfcc}) cannot exceed n_mels ({self.n_mels})")
        if self.kind == "summary" and self.n_mfcc != SUMMARY_MFCC:
            raise ValueError(f"a summary has {SUMMARY_MFCC} MFCC, got n_mfcc {self.n_mfcc}; leave it out")
        if self.kind == "summary" and not 2 * self.hop_length <= self.n_fft <= min(self.segment_samples, self.sample_rate):
            raise ValueError(
                f"a summary needs 2 * hop_length <= n_fft <= samples of a segment and of a second, got {self.hop_length}, "
                f"{self.n_fft}, {self.segment_samples} and {self.sample_rate}"
            )
        spectrum = self.segment_frames * (1 + self.n_fft // 2)
        features = self.segment_frames * max(self.n_mels, self.segment_frames if self.kind == "mfcc_delta" else 0)
        if max(spectrum, features) > _MAX_VALUES:
            raise ValueError(f"a segment's spectrum may have {_MAX_VALUES} values, got {max(spectrum, features)}; shorten it")
        if self.kind == "mfcc_delta" and self.segment_frames < DELTA_WIDTH:
            raise ValueError(f"delta needs segments of at least {DELTA_WIDTH} frames, got {self.segment_frames}")
        return self

    @property
    def n_bins(self) -> int:
        """Rows of a model's input."""
        return {
            "log_mel": self.n_mels,
            "mfcc": self.n_mfcc,
            "mfcc_delta": 3 * self.n_mfcc,
            "summary": _SUMMARY_VALUES,
        }[self.kind]

    @property
    def input_frames(self) -> int:
        """Columns of a model's input."""
        return 1 if self.kind == "summary" else self.segment_frames

    @property
    def segment_frames(self) -> int:
        """Columns of a segment's spectrogram."""
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
