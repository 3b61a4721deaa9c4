"""Rooms as boxes whose walls mirror the source (Allen and Berkley 1979).

The mirror images give the times and the spreading of the reflections, and with them the room's modes and colour; what the walls
swallow is a decay over time, in each octave band for itself, so that the reverberation time is the one asked for. Images are
moved by some centimetres (De Sena et al. 2015): walls as even as those of a computed box ring like none that was ever built.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy  # whose parts load when they are first used: scipy.signal takes a second
from numpy.random import Generator
from numpy.typing import NDArray

from genre_app.evaluation.conditions.level import Samples, with_power_of

_SPEED = 343.0  # of sound, metres a second
_DEEPEST_DB = 50.0  # where the response ends
_JITTER = 0.08  # metres
_ROLL_OFF_HZ = 50.0  # no room has modes under it; there the images, all of one sign, would only pile up
_BANDS_HZ = (125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)
_BAND_T60 = (1.2, 1.1, 1.0, 1.0, 0.95, 0.8, 0.6)  # relative: walls and air swallow high frequencies sooner


@dataclass(frozen=True)
class Room:
    """A box with a source and a microphone.

    Attributes
    ----------
    size, source, microphone : tuple of float
        Metres.
    t60_seconds : float
        Time in which the sound falls by 60 dB, at 500 to 1000 Hz.
    direct_db : float
        Direct-to-reverberant energy ratio.
    """

    size: tuple[float, float, float]
    source: tuple[float, float, float]
    microphone: tuple[float, float, float]
    t60_seconds: float
    direct_db: float


def draw_room(generator: Generator, *, t60_seconds: tuple[float, float], direct_db: tuple[float, float]) -> Room:
    """Draw a living-room's size, two places in it, and the rest from these ranges."""
    size = np.array([generator.uniform(3.4, 7.0), generator.uniform(2.8, 5.5), generator.uniform(2.3, 3.2)])
    source, microphone = (size * generator.uniform(0.12, 0.88, 3) for _ in range(2))
    return Room(
        (size[0], size[1], size[2]),
        (source[0], source[1], source[2]),
        (microphone[0], microphone[1], microphone[2]),
        float(generator.uniform(*t60_seconds)),
        float(generator.uniform(*direct_db)),
    )


def impulse_response(room: Room, rate: int, generator: Generator) -> NDArray[np.float64]:
    """Return what the microphone hears of a click [n]; the direct sound is the first sample and has height 1."""
    seconds = room.t60_seconds * max(_BAND_T60) * _DEEPEST_DB / 60.0
    pulses = _reflections(room, seconds, rate, generator)
    n_padded = scipy.fft.next_fast_len(2 * len(pulses), real=True)
    time = np.arange(len(pulses)) / rate
    octaves = np.log2(np.maximum(scipy.fft.rfftfreq(n_padded, 1 / rate), 1.0))
    spectrum = np.zeros(len(octaves), np.complex128)
    for index, relative in enumerate(_BAND_T60):
        share = np.interp(octaves, np.log2(_BANDS_HZ), np.eye(len(_BANDS_HZ))[index])
        spectrum += share * scipy.fft.rfft(pulses * np.exp(-np.log(1e3) * time / (relative * room.t60_seconds)), n_padded)
    tail = scipy.fft.irfft(spectrum, n_padded)[: len(pulses)]
    tail = scipy.signal.sosfilt(scipy.signal.butter(4, _ROLL_OFF_HZ, "highpass", fs=rate, output="sos"), tail)
    tail *= np.sqrt(10.0 ** (-room.direct_db / 10.0) / np.sum(tail**2))
    tail[0] += 1.0
    return np.asarray(tail)


def _reflections(room: Room, seconds: float, rate: int, generator: Generator) -> NDArray[np.float64]:
    """Add up the mirror images by their delay after the direct sound; the further away, the weaker."""
    direct = float(np.linalg.norm(np.subtract(room.source, room.microphone)))
    furthest = direct + seconds * _SPEED
    squares = []
    for length, source, microphone in zip(room.size, room.source, room.microphone, strict=True):
        count = int(furthest / (2 * length)) + 1
        shifts = 2.0 * length * np.arange(-count, count + 1)
        squares.append(np.square(np.concatenate([shifts + source, shifts - source]) - microphone, dtype=np.float64))
    pulses = np.zeros(round(seconds * rate))
    for depth in squares[0]:  # a slice at a time: all at once would take tens of megabytes
        distance = np.sqrt(depth + squares[1][:, None] + squares[2][None, :]).ravel()
        distance = distance[(distance < furthest) & (distance > direct + 1e-6)]
        distance += generator.uniform(-_JITTER, _JITTER, len(distance))
        at = np.rint((distance - direct) / _SPEED * rate).astype(np.int64)
        # Moved to before the direct sound or beyond the end: these few are left out.
        heard = (at > 0) & (at < len(pulses))
        pulses += np.bincount(at[heard], 1.0 / distance[heard], len(pulses))
    return pulses


def reverberate(samples: Samples, response: NDArray[np.floating]) -> Samples:
    """Play samples [n] in a room; they keep length, start and mean power."""
    return with_power_of(scipy.signal.oaconvolve(samples, response)[: len(samples)], samples)
