"""The conditions by name, and their random seeds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from genre_app.evaluation.conditions import device, noise, tempo
from genre_app.evaluation.conditions.level import Samples, add_noise
from genre_app.evaluation.conditions.room import Room, draw_room, impulse_response, reverberate

Change = Callable[[Samples, int, Generator], Samples]

SNR_DB = (20, 10, 5, 0)
ROOMS = {
    "kitchen": Room((3.3, 2.7, 2.45), (0.6, 1.9, 1.1), (2.6, 0.9, 1.3), t60_seconds=0.42, direct_db=-1.0),
    "living": Room((5.7, 4.2, 2.6), (0.5, 2.3, 0.8), (4.4, 1.5, 1.2), t60_seconds=0.6, direct_db=-5.0),
    "stairs": Room((6.4, 3.1, 7.2), (1.1, 2.2, 1.4), (5.2, 0.8, 4.1), t60_seconds=1.15, direct_db=-9.0),
}
CLIPPED_SHARE = 0.05
PHONE_T60_SECONDS = (0.45, 0.95)
PHONE_DIRECT_DB = (-12.0, -3.0)
PHONE_LOW_HZ = (120.0, 300.0)
PHONE_HIGH_HZ = (6000.0, 10000.0)
PHONE_SNR_DB = 12.0


@dataclass(frozen=True)
class Condition:
    """A change of the audio that is applied to tracks before they are classified.

    Attributes
    ----------
    name : str
    description : str
        A phrase.
    change : callable
        ``(samples float32 [n], sample rate, generator) -> samples``.
    """

    name: str
    description: str
    change: Change

    def apply(self, samples: Samples, rate: int, track_id: str) -> Samples:
        """Change the samples [n] of a track at ``rate`` Hz; the same name, track and samples give the same result."""
        return self.change(samples, rate, generator_for(self.name, track_id))


def generator_for(condition: str, track_id: str) -> Generator:
    """Return the random generator of a condition for a track."""
    # The text stays as it is, whatever the module is called: with another seed, old results cannot be repeated.
    seed = hashlib.sha256(f"genre_app.conditions\0{condition}\0{track_id}".encode("utf-8", "surrogateescape")).digest()
    return np.random.default_rng(int.from_bytes(seed[:16], "big"))


def noisy(make: Callable[[int, int, Generator], Samples], snr_db: float) -> Change:
    """Return a change that adds the noise ``make(n_samples, rate, generator)`` at a ratio of ``snr_db``."""
    return lambda samples, rate, generator: add_noise(samples, make(len(samples), rate, generator), snr_db)


@lru_cache(maxsize=8)
def _response(name: str, rate: int) -> NDArray[np.float64]:
    return impulse_response(ROOMS[name], rate, generator_for(f"room-{name}", ""))


def _in_room(name: str) -> Change:
    return lambda samples, rate, generator: reverberate(samples, _response(name, rate))


def _deterministic(change: Callable[[Samples, int, Any], Samples], strength: float) -> Change:
    return lambda samples, rate, _: change(samples, rate, strength)


def phone_in_room(samples: Samples, rate: int, generator: Generator) -> Samples:
    """Play music in a room and record it with a phone: reverberation, noise, and the phone's frequency band for both."""
    room = draw_room(generator, t60_seconds=PHONE_T60_SECONDS, direct_db=PHONE_DIRECT_DB)
    low_hz, high_hz = generator.uniform(*PHONE_LOW_HZ), generator.uniform(*PHONE_HIGH_HZ)
    music = reverberate(samples, impulse_response(room, rate, generator))
    hiss = noise.pink(len(samples), rate, generator)
    music, hiss = (device.phone_band(sound, rate, low_hz, high_hz) for sound in (music, hiss))
    return add_noise(music, hiss, PHONE_SNR_DB)


def _standard() -> Iterator[Condition]:
    for make in (noise.white, noise.pink, noise.babble):
        for snr_db in SNR_DB:
            kind = make.__name__
            yield Condition(f"{kind}-{snr_db}", f"{kind} noise {snr_db} dB under the music", noisy(make, snr_db))
    for name, room in ROOMS.items():
        about = f"T60 {room.t60_seconds:g} s, direct sound {room.direct_db:g} dB over the reverberation"
        yield Condition(f"room-{name}", about, _in_room(name))
    yield Condition("telephone", "300 to 3400 Hz", device.telephone)
    for kilobits in (64, 32):
        yield Condition(f"mp3-{kilobits}", f"MP3 at {kilobits} kbit/s", _deterministic(device.mp3, kilobits))
    clipped = f"{CLIPPED_SHARE:.0%} of the samples clipped"
    yield Condition("clipping", clipped, lambda samples, rate, _: device.clip(samples, CLIPPED_SHARE))
    yield Condition("equaliser-dark", "+12 dB at 60 Hz to -12 dB at 8 kHz", _deterministic(device.tilt, 12))
    yield Condition("equaliser-bright", "-12 dB at 60 Hz to +12 dB at 8 kHz", _deterministic(device.tilt, -12))
    yield Condition("gain-20", "20 dB softer", lambda samples, rate, _: device.gain(samples, -20.0))
    yield Condition("pitch+2", "two semitones up", _deterministic(tempo.shift_pitch, 2))
    yield Condition("pitch-2", "two semitones down", _deterministic(tempo.shift_pitch, -2))
    yield Condition("speed-0.9", "slower and lower", _deterministic(tempo.change_speed, 0.9))
    yield Condition("speed-1.1", "faster and higher", _deterministic(tempo.change_speed, 1.1))
    yield Condition("phone-in-room", "room, noise and a phone's frequency band together", phone_in_room)


STANDARD: dict[str, Condition] = {condition.name: condition for condition in _standard()}
"""The conditions that need no files."""
