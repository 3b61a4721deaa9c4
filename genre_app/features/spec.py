"""The feature specification: all settings of the way from samples to a model's input."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

DELTA_WIDTH = 9
"""Frames from which a delta is computed, the default of librosa.feature.delta."""

SUMMARY_MFCC = 20
"""Number of MFCC in features of kind ``summary``."""

_SUMMARY_VALUES = 2 * (9 + SUMMARY_MFCC)  # mean and variance of nine other features and the MFCC

MAX_SEGMENT_VALUES = 1 << 24
"""Most values of a segment, so that a hostile checkpoint cannot exhaust memory; ten times those of any published system."""

MAX_FRAME_HOPS = 128
"""Largest n_fft in hops: with more, a second of audio takes too long to transform; 32 times that of any published system."""

# Fields on which a stored log-mel spectrogram depends. The others set the segments and the features computed from it.
COLUMN_FIELDS = ("sample_rate", "n_fft", "hop_length", "n_mels", "fmin", "fmax", "mel_scale", "mel_norm", "power", "center")


class FeatureSpec(BaseModel):
    """All settings of the way from samples to a model's input; stored in the checkpoint.

    Attributes
    ----------
    kind : {"log_mel", "mfcc", "mfcc_delta", "summary"}
        ``mfcc_delta`` stacks MFCC, delta and delta-delta: ``3 * n_mfcc`` bins. ``summary`` holds the mean and the variance of
        29 features over the segment, named by `genre_app.features.SUMMARY_NAMES`: 58 bins, one frame.
    sample_rate : int
        Hz.
    n_fft, hop_length : int
        Samples.
    fmin, fmax : float
        Edges of the mel filterbank, Hz.
    db_reference : {"one", "max"}
        The power at 0 dB: 1.0, or the maximum of the segment.
    top_db : float
        Distance of the floor below the segment's maximum, dB.
    compression : {"db", "log10_10000"}
        Values of a log-mel spectrogram: dB, or ``log10(10000 * mel + 1)``, which has neither reference nor floor.
    segment_seconds, segment_hop_seconds : float
        Length of a segment, and distance between the starts of segments; both are rounded to whole frames.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["log_mel", "mfcc", "mfcc_delta", "summary"] = Field("log_mel", description="features that the network gets")
    sample_rate: int = Field(22050, ge=4000, le=192000, description="Hz")
    n_fft: int = Field(2048, ge=64, le=65536, description="samples in a frame")
    hop_length: int = Field(1709, ge=16, le=65536, description="samples between the starts of frames")
    n_mels: int = Field(128, ge=4, le=1024, description="number of mel bands")
    n_mfcc: int = Field(20, ge=1, le=1024, description="number of MFCC, for the kinds mfcc and mfcc_delta")
    fmin: float = Field(0.0, ge=0.0, description="lower edge of the mel filterbank, Hz")
    fmax: float = Field(11025.0, gt=0.0, description="upper edge of the mel filterbank, Hz")
    mel_scale: Literal["slaney", "htk"] = Field("slaney", description="formula of the mel scale")
    mel_norm: Literal["slaney"] | None = Field("slaney", description="slaney gives all filters the same area")
    power: float = Field(2.0, ge=1.0, le=2.0, description="exponent of the magnitude spectrum: 2 is power, 1 is magnitude")
    center: Literal[True] = Field(True, description="frames are centred on their samples")
    db_reference: Literal["one", "max"] = Field("one", description="power at 0 dB: 1, or the segment's maximum")
    top_db: float = Field(80.0, gt=0.0, le=200.0, description="dB from a segment's maximum down to its floor")
    compression: Literal["db", "log10_10000"] = Field("db", description="log-mel values: dB, or log10(10000 * mel + 1)")
    segment_seconds: float = Field(5.0, ge=0.1, le=120.0, description="length of a segment")
    segment_hop_seconds: float = Field(2.5, ge=0.05, le=120.0, description="time between the starts of segments")

    @model_validator(mode="after")
    def _consistent(self) -> FeatureSpec:
        if not self.fmin < self.fmax <= self.sample_rate / 2:
            raise ValueError(f"fmin < fmax <= sample_rate / 2 must hold, got {self.fmin}, {self.fmax}, {self.sample_rate} Hz")
        if self.n_fft > MAX_FRAME_HOPS * self.hop_length:
            raise ValueError(f"n_fft may be {MAX_FRAME_HOPS} times hop_length, got {self.n_fft} and {self.hop_length}")
        if self.kind != "log_mel" and self.n_mfcc > self.n_mels:
            raise ValueError(f"n_mfcc ({self.n_mfcc}) cannot exceed n_mels ({self.n_mels})")
        if self.compression != "db" and (self.kind != "log_mel" or self.db_reference != "one"):
            raise ValueError(
                f"compression {self.compression} needs the kind log_mel and db_reference one, "
                f"got {self.kind} and {self.db_reference}"
            )
        if self.kind == "summary" and self.n_mfcc != SUMMARY_MFCC:
            raise ValueError(f"a summary has {SUMMARY_MFCC} MFCC, got {self.n_mfcc}; leave n_mfcc out")
        if self.kind == "summary" and not 2 * self.hop_length <= self.n_fft <= min(self.segment_samples, self.sample_rate):
            raise ValueError(
                f"a summary needs 2 * hop_length <= n_fft <= samples of a segment and of a second, got {self.hop_length}, "
                f"{self.n_fft}, {self.segment_samples} and {self.sample_rate}"
            )
        if self.segment_values > MAX_SEGMENT_VALUES:
            raise ValueError(
                f"a segment may have {MAX_SEGMENT_VALUES} values, got {self.segment_values}; shorten segment_seconds"
            )
        if self.kind == "mfcc_delta" and self.segment_frames < DELTA_WIDTH:
            raise ValueError(f"delta needs segments of at least {DELTA_WIDTH} frames, got {self.segment_frames}")
        return self

    @property
    def columns(self) -> FeatureSpec:
        """Specification of the log-mel columns from which `finish` computes the features: dB re 1.0, without a floor."""
        plain = {"kind": "log_mel", "compression": "db", "db_reference": "one", "top_db": math.inf}
        return self.model_copy(update=plain)

    @property
    def n_bins(self) -> int:
        """Number of rows of a model's input."""
        bins = {"log_mel": self.n_mels, "mfcc": self.n_mfcc, "mfcc_delta": 3 * self.n_mfcc, "summary": _SUMMARY_VALUES}
        return bins[self.kind]

    @property
    def input_frames(self) -> int:
        """Number of columns of a model's input."""
        return 1 if self.kind == "summary" else self.segment_frames

    @property
    def segment_frames(self) -> int:
        """Number of frames in a segment."""
        return 1 + round(self.segment_seconds * self.sample_rate) // self.hop_length

    @property
    def segment_hop_frames(self) -> int:
        """Number of frames between the starts of neighbouring segments, at least one."""
        return max(1, round(self.segment_hop_seconds * self.sample_rate / self.hop_length))

    @property
    def segment_values(self) -> int:
        """Largest number of values that an array for one segment has."""
        spectrum = self.segment_frames * (1 + self.n_fft // 2)
        return max(spectrum, self.segment_frames * max(self.n_mels, self.segment_frames if self.kind == "mfcc_delta" else 0))

    @property
    def segment_samples(self) -> int:
        """Samples between the centres of a segment's first and last frame."""
        return (self.segment_frames - 1) * self.hop_length

    def seconds(self, frame: int) -> float:
        """Return the time of a frame's centre, in seconds from the start of the clip."""
        return frame * self.hop_length / self.sample_rate
