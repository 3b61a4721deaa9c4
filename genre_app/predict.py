"""Classify a clip: cut it into segments, compute their probabilities, vote, and warn about doubtful answers.

Conventions
-----------
Silent segments do not vote. A clip without any sound raises `NoSoundError`. A clip and a stream with the same samples give the
same prediction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genre_app.audio import AudioStream, Clip
from genre_app.checkpoint import Checkpoint
from genre_app.errors import AudioError
from genre_app.features import FeatureSpec, extract, split, split_columns
from genre_app.features.content import ContentDetector
from genre_app.features.segments import Segments
from genre_app.prediction import Prediction as Prediction  # re-exported
from genre_app.vote import DEFAULT_VOTE, available_votes, check_vote
from genre_app.vote import vote as join_votes

MAX_OVERLAP = 0.95
"""Largest overlap of neighbouring segments, as a share of their length. The work grows with 1 / (1 - overlap)."""

# -60 dBFS. A quiet take (-50 dBFS RMS) peaks far above it; the noise of a silent sound card stays far below.
_SILENT_PEAK = 1e-3
_MOSTLY = 0.5  # warn if less than this share of the segments sounds
SPEECH_WARNING = "sounds like speech, not music: the model knows only music, so its answer may mean nothing"
_NOISE = "no music heard: the clip holds only noise, without tones or rhythm; the probabilities mean nothing"

# Limits of a batch, so that memory is bounded for every spec: segments, values of their spectra, values of the model's input.
# The two numbers of values hold 32 segments of the default `FeatureSpec`.
_BATCH_SEGMENTS = 32
_BATCH_SPECTRUM_VALUES = 2_200_000
_BATCH_INPUT_VALUES = 280_000


class NoSoundError(AudioError):
    """The clip is silent, so it has no genre."""


def classify(
    clip: Clip | AudioStream,
    checkpoint: Checkpoint,
    *,
    vote: str = DEFAULT_VOTE,
    overlap: float | None = None,
    suppressed: bool = False,
) -> Prediction:
    """Classify a clip or a stream. The memory used for a stream does not grow with its length.

    Parameters
    ----------
    clip : Clip or AudioStream
        At the sample rate of ``checkpoint.spec``. A stream is consumed.
    checkpoint : Checkpoint
    vote : str
        One of `genre_app.vote.VOTES`.
    overlap : float, optional
        Overlap of neighbouring segments as a share of their length, 0 to 0.95; by default the checkpoint's own.
    suppressed : bool
        The sound has gone through noise suppression, so the remains of noise are judged by another limit.

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
        If the network's output is not finite.
    ValueError
        For another sample rate, an unknown vote or an overlap out of bounds.
    """
    _check_vote(vote, checkpoint)
    spec = overlapped(checkpoint.spec, overlap)
    if clip.sample_rate != spec.sample_rate:
        raise ValueError(f"{clip.name} has {clip.sample_rate} Hz, the checkpoint {checkpoint.name} needs {spec.sample_rate} Hz")

    observed = _Observed(clip.blocks(), spec.sample_rate, suppressed)
    half = spec.n_fft // 2
    starts: list[int] = []
    peaks: list[NDArray[np.float32]] = []
    probabilities: list[NDArray[np.float32]] = []
    for segments in split(observed, spec, batch_size=_batch_size(spec)):
        starts += segments.start_frames
        # Without the context at both ends; of a clip shorter than a segment, without its repetitions.
        width = max(1, min(spec.segment_samples, observed.n_samples))
        peaks.append(_peaks(segments.samples[:, half : half + width]))
        if not np.isfinite(peaks[-1]).all():
            raise AudioError(f"{clip.name}: some samples are not numbers (NaN or infinite); export the audio again")
        probabilities.append(checkpoint.probabilities(_features(segments, spec, checkpoint.device)))

    rows, sounds = np.concatenate(probabilities), np.concatenate(peaks) > _SILENT_PEAK
    seconds = observed.n_samples / spec.sample_rate
    prediction = from_segments(
        checkpoint, starts, rows, spec=spec, sounds=sounds, name=clip.name, duration_seconds=seconds, vote=vote
    )
    warnings = (*clip.warnings, *prediction.warnings)
    observed.content.finish()
    if observed.content.is_speech:
        return replace(prediction, warnings=(*warnings, SPEECH_WARNING), is_speech=True)
    if not observed.content.is_noise:
        return replace(prediction, warnings=warnings)
    return replace(prediction, warnings=(*warnings, _NOISE), is_noise=True, votes=dict.fromkeys(prediction.votes))


def overlapped(spec: FeatureSpec, overlap: float | None) -> FeatureSpec:
    """Return the spec with this overlap of neighbouring segments, a share of their length; None keeps the spec.

    Raises
    ------
    ValueError
        If the overlap is not between 0 and `MAX_OVERLAP`.
    """
    if overlap is None:
        return spec
    if not 0.0 <= overlap <= MAX_OVERLAP:
        raise ValueError(f"overlap must lie between 0 and {MAX_OVERLAP}, got {overlap}")
    return spec.model_copy(update={"segment_hop_seconds": spec.segment_seconds * (1.0 - overlap)})


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
    """Vote over segments whose probabilities are known, and add warnings.

    Parameters
    ----------
    checkpoint : Checkpoint
        Gives the genres, its name and the references of the ``knn`` vote.
    start_frames : list of int, length s
    probabilities : numpy.ndarray, float32 [s, g]
    spec : FeatureSpec
        The spec by which the segments were cut.
    sounds : numpy.ndarray, bool [s]
        False for silent segments.
    name : str
        Name of the clip.
    duration_seconds : float
    vote : str

    Raises
    ------
    NoSoundError
        If all segments are silent.
    """
    if not sounds.any():
        raise NoSoundError(
            f"{name}: no sound to classify, the whole clip is silent (under -60 dBFS); check the input or its level"
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


def sounding(samples: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return for each row of ``samples`` [n, width] whether it is louder than silence, bool [n]."""
    return _peaks(samples) > _SILENT_PEAK


class _Observed:
    """Blocks of samples; counts the samples and detects noise and speech as they pass."""

    def __init__(self, blocks: Iterable[NDArray[np.float32]], sample_rate: int, suppressed: bool) -> None:
        self._blocks = blocks
        self.n_samples = 0
        self.content = ContentDetector(sample_rate, suppressed=suppressed)

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        for block in self._blocks:
            self.n_samples += len(block)
            self.content.add(block)
            yield block


def _batch_size(spec: FeatureSpec) -> int:
    spectrum_values = spec.segment_frames * (1 + spec.n_fft // 2)
    input_values = spec.input_frames * spec.n_bins
    return max(1, min(_BATCH_SEGMENTS, _BATCH_SPECTRUM_VALUES // spectrum_values, _BATCH_INPUT_VALUES // input_values))


def _features(segments: Segments, spec: FeatureSpec, device: torch.device) -> Tensor:
    """Compute features [s, bins, frames] of consecutive segments; columns shared by overlapping segments are computed once."""
    if spec.segment_hop_frames >= spec.segment_frames or spec.kind == "summary":
        return extract(torch.from_numpy(segments.samples).to(device), spec, padded=True)
    first, hop = segments.start_frames[0], spec.hop_length
    offsets = [(start - first) * hop for start in segments.start_frames]
    width = segments.samples.shape[1]
    joined = np.empty((1, offsets[-1] + width), np.float32)
    for at, samples in zip(offsets, segments.samples, strict=True):
        joined[0, at : at + width] = samples
    # Columns as in a mel cache. `split_columns` then applies reference, floor and kind to each segment by itself.
    columns = extract(torch.from_numpy(joined).to(device), spec.columns, padded=True)[0].T  # [frames, n_mels]
    return split_columns(columns.cpu().numpy(), spec)[1]


def _peaks(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the largest distance of each row of ``samples`` from its mean: a constant offset is not sound."""
    middle = samples.mean(axis=1)
    return np.asarray(np.maximum(samples.max(axis=1) - middle, middle - samples.min(axis=1)))


def _warnings(sounds: NDArray[np.bool_], spec: FeatureSpec, duration_seconds: float) -> Iterator[str]:
    if duration_seconds < spec.segment_samples / spec.sample_rate:
        yield f"too short: {duration_seconds:.1f} s, repeated to fill a segment of {spec.segment_seconds:g} s"
    if sounds.mean() < _MOSTLY:
        yield f"mostly silent: only {int(sounds.sum())} of {len(sounds)} segments have sound, and only these vote"


def _check_vote(name: str, checkpoint: Checkpoint) -> None:
    check_vote(name)
    if name not in available_votes(checkpoint.references):
        raise ValueError(f"the checkpoint {checkpoint.name} has no reference tracks for the {name} vote; choose another vote")
