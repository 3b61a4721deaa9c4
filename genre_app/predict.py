"""From a clip to its genre: segments, their probabilities, the vote, and how far to trust it.

Conventions
-----------
A segment that is silent says nothing about genre, so it is left out of the vote; it keeps its row in the result. A clip of such
segments only has no genre: `NoSoundError`. The same input gives the same answer, whether it comes as a clip or as a stream.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genre_app.audio import AudioStream, Clip
from genre_app.checkpoint import Checkpoint
from genre_app.errors import AudioError
from genre_app.features import FeatureSpec, Segments, extract, split, split_columns
from genre_app.features.noise import NoiseDetector
from genre_app.vote import DEFAULT_VOTE, VOTES, References, available_votes
from genre_app.vote import vote as join_votes

SURE_MARGIN = 0.15
"""Least lead of the first genre over the second, in probability, for an answer to be called sure."""

MAX_OVERLAP = 0.95
"""Share of a segment that neighbours may have in common; the work grows with 1 / (1 - overlap)."""

_SILENT_PEAK = 1e-3  # -60 dBFS: a quiet take, say -50 dBFS RMS, peaks far above it, a silent sound card's noise far below
_MOSTLY = 0.5
_NOISE = "no music heard: all of it sounds like noise, without tones or rhythm, so the answer means nothing"

# What a batch may hold, so that memory is bounded whatever the spec: values of its spectra and of the model's input.
_BATCH_SEGMENTS = 32
_BATCH_SPECTRUM_VALUES = 2_200_000
_BATCH_INPUT_VALUES = 280_000


class NoSoundError(AudioError):
    """The clip is silent, so it has no genre."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a checkpoint says of a clip.

    Attributes
    ----------
    name : str
        The clip's, as a rule its file.
    genres : tuple of str
    segment_starts, segment_ends : numpy.ndarray, float64 [s]
        Seconds.
    segment_probabilities : numpy.ndarray, float32 [s, g]
    segment_sounds : numpy.ndarray, bool [s]
        False for silent segments, which are left out of the vote.
    vote : str
        One of `genre_app.vote.VOTES`.
    probabilities : numpy.ndarray, float64 [g]
        The clip's, by this vote.
    votes : dict of str to str
        Genre by each vote that the checkpoint allows.
    warnings : tuple of str
    checkpoint : str
        Name of the checkpoint.
    duration_seconds : float
    is_noise : bool
        All of the clip sounds like noise, so the answer means nothing.
    """

    name: str
    genres: tuple[str, ...]
    segment_starts: NDArray[np.float64]
    segment_ends: NDArray[np.float64]
    segment_probabilities: NDArray[np.float32]
    segment_sounds: NDArray[np.bool_]
    vote: str
    probabilities: NDArray[np.float64]
    votes: dict[str, str]
    warnings: tuple[str, ...]
    checkpoint: str
    duration_seconds: float
    is_noise: bool = False
    _references: References | None = field(default=None, repr=False)

    @property
    def genre(self) -> str:
        """The winner."""
        return self.genres[int(self.probabilities.argmax())]

    def top(self, k: int = 5) -> list[tuple[str, float]]:
        """Return the ``k`` most probable genres with their probabilities, best first."""
        order = np.argsort(-self.probabilities, kind="stable")[:k]
        return [(self.genres[index], float(self.probabilities[index])) for index in order]

    @property
    def margin(self) -> float:
        """Lead of the first genre over the second."""
        (_, first), (_, second) = self.top(2)
        return first - second

    @property
    def is_sure(self) -> bool:
        """Whether the lead is large enough to name one genre without a caveat."""
        return self.margin >= SURE_MARGIN

    @cached_property
    def segment_genres(self) -> list[str]:
        """Winner of each segment."""
        return [self.genres[index] for index in self.segment_probabilities.argmax(axis=1)]

    @property
    def n_sounding(self) -> int:
        """Segments that took part in the vote."""
        return int(self.segment_sounds.sum())

    @property
    def n_agree(self) -> int:
        """Segments in the vote whose own winner is the clip's genre."""
        return sum(
            sounds and genre == self.genre for sounds, genre in zip(self.segment_sounds, self.segment_genres, strict=True)
        )

    @property
    def agreement(self) -> float:
        """Share of the segments in the vote whose own winner is the clip's genre."""
        return self.n_agree / self.n_sounding

    def revote(self, method: str) -> Prediction:
        """Return the same segments with another vote.

        Raises
        ------
        ValueError
            If there is no such vote, or the checkpoint has no references for ``knn``.
        """
        sounding = self.segment_probabilities[self.segment_sounds]
        return replace(self, vote=method, probabilities=join_votes(sounding, method, self._references))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: the keys of ``genre-app classify --format jsonl``."""
        # Nine digits tell any two float32 apart.
        rows = [{genre: float(f"{p:.9g}") for genre, p in self._named(row)} for row in self.segment_probabilities.tolist()]
        return {
            "file": self.name,
            "genre": self.genre,
            "probabilities": dict(self._named(self.probabilities.tolist())),
            "vote": self.vote,
            "votes": dict(self.votes),
            "segments": [
                {"start_seconds": round(start, 3), "end_seconds": round(end, 3), "probabilities": row}
                for start, end, row in zip(self.segment_starts.tolist(), self.segment_ends.tolist(), rows, strict=True)
            ],
            "warnings": list(self.warnings),
            "checkpoint": self.checkpoint,
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """Return `to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    def to_csv(self) -> str:
        """Return a row per segment: start, end, whether it sounds, its genre, its probabilities."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["start_seconds", "end_seconds", "sounds", "genre", *self.genres])
        rows = zip(
            self.segment_starts.tolist(),
            self.segment_ends.tolist(),
            self.segment_sounds.tolist(),
            self.segment_genres,
            self.segment_probabilities.tolist(),
            strict=True,
        )
        for start, end, sounds, genre, probabilities in rows:
            writer.writerow([f"{start:.3f}", f"{end:.3f}", str(sounds).lower(), genre, *(f"{p:.9g}" for p in probabilities)])
        return text.getvalue()

    def _named(self, values: Iterable[float]) -> Iterator[tuple[str, float]]:
        return zip(self.genres, values, strict=True)


def classify(
    clip: Clip | AudioStream, checkpoint: Checkpoint, *, vote: str = DEFAULT_VOTE, overlap: float | None = None
) -> Prediction:
    """Classify a clip, or a stream in memory that does not grow with its length.

    Parameters
    ----------
    clip : Clip or AudioStream
        At the sample rate of ``checkpoint.spec``. A stream is consumed.
    checkpoint : Checkpoint
    vote : str
        One of `genre_app.vote.VOTES`.
    overlap : float, optional
        Share of a segment that neighbours have in common, 0 to 0.95; the checkpoint's own by default.

    Returns
    -------
    Prediction

    Raises
    ------
    NoSoundError
        If every segment is silent.
    AudioError
        If the stream turns out to be damaged.
    CheckpointError
        If the network's answer is not finite.
    ValueError
        For another sample rate, an unknown vote or an overlap out of bounds.
    """
    _check_vote(vote, checkpoint)
    spec = overlapped(checkpoint.spec, overlap)
    if clip.sample_rate != spec.sample_rate:
        raise ValueError(f"{clip.name} has {clip.sample_rate} Hz, the checkpoint {checkpoint.name} needs {spec.sample_rate} Hz")

    counted = _Counted(clip.blocks(), spec.sample_rate)
    half = spec.n_fft // 2
    starts: list[int] = []
    peaks: list[NDArray[np.float32]] = []
    probabilities: list[NDArray[np.float32]] = []
    for segments in split(counted, spec, batch_size=_batch_size(spec)):
        starts += segments.start_frames
        # Without the context, and each sample of a clip shorter than a segment once.
        width = max(1, min(spec.segment_samples, counted.n_samples))
        peaks.append(_peaks(segments.samples[:, half : half + width]))
        if not np.isfinite(peaks[-1]).all():
            raise AudioError(f"{clip.name}: some samples are not numbers (NaN or infinite); export the audio again")
        probabilities.append(checkpoint.probabilities(_features(segments, spec, checkpoint.device)))

    prediction = from_segments(
        checkpoint,
        starts,
        np.concatenate(probabilities),
        spec=spec,
        sounds=np.concatenate(peaks) > _SILENT_PEAK,
        name=clip.name,
        duration_seconds=counted.n_samples / spec.sample_rate,
        vote=vote,
    )
    is_noise = counted.noise.is_noise()
    warnings = (*clip.warnings, *prediction.warnings, *([_NOISE] if is_noise else []))
    return replace(prediction, warnings=warnings, is_noise=is_noise)


def overlapped(spec: FeatureSpec, overlap: float | None) -> FeatureSpec:
    """Return the spec with neighbouring segments sharing ``overlap`` of their length; None leaves it as it is.

    Raises
    ------
    ValueError
        If the overlap is not between 0 and `MAX_OVERLAP`.
    """
    if overlap is None:
        return spec
    if not 0.0 <= overlap <= MAX_OVERLAP:
        raise ValueError(f"overlap must lie between 0 and {MAX_OVERLAP}, got {overlap}")
    return spec.with_overlap(overlap)


def from_segments(
    checkpoint: Checkpoint,
    start_frames: list[int],
    probabilities: NDArray[np.float32],
    *,
    spec: FeatureSpec,
    sounds: NDArray[np.bool_],
    name: str,
    duration_seconds: float,
    vote: str = DEFAULT_VOTE,
) -> Prediction:
    """Vote over segments whose probabilities are known, and warn of what makes the answer doubtful.

    Parameters
    ----------
    start_frames : list of int, length s
    probabilities : numpy.ndarray, float32 [s, g]
    spec : FeatureSpec
        By which the segments were cut.
    sounds : numpy.ndarray, bool [s]
    name : str
    duration_seconds : float

    Raises
    ------
    NoSoundError
        If no segment sounds.
    """
    if not sounds.any():
        raise NoSoundError(
            f"{name}: no sound to classify, all of it is silent (under -60 dBFS); check the recording's input or level"
        )
    starts = np.array([spec.seconds(frame) for frame in start_frames])
    joined = {
        method: join_votes(probabilities[sounds], method, checkpoint.references)
        for method in available_votes(checkpoint.references)
    }
    return Prediction(
        name=name,
        genres=checkpoint.genres,
        segment_starts=starts,
        segment_ends=np.minimum(starts + spec.segment_seconds, duration_seconds),
        segment_probabilities=probabilities,
        segment_sounds=sounds,
        vote=vote,
        probabilities=joined[vote],
        votes={method: checkpoint.genres[int(values.argmax())] for method, values in joined.items()},
        warnings=tuple(_warnings(sounds, spec, duration_seconds)),
        checkpoint=checkpoint.name,
        duration_seconds=duration_seconds,
        _references=checkpoint.references,
    )


class _Counted:
    """Blocks whose samples are counted and listened to as they pass."""

    def __init__(self, blocks: Iterable[NDArray[np.float32]], sample_rate: int) -> None:
        self._blocks = blocks
        self.n_samples = 0
        self.noise = NoiseDetector(sample_rate)

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        for block in self._blocks:
            self.n_samples += len(block)
            self.noise.add(block)
            yield block


def _batch_size(spec: FeatureSpec) -> int:
    spectrum_values = spec.segment_frames * (1 + spec.n_fft // 2)
    input_values = spec.input_frames * spec.n_bins
    return max(1, min(_BATCH_SEGMENTS, _BATCH_SPECTRUM_VALUES // spectrum_values, _BATCH_INPUT_VALUES // input_values))


def _features(segments: Segments, spec: FeatureSpec, device: torch.device) -> Tensor:
    """Features of consecutive segments [s, bins, frames]; columns that overlapping ones share are computed once."""
    if spec.segment_hop_frames >= spec.segment_frames or spec.kind == "summary":
        return extract(torch.from_numpy(segments.samples).to(device), spec, padded=True)
    first, hop = segments.start_frames[0], spec.hop_length
    offsets = [(start - first) * hop for start in segments.start_frames]
    width = segments.samples.shape[1]
    joined = np.empty((1, offsets[-1] + width), np.float32)
    for at, samples in zip(offsets, segments.samples, strict=True):
        joined[0, at : at + width] = samples
    # Columns as a mel cache stores them; reference, floor and kind are for each segment by itself, which split_columns does.
    bare = spec.model_copy(update={"kind": "log_mel", "db_reference": "one", "top_db": math.inf})
    columns = extract(torch.from_numpy(joined).to(device), bare, padded=True)[0].T  # [frames, n_mels]
    return split_columns(columns.cpu().numpy(), spec)[1]


def sounding(samples: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tell for each row of [s, n] whether it is anything but silence."""
    return _peaks(samples) > _SILENT_PEAK


def _peaks(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Furthest that each row of [s, n] strays from its mean: a direct-current offset is no sound."""
    middle = samples.mean(axis=1)
    peaks: NDArray[np.float32] = np.maximum(samples.max(axis=1) - middle, middle - samples.min(axis=1))
    return peaks


def _warnings(sounds: NDArray[np.bool_], spec: FeatureSpec, duration_seconds: float) -> Iterator[str]:
    if duration_seconds < spec.segment_samples / spec.sample_rate:
        yield f"too short: {duration_seconds:.1f} s, a segment has {spec.segment_seconds:g} s; it was repeated to fill one"
    if sounds.mean() < _MOSTLY:
        yield f"mostly silent: only {int(sounds.sum())} of {len(sounds)} segments have sound, and only they vote"


def _check_vote(name: str, checkpoint: Checkpoint) -> None:
    if name not in VOTES:
        raise ValueError(f"there is no vote {name!r}; choose one of: {', '.join(VOTES)}")
    if name not in available_votes(checkpoint.references):
        raise ValueError(f"the checkpoint {checkpoint.name} has no reference tracks for the {name} vote; choose another vote")
