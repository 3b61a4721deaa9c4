"""Change the sound of a clip step by step, and follow the answer.

To add a change, add a line to `CHANGES`; the page's choice follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from genre_app.audio import Clip
from genre_app.augment.waveform_ops import instrument, recorder, rooms
from genre_app.checkpoint import Checkpoint
from genre_app.explain.threads import at_once
from genre_app.predict import NoSoundError, classify
from genre_app.prediction import Prediction
from genre_app.vote import DEFAULT_VOTE

Samples = NDArray[np.float32]

_SLOPE_DB = 24.0  # per octave outside a cut: a usual filter of fourth order
_FLAT_DB = np.zeros(2)  # no boost within the band
_LOWEST_HZ, _HIGHEST_HZ = 20.0, 11025.0  # the bounds of hearing, and of what most checkpoints see
_DIRECT_DB = -3.0  # direct-to-reverberant energy ratio, the middle of that in training
_PINK_DB = -3.0  # slope of the noise per octave
_SEED = 0  # the same room and the same noise at each value, so that only the value changes


@dataclass(frozen=True)
class Change:
    """One way to change the sound.

    Attributes
    ----------
    label, unit : str
        For the page.
    values : tuple of float
        Values to try, rising.
    neutral : float
        The value that leaves the sound as it is, one of ``values``.
    step : float
        Of the page's slider.
    apply : callable
        ``(samples [n], sample rate, value) -> samples``.
    """

    label: str
    unit: str
    values: tuple[float, ...]
    neutral: float
    step: float
    apply: Callable[[Samples, int, float], Samples]


def _low_cut(samples: Samples, sample_rate: int, hz: float) -> Samples:
    return recorder.respond(samples, sample_rate, hz, float(sample_rate), _SLOPE_DB, _FLAT_DB)


def _high_cut(samples: Samples, sample_rate: int, hz: float) -> Samples:
    return recorder.respond(samples, sample_rate, _LOWEST_HZ, hz, _SLOPE_DB, _FLAT_DB)


def _room(samples: Samples, sample_rate: int, t60_seconds: float) -> Samples:
    response = rooms.drawn_response(sample_rate, _DIRECT_DB, t60_seconds, np.random.default_rng(_SEED))
    return rooms.play_in(samples, response)


def _noise(samples: Samples, sample_rate: int, level_db: float) -> Samples:
    return recorder.add_coloured(samples, sample_rate, -level_db, _PINK_DB, np.random.default_rng(_SEED))


CHANGES = {
    "pitch": Change("Pitch", "semitones", (-6, -4, -2, -1, 0, 1, 2, 4, 6), 0, 1, instrument.shift_pitch),
    "tempo": Change("Tempo", "times as fast", (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4), 1.0, 0.05, instrument.change_tempo),
    "low_cut": Change("Low cut", "Hz", (_LOWEST_HZ, 60, 120, 250, 500, 1000, 2000, 4000), _LOWEST_HZ, 10, _low_cut),
    "high_cut": Change("High cut", "Hz", (250, 500, 1000, 2000, 3000, 4500, 7000, _HIGHEST_HZ), _HIGHEST_HZ, 25, _high_cut),
    "room": Change("Room", "s of reverberation", (0.0, 0.2, 0.4, 0.6, 0.9, 1.2, 1.6, 2.0), 0.0, 0.1, _room),
    "noise": Change("Noise", "dB, relative to the music", (-60, -40, -30, -20, -15, -10, -5, 0), -60, 1, _noise),
}
"""The changes by name."""


def changed(clip: Clip, change: str, value: float) -> Clip:
    """Return the clip with a change; the neutral value returns the clip itself.

    Parameters
    ----------
    clip : Clip
    change : str
        One of `CHANGES`.
    value : float
        Within the range of the change's values.

    Returns
    -------
    Clip
        Of another length where the tempo was changed; may exceed full scale.

    Raises
    ------
    ValueError
        For an unknown change or a value out of range.
    """
    if change not in CHANGES:
        raise ValueError(f"there is no change {change!r}; choose one of: {', '.join(CHANGES)}")
    chosen = CHANGES[change]
    if not chosen.values[0] <= value <= chosen.values[-1]:
        raise ValueError(f"{change} must lie between {chosen.values[0]:g} and {chosen.values[-1]:g}, got {value:g}")
    if value == chosen.neutral:
        return clip
    return replace(clip, samples=chosen.apply(clip.samples, clip.sample_rate, value))


def what_if(
    clip: Clip, checkpoint: Checkpoint, change: str, values: Sequence[float], *, vote: str = DEFAULT_VOTE
) -> Iterator[Prediction | None]:
    """Classify a clip at each value of a change.

    Parameters
    ----------
    clip : Clip
        At ``checkpoint.sample_rate``.
    checkpoint : Checkpoint
    change : str
        One of `CHANGES`.
    values : sequence of float
    vote : str

    Yields
    ------
    Prediction or None
        In the order of the values; None if nothing is left to hear.

    Raises
    ------
    ValueError
        For an unknown change, a value out of range or an unknown vote.
    CheckpointError
        If the network's output is not finite.
    """
    yield from at_once(lambda value: answer(changed(clip, change, value), checkpoint, vote), values)


def answer(clip: Clip, checkpoint: Checkpoint, vote: str = DEFAULT_VOTE) -> Prediction | None:
    """Classify changed sound; None if nothing of it can be heard."""
    try:
        return classify(clip, checkpoint, vote=vote)
    except NoSoundError:
        return None
