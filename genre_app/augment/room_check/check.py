"""Check a recording of the test signal: what loudspeaker, room, noise and browser do to music."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy  # its submodules are imported at first use; scipy.signal takes a second
import soxr
from numpy.typing import NDArray

from genre_app.audio import Clip
from genre_app.augment.room_check.response import Array, ImpulseResponse
from genre_app.augment.room_check.signal import (
    GAP_SECONDS,
    HIGHEST_HZ,
    LEAD_SECONDS,
    LOWEST_HZ,
    MUSIC_SECONDS,
    SAMPLE_RATE,
    SWEEP_SECONDS,
    room_signal,
)
from genre_app.errors import AudioError

MAX_SECONDS = 60.0
"""Longer recordings are refused; the deconvolution takes memory for all of it."""

OCTAVES_HZ = (63.0, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16000.0)
REFERENCE_HZ = 1000.0
_MIDDLE_HZ = (500.0, 1000.0, 2000.0)  # octave bands whose reverberation times are averaged
_MIN_LEVEL_DB = -60.0  # RMS of the recorded sweep re full scale; below it 16 bits leave too few steps
_LEAST_SNR_DB = 0.0
# Level of the impulse response's peak over its median. Signal: at least 36 dB with noise as loud as the sweep and reverberation
# 10 dB over the direct sound. Noise 24 dB, 34 pieces of synthesised music at most 33.5 dB (measured).
_FOUND_DB = 35.0
_LEAST_LEAD_SECONDS = 0.35
_MARGIN_SECONDS = 0.1  # left out where the recorder starts and where the sweep begins
_MOST_SNR_DB = 80.0  # more than 16 bits can hold
_CLIPPED_LEVEL, _CLIPPED_SHARE = 0.99, 1e-4  # a share of the samples at full scale that no unclipped recording reaches
_EDGE_DB = 10.0  # attenuation of a third of an octave that is outside the frequency band; rooms alone stay under it
# Quantile 0.9 of the missing level of music, re its median: at most 0.5 dB in rooms with noise 10 to 60 dB under the music.
# The imitated suppressor of `genre_app.augment.waveform_ops` causes 0.1 dB at its weakest and 14 dB at its strongest.
_FADED_DB = 2.0
_FADED_QUANTILE = 0.9
_FRAME_SECONDS, _HOP_SECONDS = 0.186, 0.046
_BAND_EDGES_HZ = np.geomspace(150.0, 8000.0, 13)
_OVER_NOISE_DB, _UNDER_LOUDEST_DB = 15.0, 30.0  # band levels that are compared
_FEWEST_LEVELS = 50


@dataclass(frozen=True)
class RoomCheck:
    """What a recording of the test signal shows.

    Attributes
    ----------
    t60_seconds : float or None
        Mean reverberation time of the octave bands 500 to 2000 Hz. None if noise hides the decay.
    direct_db : float
        Direct-to-reverberant energy ratio.
    response_db : dict of float to float
        Level of each octave band over that at 1 kHz, by the band's centre in Hz.
    low_hz, high_hz : float
        Edges of the frequency band: beyond them, the response is 10 dB below its middle.
    snr_db : float
        Power of the sweep over that of the noise before it. Noise suppression raises it.
    faded_db : float or None
        Level that tones of the music lose, more than the response and the noise explain. None if the noise hides it.
    browser_suppresses : bool or None
        Whether the browser says that it suppresses noise; None if it does not say.
    is_clipped : bool
    """

    t60_seconds: float | None
    direct_db: float
    response_db: dict[float, float]
    low_hz: float
    high_hz: float
    snr_db: float
    faded_db: float | None
    browser_suppresses: bool | None
    is_clipped: bool

    @property
    def is_suppressed(self) -> bool | None:
        """Whether noise suppression is on, by the browser's word or by the faded tones; None if neither is known."""
        if self.browser_suppresses or (self.faded_db is not None and self.faded_db >= _FADED_DB):
            return True
        return None if self.browser_suppresses is None and self.faded_db is None else False


def check_room(recording: Clip, *, browser_suppresses: bool | None = None) -> RoomCheck:
    """Measure what happened to the test signal between the file and the recording.

    Parameters
    ----------
    recording : Clip
        Sound from at least 0.35 s before the sweep until the music has ended.
    browser_suppresses : bool, optional
        ``noiseSuppression`` of the browser's settings of the microphone.

    Raises
    ------
    AudioError
        If the recording does not hold the whole signal, or the signal is too quiet.
    """
    rate = SAMPLE_RATE
    if not LEAD_SECONDS < recording.duration_seconds <= MAX_SECONDS:
        raise AudioError(
            f"{recording.name}: a recording of the test signal lasts 8 to {MAX_SECONDS:.0f} s; play and record again"
        )
    samples = recording.samples.astype(np.float64)
    if recording.sample_rate != rate:
        samples = np.asarray(soxr.resample(samples, recording.sample_rate, rate))
    if not np.isfinite(samples).all() or _level_db(samples) < _MIN_LEVEL_DB:
        raise AudioError("Almost nothing was recorded: check that the loudspeaker plays and the microphone is not muted")
    response = ImpulseResponse(samples)
    if response.peak_db < _FOUND_DB:
        raise AudioError(
            "The test signal is not in the recording: turn the loudspeaker up, choose Music for the microphone, and keep quiet"
        )
    start, swept = response.start, round(SWEEP_SECONDS * rate)
    if start < _LEAST_LEAD_SECONDS * rate:
        raise AudioError("The recording began too late, after the test signal: play and record again")
    if len(samples) < start + round((SWEEP_SECONDS + GAP_SECONDS + MUSIC_SECONDS - _MARGIN_SECONDS) * rate):
        raise AudioError("The recording is cut off before the test signal ends: play and record again")
    highpass = scipy.signal.butter(2, LOWEST_HZ, "highpass", fs=rate, output="sos")
    heard = scipy.signal.sosfilt(highpass, samples)
    margin = round(_MARGIN_SECONDS * rate)
    noise = heard[margin : start - margin]
    snr_db = _snr_db(heard[start : start + swept], noise)
    if _level_db(samples[start : start + swept]) < _MIN_LEVEL_DB or snr_db < _LEAST_SNR_DB:
        raise AudioError("The test signal is too quiet: turn the loudspeaker up, or move the microphone closer")
    times = [seconds for hz in _MIDDLE_HZ if (seconds := response.t60(hz)) is not None]
    low_hz, high_hz = _edges(response)
    return RoomCheck(
        t60_seconds=float(np.mean(times)) if times else None,
        direct_db=response.direct_db,
        response_db=_octaves(response),
        low_hz=low_hz,
        high_hz=high_hz,
        snr_db=snr_db,
        faded_db=_faded_db(heard, noise, response),
        browser_suppresses=browser_suppresses,
        is_clipped=bool(np.mean(np.abs(samples) >= _CLIPPED_LEVEL) > _CLIPPED_SHARE),
    )


def _level_db(samples: Array) -> float:
    return float(10.0 * np.log10(max(float(np.mean(samples**2)), 1e-30)))


def _snr_db(sound: Array, noise: Array) -> float:
    """Return the power of a sound, without that of the noise in it, over that of the noise."""
    power, hiss = float(np.mean(sound**2)), max(float(np.mean(noise**2)), 1e-30)
    return float(np.clip(10.0 * np.log10(max(power - hiss, 0.01 * hiss) / hiss), -20.0, _MOST_SNR_DB))


def _octaves(response: ImpulseResponse) -> dict[float, float]:
    """Return the response in octave bands, as far as the sweep reaches, relative to 1 kHz."""
    levels = {hz: response.band_db(max(LOWEST_HZ, hz / 2**0.5), min(HIGHEST_HZ, hz * 2**0.5)) for hz in OCTAVES_HZ}
    return {hz: level - levels[REFERENCE_HZ] for hz, level in levels.items()}


def _edges(response: ImpulseResponse) -> tuple[float, float]:
    """Return the lowest and the highest frequency between which the response does not fall for two thirds of an octave."""
    n_thirds = int(3.0 * np.log2(HIGHEST_HZ / LOWEST_HZ))
    edges = np.geomspace(LOWEST_HZ, HIGHEST_HZ, n_thirds + 1)
    levels = np.array([response.band_db(low, high) for low, high in pairwise(edges)])
    middle = (edges[:-1] >= 0.9 * _MIDDLE_HZ[0]) & (edges[1:] <= 1.1 * _MIDDLE_HZ[-1])
    inside = levels >= np.median(levels[middle]) - _EDGE_DB
    inside |= np.append(inside[1:], False) & np.insert(inside[:-1], 0, False)  # a single gap is a mode of the room
    places = np.flatnonzero(middle)
    centre = int(places[len(places) // 2])
    below, above = np.flatnonzero(~inside[:centre]), np.flatnonzero(~inside[centre + 1 :])
    low = edges[below[-1] + 1] if len(below) else edges[0]
    high = edges[centre + 1 + above[0]] if len(above) else edges[-1]
    return float(low), float(high)


def _faded_db(heard: Array, noise: Array, response: ImpulseResponse) -> float | None:
    """Return how much level bands of the music lose at times, apart from a loss that all share."""
    rate = SAMPLE_RATE
    lead = round(LEAD_SECONDS * rate)
    expected = scipy.signal.oaconvolve(room_signal()[lead:].astype(np.float64), response.samples)
    recorded = heard[response.start - response.lead :][: len(expected)]
    expected = expected[: len(recorded)]
    music = slice(round((SWEEP_SECONDS + GAP_SECONDS) * rate), round((SWEEP_SECONDS + GAP_SECONDS + MUSIC_SECONDS) * rate))
    wanted, found = (_band_powers(part[music]) for part in (expected, recorded))
    if not len(wanted) or len(noise) < round(_FRAME_SECONDS * rate):
        return None
    hiss = _band_powers(noise).mean(axis=0)
    compared = (wanted > 10.0 ** (_OVER_NOISE_DB / 10.0) * hiss) & (wanted > 10.0 ** (-_UNDER_LOUDEST_DB / 10.0) * wanted.max())
    if compared.sum() < _FEWEST_LEVELS:
        return None
    lost = 10.0 * np.log10(wanted[compared] / np.maximum(found[compared], 1e-30))
    return float(np.quantile(lost, _FADED_QUANTILE) - np.median(lost))


def _band_powers(samples: Array) -> NDArray[np.float64]:
    """Return the power of each band over time [frames, bands]."""
    n_fft, hop = (round(seconds * SAMPLE_RATE) for seconds in (_FRAME_SECONDS, _HOP_SECONDS))
    if len(samples) < n_fft:
        return np.empty((0, len(_BAND_EDGES_HZ) - 1))
    frames = np.lib.stride_tricks.sliding_window_view(samples, n_fft)[::hop]
    power = np.abs(scipy.fft.rfft(frames * np.hanning(n_fft))) ** 2
    first = np.round(_BAND_EDGES_HZ * n_fft / SAMPLE_RATE).astype(np.intp)
    return np.asarray(np.add.reduceat(power[:, : first[-1]], first[:-1], axis=1))
