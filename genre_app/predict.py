"""Classify a clip: cut it into segments, compute their probabilities, vote, and warn about doubtful answers.

Conventions
-----------
Silent segments do not vote. A clip without any sound raises `NoSoundError`. A clip and a stream with the same samples give the
same prediction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from genre_app.audio import AudioStream, Clip
from genre_app.audio.resample import Resamplers
from genre_app.checkpoint import Checkpoint
from genre_app.errors import AudioError
from genre_app.features import FeatureSpec, cut_columns, own_starts, segment_start_frames
from genre_app.features.content import ContentDetector
from genre_app.members import SILENT_PEAK, MemberStream, peaks, places_of, segment_means
from genre_app.prediction import Prediction as Prediction  # re-exported
from genre_app.vote import DEFAULT_VOTE, available_votes, check_vote
from genre_app.vote import vote as join_votes

MAX_OVERLAP = 0.95
"""Largest overlap of neighbouring segments, as a share of their length. The work grows with 1 / (1 - overlap)."""

_MOSTLY = 0.5  # warn if less than this share of the segments sounds
SPEECH_WARNING = "this sounds like speech, not music; the probabilities mean nothing"
_NOISE = "no music heard: the clip holds only noise, without tones or rhythm; the probabilities mean nothing"


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
        At ``checkpoint.sample_rate``. A stream is consumed.
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
    check_vote(vote)
    if vote not in available_votes(checkpoint.references):
        raise ValueError(f"the checkpoint {checkpoint.name} has no reference tracks for the {vote} vote; choose another vote")
    found = run_members(clip, checkpoint, overlap=overlap, suppressed=suppressed)
    prediction = from_segments(
        checkpoint,
        found.start_frames,
        checkpoint.joined(found.of_members),
        spec=overlapped(checkpoint.spec, overlap),
        sounds=found.sounds,
        name=clip.name,
        duration_seconds=found.duration_seconds,
        vote=vote,
    )
    warnings = (*clip.warnings, *prediction.warnings)
    prediction = replace(prediction, warnings=warnings)
    if found.content.is_speech:
        return as_speech(prediction)
    if not found.content.is_noise:
        return prediction
    return replace(prediction, warnings=(*warnings, _NOISE), is_noise=True, votes=dict.fromkeys(prediction.votes))


def as_speech(prediction: Prediction) -> Prediction:
    """Return the prediction of a clip that holds nothing but speech."""
    warnings = (*prediction.warnings, SPEECH_WARNING)
    return replace(prediction, warnings=warnings, is_speech=True, votes=dict.fromkeys(prediction.votes))


@dataclass(frozen=True, eq=False)
class MemberRows:
    """Probabilities of a clip's segments by each member of a checkpoint.

    Attributes
    ----------
    start_frames : list of int, length s
        Of the segments.
    of_members : list of numpy.ndarray, each float32 [s, g]
        Probabilities by each member.
    sounds : numpy.ndarray, bool [s]
        False for silent segments.
    content : ContentDetector
        Says whether the clip is noise or speech.
    duration_seconds : float
    """

    start_frames: list[int]
    of_members: list[NDArray[np.float32]]
    sounds: NDArray[np.bool_]
    content: ContentDetector
    duration_seconds: float


def run_members(
    clip: Clip | AudioStream, checkpoint: Checkpoint, *, overlap: float | None = None, suppressed: bool = False
) -> MemberRows:
    """Return each member's probabilities of the segments of a clip; parameters and errors as in `classify`."""
    spec, rate = overlapped(checkpoint.spec, overlap), checkpoint.sample_rate
    if clip.sample_rate != rate:
        raise ValueError(f"{clip.name} has {clip.sample_rate} Hz, the checkpoint {checkpoint.name} needs {rate} Hz")
    content, n_samples = ContentDetector(rate, suppressed=suppressed), 0
    streams = [MemberStream(checkpoint, index, spec, clip.name) for index in range(len(checkpoint.members))]
    resamplers = Resamplers(rate, (stream.sample_rate for stream in streams))
    for block in clip.blocks():
        n_samples += len(block)
        content.add(block)
        _feed(streams, resamplers.add(block))
    _feed(streams, resamplers.finish())
    starts = segment_start_frames(streams[0].n_frames, spec)
    of_members = [stream.finish(starts) for stream in streams]
    content.finish()
    sounds = streams[0].peaks > SILENT_PEAK
    if not sounds.any():
        raise NoSoundError(
            f"{clip.name}: no sound to classify, the whole clip is silent (under -60 dBFS); check the input or its level"
        )
    return MemberRows(starts, of_members, sounds, content, n_samples / rate)


def classify_columns(columns: NDArray[np.floating], checkpoint: Checkpoint, spec: FeatureSpec) -> list[NDArray[np.float32]]:
    """Return each member's probabilities of the segments of a stored log-mel spectrogram.

    Parameters
    ----------
    columns : numpy.ndarray [frames, n_mels]
        dB re 1.0, as all members of the checkpoint need them.
    checkpoint : Checkpoint
    spec : FeatureSpec
        That of the checkpoint, perhaps with another overlap.

    Returns
    -------
    list of numpy.ndarray, each float32 [s, g]
    """
    shared = segment_start_frames(len(columns), spec)
    of_members = []
    for index, member in enumerate(checkpoint.members):
        own = [own_starts(frame, spec, member.spec, len(columns)) for frame in shared]
        starts = sorted({start for group in own for start in group})
        rows = checkpoint.probabilities(cut_columns(columns, starts, member.spec), index)
        of_members.append(segment_means(rows, places_of(starts, own)))
    return of_members


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
        Gives the genres, its name, the limits of a sure answer and the references of the ``knn`` vote.
    start_frames : list of int, length s
    probabilities : numpy.ndarray, float32 [s, g]
    spec : FeatureSpec
        The spec by which the segments were cut.
    sounds : numpy.ndarray, bool [s]
        False for silent segments; at least one is not.
    name : str
        Name of the clip.
    duration_seconds : float
    vote : str
    """
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
        votes={method: _named(checkpoint, values) for method, values in joined.items()},
        warnings=tuple(_warnings(sounds, spec, duration_seconds)),
        checkpoint=checkpoint.name,
        sure_limits=checkpoint.sure,
        none_of_these=checkpoint.none_of_these,
        duration_seconds=duration_seconds,
        _references=checkpoint.references,
    )


def sounding(samples: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return for each row of ``samples`` [n, width] whether it is louder than silence, bool [n]."""
    return peaks(samples) > SILENT_PEAK


def _feed(streams: list[MemberStream], samples: dict[int, NDArray[np.float32]]) -> None:
    for stream in streams:
        stream.add(samples[stream.sample_rate])


def _named(checkpoint: Checkpoint, probabilities: NDArray[np.float64]) -> str | None:
    genre = checkpoint.genres[int(probabilities.argmax())]
    return None if genre in checkpoint.none_of_these else genre


def _warnings(sounds: NDArray[np.bool_], spec: FeatureSpec, duration_seconds: float) -> Iterator[str]:
    if duration_seconds < spec.segment_samples / spec.sample_rate:
        yield f"too short: {duration_seconds:.1f} s, repeated to fill a segment of {spec.segment_seconds:g} s"
    if sounds.mean() < _MOSTLY:
        yield f"mostly silent: only {int(sounds.sum())} of {len(sounds)} segments have sound, and only these vote"
