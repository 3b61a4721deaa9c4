"""Impulse responses of rooms, read from a file or drawn at random, and convolution with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy  # its submodules are imported at first use; scipy.signal takes a second
from numpy.random import Generator
from numpy.typing import NDArray

from genre_app.audio import read_sound

Response = NDArray[np.float64]

# Ranges that a room is drawn from, chosen to cover living rooms to halls. No measurement stands behind them.
_EARLY_SECONDS = (0.002, 0.06)  # time of the early reflections after the direct sound
_EARLY_COUNT = (4, 12)  # number of early reflections, the second bound excluded
_EARLY_LOUDNESS = (0.3, 1.0)  # amplitude of an early reflection, before it falls with the distance
_EARLY_SHARE = (0.1, 0.5)  # share of the energy that is not direct
_STEEPER = (0.03, 0.2)  # share of the reverberation time lost with each octave, the same range as for spectrograms

_OCTAVES_HZ = (125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)  # centres of the bands with a decay of their own
_TAIL_T60 = 1.3  # length of the tail in reverberation times at 1 kHz; low bands decay more slowly
_LONGEST_SECONDS = 4.0  # longest part of a recorded response that is used


def drawn_response(sample_rate: int, direct_db: float, t60_seconds: float, rng: Generator) -> Response:
    """Draw an impulse response: direct sound, early reflections, and a noise tail that decays faster at high frequencies.

    Parameters
    ----------
    sample_rate : int
        Hz.
    direct_db : float
        Direct-to-reverberant energy ratio.
    t60_seconds : float
        Time in which the tail falls by 60 dB, at 1 kHz.
    rng : numpy.random.Generator

    Returns
    -------
    numpy.ndarray, float64 [n]
        Of energy 1; the direct sound is its first sample.
    """
    time = np.arange(max(1, round(_TAIL_T60 * t60_seconds * sample_rate))) / sample_rate
    steeper = rng.uniform(*_STEEPER)
    tail = np.zeros(len(time))
    for hz in _OCTAVES_HZ:
        if hz >= 0.35 * sample_rate:
            break
        t60 = t60_seconds * np.exp(-steeper * np.log2(hz / 1000.0))
        edges = [hz / np.sqrt(2.0), min(hz * np.sqrt(2.0), 0.49 * sample_rate)]
        kind: dict[str, object] = {"Wn": edges, "btype": "bandpass"}
        if hz == _OCTAVES_HZ[0]:
            kind = {"Wn": edges[1], "btype": "lowpass"}
        elif hz == _OCTAVES_HZ[-1] or 2.0 * hz >= 0.35 * sample_rate:
            kind = {"Wn": edges[0], "btype": "highpass"}
        band = scipy.signal.butter(3, fs=sample_rate, output="sos", **kind)
        tail += scipy.signal.sosfilt(band, rng.standard_normal(len(time))) * np.exp(-np.log(1e3) * time / t60)
    tail[: round(_EARLY_SECONDS[0] * sample_rate)] = 0.0
    count = int(rng.integers(*_EARLY_COUNT))
    at = np.rint(np.sort(rng.uniform(*_EARLY_SECONDS, count)) * sample_rate).astype(np.int64)
    loudness = rng.uniform(*_EARLY_LOUDNESS, count) * _EARLY_SECONDS[0] / (_EARLY_SECONDS[0] + at / sample_rate)
    early = np.zeros(max(len(tail), int(at.max()) + 1))
    np.add.at(early, at, rng.choice([-1.0, 1.0], count) * loudness)
    share = rng.uniform(*_EARLY_SHARE)
    energy = max(np.sum(tail**2), np.finfo(np.float64).tiny)  # 0 if the tail ends before the first early reflection
    after = np.pad(tail * np.sqrt((1.0 - share) / energy), (0, len(early) - len(tail)))
    after += early * np.sqrt(share / np.sum(early**2))
    after *= np.sqrt(10.0 ** (-direct_db / 10.0) / np.sum(after**2))
    after[0] += 1.0
    return np.asarray(after / np.sqrt(np.sum(after**2)))


def read_response(path: Path, sample_rate: int) -> Response:
    """Read a recorded impulse response, which must not be silent, from its loudest sample on; scale it to energy 1."""
    response = read_sound(path, sample_rate).astype(np.float64)
    start = int(np.abs(response).argmax())
    response = response[start : start + round(_LONGEST_SECONDS * sample_rate)]
    return np.asarray(response / np.sqrt(np.sum(response**2)))


def play_in(samples: NDArray[np.float32], response: Response) -> NDArray[np.float32]:
    """Convolve samples [n] with an impulse response; length and start of the samples stay."""
    return np.asarray(scipy.signal.oaconvolve(samples, response)[: len(samples)], dtype=np.float32)
