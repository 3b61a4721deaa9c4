"""White noise, pink noise, and babble: synthetic speech of several talkers at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy  # its submodules are imported at first use; scipy.signal takes a second
from numpy.random import Generator
from numpy.typing import NDArray

from genre_app.evaluation.conditions.level import Samples

_LOWEST_HZ = 20.0  # pink noise is flat below
_TALKERS = 8
_TALKER_DB = 4.0  # largest deviation of a talker's level from the mean

# Ranges of speech, set by hand to cover adults.
_VOICE_HZ = (95.0, 230.0)  # pitch
_GLIDE = (0.8, 1.25)  # factor of the pitch at both ends of a syllable
_TRACT = (0.88, 1.18)  # factor of the formants: a short vocal tract has high ones
_SYLLABLE_SECONDS = (0.13, 0.33)
_PAUSE_SHARE = 0.15  # share of the syllables that are pauses
_HISS_SHARE = 0.2  # share of the syllables that hiss
_HISS_LEVEL = 0.15  # standard deviation of a hissing syllable; a voiced one has amplitude 1


def white(n_samples: int, rate: int, generator: Generator) -> Samples:
    """Return Gaussian noise with the same power at each frequency."""
    return generator.standard_normal(n_samples, dtype=np.float32)


def pink(n_samples: int, rate: int, generator: Generator) -> Samples:
    """Return Gaussian noise that falls by 3 dB an octave."""
    n_padded = scipy.fft.next_fast_len(n_samples, real=True)
    spectrum = scipy.fft.rfft(white(n_padded, rate, generator))
    spectrum /= np.sqrt(np.maximum(scipy.fft.rfftfreq(n_padded, 1 / rate), _LOWEST_HZ)).astype(np.float32)
    return np.asarray(scipy.fft.irfft(spectrum, n_padded)[:n_samples], dtype=np.float32)


def babble(n_samples: int, rate: int, generator: Generator) -> Samples:
    """Return eight synthetic talkers at once, of random levels."""
    total = np.zeros(n_samples)
    for _ in range(_TALKERS):
        talker = _talker(n_samples, rate, generator)
        level = 10.0 ** (generator.uniform(-_TALKER_DB, _TALKER_DB) / 20)
        total += talker * level / max(1e-9, float(np.sqrt(np.mean(talker**2))))
    return total.astype(np.float32)


def _talker(n_samples: int, rate: int, generator: Generator) -> NDArray[np.float64]:
    """Return speech without words: random syllables, voiced or hissing, with pauses between them."""
    total = np.zeros(n_samples + rate)  # room for the last syllable
    voice_hz = float(np.exp(generator.uniform(*np.log(_VOICE_HZ))))
    tract = generator.uniform(*_TRACT)
    for start, length in _syllables(n_samples, rate, generator):
        envelope = np.sin(np.pi * (np.arange(length) + 0.5) / length) ** 0.6
        if generator.random() < _HISS_SHARE:
            source, level = generator.standard_normal(length), _HISS_LEVEL
            formants = [(generator.uniform(2500, 6500), 1200.0)]
        else:
            glide = voice_hz * np.linspace(generator.uniform(*_GLIDE), generator.uniform(*_GLIDE), length)
            # The spectrum of a saw-tooth falls by 6 dB an octave, as that of the voice outside the mouth.
            source, level = 2.0 * (np.cumsum(glide) / rate % 1.0) - 1.0, 1.0
            formants = [
                (tract * generator.uniform(280, 800), 80.0),
                (tract * generator.uniform(850, 2300), 110.0),
                (tract * generator.uniform(2300, 3000), 160.0),
                (tract * 3500.0, 250.0),
            ]
        sections = [_resonator(hz, width, rate) for hz, width in formants if hz < 0.45 * rate]
        sound = source * envelope * level * generator.uniform(0.4, 1.0)
        total[start : start + length] += scipy.signal.sosfilt(sections, sound) if sections else sound
    return total[:n_samples]


def _syllables(n_samples: int, rate: int, generator: Generator) -> Iterator[tuple[int, int]]:
    """Yield first sample and length of each syllable, about four a second."""
    position = -int(generator.integers(rate // 4))  # so that talkers do not start together
    while position < n_samples:
        length = int(generator.uniform(*_SYLLABLE_SECONDS) * rate)
        if generator.random() > _PAUSE_SHARE and position >= 0:
            yield position, length
        position += length


def _resonator(hz: float, width_hz: float, rate: int) -> list[float]:
    """Return the second-order section of a formant, with gain 1 at 0 Hz (Klatt 1980)."""
    radius = np.exp(-np.pi * width_hz / rate)
    first, second = -2.0 * radius * np.cos(2.0 * np.pi * hz / rate), radius**2
    return [1.0 + first + second, 0.0, 0.0, 1.0, first, second]
