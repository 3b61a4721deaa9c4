"""Impulse responses of rectangular rooms by the image-source method (Allen and Berkley 1979).

The image sources give times and amplitudes of the reflections, and with them the room's modes. Absorption is modelled as an
exponential decay in each octave band, so that the reverberation time is exactly the given one. The images are moved by some
centimetres at random (De Sena et al. 2015), since perfectly regular reflections sound metallic.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy  # its submodules are imported at first use; scipy.signal takes a second
from numpy.random import Generator
from numpy.typing import NDArray

from genre_app.evaluation.conditions.level import Samples, with_power_of

_SPEED = 343.0  # speed of sound in air at 20 degrees Celsius, metres a second
_DEEPEST_DB = 50.0  # decay at which the response is cut
_JITTER = 0.08  # largest random displacement of an image along its path, metres
_ROLL_OFF_HZ = 50.0  # below it small rooms have no modes, and the images, all of one sign, would only add up
_LIVING_ROOM = ((3.4, 7.0), (2.8, 5.5), (2.3, 3.2))  # ranges of length, width and height, metres; set by hand
_WITHIN = (0.12, 0.88)  # range of a position as a share of the room: not at a wall
_BANDS_HZ = (125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)  # centres of the octave bands
_BAND_T60 = (1.2, 1.1, 1.0, 1.0, 0.95, 0.8, 0.6)  # their relative reverberation times: walls and air absorb treble more


@dataclass(frozen=True)
class Room:
    """A rectangular room with a source and a microphone.

    Attributes
    ----------
    size, source, microphone : tuple of float
        Metres; the positions are measured from a corner.
    t60_seconds : float
        Reverberation time at 500 to 1000 Hz.
    direct_db : float
        Direct-to-reverberant energy ratio.
    """

    size: tuple[float, ...]
    source: tuple[float, ...]
    microphone: tuple[float, ...]
    t60_seconds: float
    direct_db: float


def draw_room(generator: Generator, *, t60_seconds: tuple[float, float], direct_db: tuple[float, float]) -> Room:
    """Draw a room of a living room's size, with two positions, a reverberation time and a ratio from the given ranges."""
    size = np.array([generator.uniform(*extent) for extent in _LIVING_ROOM])
    source, microphone = (size * generator.uniform(*_WITHIN, 3) for _ in range(2))
    t60, direct = float(generator.uniform(*t60_seconds)), float(generator.uniform(*direct_db))
    return Room(tuple(size), tuple(source), tuple(microphone), t60, direct)


def impulse_response(room: Room, rate: int, generator: Generator) -> NDArray[np.float64]:
    """Return the impulse response of a room [n]; the direct sound is its first sample and has amplitude 1."""
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
    """Return the sum of the image sources [n] by their delay after the direct sound, weighted by 1 / distance."""
    direct = float(np.linalg.norm(np.subtract(room.source, room.microphone)))
    furthest = direct + seconds * _SPEED
    squares = []
    for length, source, microphone in zip(room.size, room.source, room.microphone, strict=True):
        count = int(furthest / (2 * length)) + 1
        shifts = 2.0 * length * np.arange(-count, count + 1)
        squares.append(np.square(np.concatenate([shifts + source, shifts - source]) - microphone, dtype=np.float64))
    pulses = np.zeros(round(seconds * rate))
    for depth in squares[0]:  # one slice at a time, since all at once would take tens of megabytes
        distance = np.sqrt(depth + squares[1][:, None] + squares[2][None, :]).ravel()
        distance = distance[(distance < furthest) & (distance > direct + 1e-6)]
        distance += generator.uniform(-_JITTER, _JITTER, len(distance))
        at = np.rint((distance - direct) / _SPEED * rate).astype(np.int64)
        # The displacement moves a few before the direct sound or beyond the end: they are left out.
        inside = (at > 0) & (at < len(pulses))
        pulses += np.bincount(at[inside], 1.0 / distance[inside], len(pulses))
    return pulses


def reverberate(samples: Samples, response: NDArray[np.floating]) -> Samples:
    """Convolve samples [n] with an impulse response; length, start and mean power stay."""
    return with_power_of(scipy.signal.oaconvolve(samples, response)[: len(samples)], samples)
