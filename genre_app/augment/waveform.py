"""Augmentation of waveforms, before a spectrogram is computed.

`STEPS` is the physical path from an instrument to a recording; `augment_waveform` sends a track down it. To add a step, write a
function ``(samples [n], sample rate, Drawn) -> samples`` and put it into `STEPS`; its settings are the fields of
`WaveformConfig` that begin with the step's name.
"""

from __future__ import annotations

import random
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from genre_app.audio import sound_files
from genre_app.augment.config import WaveformConfig
from genre_app.augment.waveform_ops import recorder, rooms
from genre_app.augment.waveform_ops.codec import Codec, round_trip

Samples = NDArray[np.float32]

_CURVE_KNOTS = 10  # points of a device's frequency response, about one an octave
_LEAST_SIGMA = 1e-9  # audiomentations refuses 0
_LOCK = threading.Lock()


@dataclass(frozen=True)
class Drawn:
    """What a step needs beside the samples: the settings, and a random generator of its own."""

    config: WaveformConfig
    rng: Generator

    def draw(self, *settings: str) -> list[float]:
        """Draw a value from each of these ranges, which are fields of `WaveformConfig`."""
        return [float(self.rng.uniform(*getattr(self.config, name))) for name in settings]


Change = Callable[[Samples, int, Drawn], Samples]
Step = Callable[[Samples, int, WaveformConfig, int], Samples]


def step(name: str, change: Change, place: Literal["only", "early", "late"] = "only", stream: str = "") -> Step:
    """Return a step that applies a change to ``{name}_probability`` of the tracks.

    The step has a random generator of its own, so that no step's draws depend on whether another is applied.

    Parameters
    ----------
    name : str
        Prefix of its settings in `WaveformConfig`.
    change : callable
    place : {"only", "early", "late"}
        A step that the list holds twice is applied early to half of its tracks and late to the others.
    stream : str
        Name that the step's generator is seeded with, `name` if empty. Two steps were renamed, and keep their former draws.
    """
    part = (stream or name).encode()

    def apply(samples: Samples, rate: int, config: WaveformConfig, seed: int) -> Samples:
        if place != "only" and (np.random.default_rng((seed, 1, *part)).random() < 0.5) != (place == "early"):
            return samples
        rng = np.random.default_rng((seed, 0, *part))
        chosen = rng.random() < getattr(config, f"{name}_probability")
        return change(samples, rate, Drawn(config, rng)) if chosen else samples

    return apply


def library_step(name: str, make: Callable[[Any, WaveformConfig, float], Any]) -> Step:
    """Return a step that applies a transform of audiomentations to ``{name}_probability`` of the tracks.

    Parameters
    ----------
    name : str
        Prefix of its settings in `WaveformConfig`.
    make : callable
        ``(the module audiomentations, WaveformConfig, probability) -> transform``. The transform draws from the global
        generators of `random` and `numpy.random`, which `augment_waveform` seeds.
    """

    def apply(samples: Samples, rate: int, config: WaveformConfig, _: int) -> Samples:
        probability = getattr(config, f"{name}_probability")
        if probability == 0:
            return samples
        import audiomentations  # here: it imports librosa and scipy, which take seconds

        changed: Samples = make(audiomentations, config, probability)(samples, rate)
        return changed

    return apply


def _codec(samples: Samples, rate: int, drawn: Drawn) -> Samples:
    codec: Codec = "mp3" if drawn.rng.random() < 0.5 else "opus"
    (kilobits,) = drawn.draw("codec_kilobits")
    peak = max(1.0, float(np.abs(samples).max(initial=0.0)))  # the codec must not clip: that is a step of its own
    return round_trip(samples / np.float32(peak), rate, codec, kilobits) * np.float32(peak)


def _clip(samples: Samples, _: int, drawn: Drawn) -> Samples:
    return recorder.clip(samples, *drawn.draw("clip_share"))


def _room(samples: Samples, rate: int, drawn: Drawn) -> Samples:
    folder, rng = drawn.config.room_folder, drawn.rng
    if folder is not None and rng.random() < 0.5:
        files = room_files(folder)
        return rooms.play_in(samples, rooms.read_response(files[int(rng.integers(len(files)))], rate))
    direct_db, t60_seconds = drawn.draw("room_direct_db", "room_t60_seconds")
    return rooms.play_in(samples, rooms.drawn_response(rate, direct_db, t60_seconds, rng))


def _response(samples: Samples, rate: int, drawn: Drawn) -> Samples:
    settings = ("response_low_hz", "response_high_hz", "response_slope_db", "response_db")
    low_hz, high_hz, slope_db, range_db = drawn.draw(*settings)
    curve_db = range_db * drawn.rng.uniform(-1.0, 1.0, _CURVE_KNOTS)
    return recorder.respond(samples, rate, low_hz, high_hz, slope_db, curve_db)


def _coloured_noise(samples: Samples, rate: int, drawn: Drawn) -> Samples:
    snr_db, slope_db = drawn.draw("coloured_noise_snr_db", "coloured_noise_slope_db")
    return recorder.add_coloured(samples, rate, snr_db, slope_db, drawn.rng)


def _gain_control(samples: Samples, rate: int, drawn: Drawn) -> Samples:
    settings = ("gain_control_target_dbfs", "gain_control_seconds", "gain_control_max_db")
    return recorder.control_gain(samples, rate, *drawn.draw(*settings))


def _suppress(samples: Samples, rate: int, drawn: Drawn) -> Samples:
    settings = ("suppress_depth_db", "suppress_excess_db", "suppress_wander_db", "suppress_scatter_db")
    depth_db, excess_db, wander_db, scatter_db = drawn.draw(*settings)
    return recorder.suppress(samples, rate, depth_db, excess_db, wander_db, scatter_db, drawn.rng)


def _limit(samples: Samples, rate: int, drawn: Drawn) -> Samples:
    return recorder.limit(samples, rate, *drawn.draw("limit_threshold_db", "limit_release_db"))


def _noises(config: WaveformConfig) -> list[Path]:
    return [] if config.background_folder is None else list(background_files(config.background_folder))


def _sigmas(config: WaveformConfig) -> list[float]:
    return [max(sigma, _LEAST_SIGMA) for sigma in config.white_noise_sigma]


STEPS: tuple[Step, ...] = (
    # the instruments play in another key, and at another tempo
    library_step("pitch", lambda am, of, p: am.PitchShift(-of.pitch_semitones, of.pitch_semitones, p=p)),
    library_step(
        "stretch", lambda am, of, p: am.TimeStretch(1.0 - of.stretch, 1.0 + of.stretch, leave_length_unchanged=False, p=p)
    ),
    step("codec", _codec, "early"),  # the file that is played was compressed
    step("clip", _clip, "early"),  # the loudspeaker is driven too loud
    step("room", _room),  # the loudspeaker stands in a room
    step("response", _response, "early"),  # the loudspeaker is small
    # other sounds in the room, then white noise in proportion to the music
    library_step("background", lambda am, of, p: am.AddBackgroundNoise(_noises(of), *of.background_snr_db, p=p)),
    library_step("snr", lambda am, of, p: am.AddGaussianSNR(*of.snr_db, p=p)),
    step("coloured_noise", _coloured_noise, stream="colour"),  # steady noise of the room
    step("response", _response, "late"),  # or the microphone is small, and its response changes the noise too
    # the microphone's amplifier hisses; the recording level is too low or too high
    library_step("white_noise", lambda am, of, p: am.AddGaussianNoise(*_sigmas(of), p=p)),
    library_step("gain", lambda am, of, p: am.Gain(*of.gain_db, p=p)),
    step("gain_control", _gain_control, "early", stream="control"),  # the recorder turns soft passages up
    step("suppress", _suppress),  # the browser takes steady music for noise
    step("gain_control", _gain_control, "late", stream="control"),  # the browser turns up what is left
    step("limit", _limit),  # the recorder avoids clipping
    step("clip", _clip, "late"),  # the recorder clips
    step("codec", _codec, "late"),  # the recording is compressed to be sent
)
"""The path from an instrument to a recording, in physical order."""


@lru_cache(maxsize=8)
def background_files(folder: Path) -> tuple[Path, ...]:
    """Return the noises of a folder, sorted by name.

    Raises
    ------
    ValueError
        If the folder is missing, has no sound files, or has one that cannot be read; one sentence.
    """
    return sound_files(folder, "background_folder", "noises")


@lru_cache(maxsize=8)
def room_files(folder: Path) -> tuple[Path, ...]:
    """Return the impulse responses of a folder, sorted by name; errors as those of `background_files`."""
    return sound_files(folder, "room_folder", "impulse responses")


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the global generators, and restore their state afterwards."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


def augment_waveform(samples: Samples, sample_rate: int, config: WaveformConfig, seed: int) -> Samples:
    """Augment a track.

    Parameters
    ----------
    samples : numpy.ndarray, float32 [n]
        Mono.
    sample_rate : int
        Hz.
    config : WaveformConfig
    seed : int
        The same samples, config and seed give the same result.

    Returns
    -------
    numpy.ndarray, float32 [m]
        Of another length where the tempo was changed; may exceed full scale.

    Raises
    ------
    ValueError
        If the folder of noises or of impulse responses cannot be used; one sentence.
    """
    if not config.changes:
        return samples
    # audiomentations draws from global generators, so only one thread at a time may run it.
    with _LOCK, _seeded(seed), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # audiomentations warns about resampled and about silent noises
        for apply in STEPS:
            samples = apply(samples, sample_rate, config, seed)
    return np.ascontiguousarray(samples, dtype=np.float32)
