"""Live classification of a stream: the answer for its last 30 seconds.

Each second of sound is processed once. It becomes columns of the picture and probabilities of the segments that it completes;
samples are kept only until the next segment has used them. So memory does not grow with the length of the stream.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from genre_app.audio import Clip
from genre_app.audio.resample import Resamplers
from genre_app.checkpoint import Checkpoint
from genre_app.features import FeatureSpec, Held, extract, own_starts
from genre_app.features.content import PIECE_SECONDS
from genre_app.features.noise import is_noise
from genre_app.features.segments import first_needed, is_complete
from genre_app.features.speech import is_speech
from genre_app.members import places_of, segment_means
from genre_app.predict import Prediction, as_speech, classify, from_segments, sounding
from genre_app.ui.microphone import JUDGED_SECONDS
from genre_app.ui.overview import Overview, picture_spec
from genre_app.vote import DEFAULT_VOTE

WINDOW_SECONDS = 30.0
COLUMN_SECONDS = 0.05
HOP_SECONDS = 1.0  # from segment to segment

_N_COLUMNS = round(WINDOW_SECONDS / COLUMN_SECONDS)
_FIRST_SECONDS = 2.0  # a shorter stream gets no answer
_BEHIND_SECONDS = 3.0  # a smaller delay is not reported as missed sound
_FLOOR_DB = -200.0
_NAME = "the microphone"


@dataclass(frozen=True, eq=False)
class LiveResult:
    """Answer for the last 30 seconds of a stream.

    Attributes
    ----------
    prediction : Prediction or None
        Its first segment starts at 0 s. None for silence, for noise, and for a stream that is too short.
    offset_seconds : float
        Start of the first segment, counted from the start of the 30 seconds.
    overview : Overview
        Its last column is the latest.
    is_silent, is_noise : bool
        Why there is no prediction.
    seconds : float
        Length of the stream.
    missed_seconds : float
        Sound that did not arrive in time.
    """

    prediction: Prediction | None
    offset_seconds: float
    overview: Overview
    is_silent: bool
    is_noise: bool
    seconds: float
    missed_seconds: float


@dataclass(frozen=True, eq=False)
class _Segment:
    start_frame: int
    probabilities: NDArray[np.float32]  # [g]
    sounds: bool
    is_noise: bool


class Listener:
    """Classify a stream piece by piece.

    Parameters
    ----------
    checkpoint : Checkpoint
    suppressed : bool
        The browser applies noise suppression to the stream.
    """

    def __init__(self, checkpoint: Checkpoint, *, suppressed: bool = False) -> None:
        spec, rate = checkpoint.spec, checkpoint.sample_rate
        self._checkpoint, self._suppressed, self._rate = checkpoint, suppressed, rate
        self._spec = spec.model_copy(update={"segment_hop_seconds": min(HOP_SECONDS, spec.segment_seconds)})
        self._picture = picture_spec(rate, COLUMN_SECONDS)
        self._columns = np.full((self._picture.n_mels, _N_COLUMNS), _FLOOR_DB, np.float32)
        self._next_column = 0
        self._specs = [member.spec for member in checkpoint.members]
        self._segments: list[_Segment] = []
        self._next_start = 0  # start frame of the next segment
        # Zeros lie before the stream, as before a clip.
        half = max(spec.n_fft for spec in (self._picture, *self._specs)) // 2
        self._streams = {rate_: Held(half) for rate_ in (rate, *(spec.sample_rate for spec in self._specs))}
        self._held = self._streams[rate]
        self._resamplers = Resamplers(rate, self._streams)
        self._resampler: tuple[int, Resamplers] | None = None  # to the checkpoint's rate
        self._began = time.monotonic()  # until the first samples tell it exactly
        self._n_piece = round(PIECE_SECONDS * rate)  # samples that decide whether the stream is speech
        shortest = self._spec.seconds(self._spec.segment_frames - 1)
        self._n_judged = max(round(JUDGED_SECONDS * rate), round(shortest * rate))  # that decide whether it is noise or silence

    def add(self, samples: NDArray[np.float32], sample_rate: int) -> None:
        """Process the next samples, float32 [n], at ``sample_rate`` Hz."""
        if self._resampler is None:
            self._began = time.monotonic() - len(samples) / sample_rate
        if self._resampler is None or self._resampler[0] != sample_rate:
            self._resampler = (sample_rate, Resamplers(sample_rate, [self._rate]))
        new = self._resampler[1].add(samples)[self._rate]
        for rate, block in self._resamplers.add(new).items():
            self._streams[rate].add(block)
        self._add_columns()
        self._add_segments()
        self._drop_old()

    def result(self, vote: str = DEFAULT_VOTE) -> LiveResult:
        """Return the answer for the last 30 seconds.

        Parameters
        ----------
        vote : str
            One of `genre_app.vote.VOTES`.
        """
        seconds = self._held.n_samples / self._rate
        segments = [*self._segments, *self._last_segments()]
        prediction, offset = None, WINDOW_SECONDS - seconds
        used = np.array([segment.sounds and not segment.is_noise for segment in segments], bool)
        silent = noise = False
        if used.any():
            first = segments[0].start_frame
            offset += self._spec.seconds(first)
            prediction = from_segments(
                self._checkpoint,
                [segment.start_frame - first for segment in segments],
                np.stack([segment.probabilities for segment in segments]),
                spec=self._spec,
                sounds=used,
                name=_NAME,
                duration_seconds=seconds - self._spec.seconds(first),
                vote=vote,
            )
        else:
            long_enough = seconds >= _FIRST_SECONDS
            silent = long_enough and not sounding(self._held.latest(self._n_judged)[None])[0]
            noise = not silent and (any(segment.is_noise for segment in segments) or (not segments and self._is_noise()))
            if long_enough and not (segments or silent or noise):  # shorter than a segment
                clip = Clip(self._held.latest(self._held.n_samples), self._rate, _NAME)
                prediction = classify(clip, self._checkpoint, vote=vote)
        if prediction is not None and self._is_speech():
            prediction = as_speech(prediction)
        missed = time.monotonic() - self._began - seconds
        return LiveResult(
            prediction,
            offset,
            Overview(self._columns[:, -max(1, self._next_column) :], COLUMN_SECONDS, self._picture),
            silent,
            noise,
            seconds,
            missed if missed > _BEHIND_SECONDS else 0.0,
        )

    def _is_noise(self) -> bool:
        return is_noise(self._held.latest(self._n_judged), self._rate, suppressed=self._suppressed) is True

    def _is_speech(self) -> bool:
        piece = self._held.latest(self._n_piece)
        return len(piece) == self._n_piece and is_speech(piece, self._rate) is True

    def _add_columns(self) -> None:
        spec, half = self._picture, self._picture.n_fft // 2
        n_new = (self._held.n_samples - half) // spec.hop_length + 1 - self._next_column
        if n_new <= 0:
            return
        start = self._next_column * spec.hop_length - half
        samples = self._held.between(start, start + spec.n_fft + (n_new - 1) * spec.hop_length)
        new = extract(torch.from_numpy(samples)[None], spec, padded=True)[0].numpy()
        self._columns = np.concatenate([self._columns, new], axis=1)[:, -_N_COLUMNS:]
        self._next_column += n_new

    def _add_segments(self) -> None:
        """Classify the segments that are complete for all members."""
        starts = []
        while all(
            is_complete(own_starts(self._next_start, self._spec, spec), spec, self._streams[spec.sample_rate].n_samples)
            for spec in self._specs
        ):
            starts.append(self._next_start)
            self._next_start += self._spec.segment_hop_frames
        self._segments += self._classified(starts)

    def _last_segments(self) -> list[_Segment]:
        """Classify the further segments of a clip that ended now: its last segment is right-aligned."""
        last = self._n_frames(self._spec) - self._spec.segment_frames
        if last < 0 or (self._segments and self._segments[-1].start_frame == last):
            return []
        return self._classified([*range(self._next_start, last, self._spec.segment_hop_frames), last])

    def _n_frames(self, spec: FeatureSpec) -> int:
        return 1 + self._streams[spec.sample_rate].n_samples // spec.hop_length

    def _classified(self, starts: list[int]) -> list[_Segment]:
        if not starts:
            return []
        joined = self._checkpoint.joined([self._of_member(index, starts) for index in range(len(self._specs))])
        spec, held = self._spec, self._streams[self._spec.sample_rate]
        first = [start * spec.hop_length for start in starts]
        sounds = sounding(np.stack([held.between(start, start + spec.segment_samples) for start in first]))
        noise = self._is_noise()
        return [_Segment(start, row, bool(sound), noise) for start, row, sound in zip(starts, joined, sounds, strict=True)]

    def _of_member(self, index: int, starts: list[int]) -> NDArray[np.float32]:
        """Return a member's probabilities [s, g] of the segments that start at ``starts``."""
        spec = self._specs[index]
        own = [own_starts(frame, self._spec, spec, self._n_frames(spec)) for frame in starts]
        all_own = sorted({start for group in own for start in group})
        samples = np.stack([self._streams[spec.sample_rate].segment(start, spec) for start in all_own])
        features = extract(torch.from_numpy(samples).to(self._checkpoint.device), spec, padded=True)
        return segment_means(self._checkpoint.probabilities(features, index), places_of(all_own, own))

    def _drop_old(self) -> None:
        """Drop the segments that left the 30 seconds, and the samples that nothing needs any more."""
        seconds = self._held.n_samples / self._rate
        oldest = seconds - max(WINDOW_SECONDS, self._spec.segment_seconds + 1)
        self._segments = [segment for segment in self._segments if self._spec.seconds(segment.start_frame) >= oldest]
        needed = {rate: held.n_samples for rate, held in self._streams.items()}
        needed[self._rate] = min(
            self._next_column * self._picture.hop_length - self._picture.n_fft // 2,
            self._held.n_samples - max(self._n_judged, self._n_piece),
        )
        for spec in self._specs:
            rate, starts = spec.sample_rate, own_starts(self._next_start, self._spec, spec)
            needed[rate] = min(needed[rate], first_needed(starts, self._spec, spec, self._streams[rate].n_samples))
        for rate, held in self._streams.items():
            held.drop_before(needed[rate])
