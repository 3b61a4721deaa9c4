"""Synthesise short pieces of music in five styles, for tests and examples; nobody has rights in them.

Each style is a score of notes for a few instruments. The seed chooses key, tempo, melody and how loud each note is. The same
arguments give the same samples.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy  # scipy.signal takes a second to import, and scipy imports it when it is first used
from numpy.typing import NDArray

Sound = NDArray[np.float64]

_RMS = 10.0 ** (-16 / 20)  # -16 dBFS, about that of a commercial recording
_CEILING = 0.9


def _hz(midi: float) -> float:
    return float(440.0 * 2.0 ** ((midi - 69) / 12))


class Score:
    """A piece of music in the making: sounds are added at times in seconds; the methods synthesise instruments.

    Attributes
    ----------
    seconds : float
        Length of the piece.
    rate : int
        Sample rate in Hz.
    rng : numpy.random.Generator
    out : numpy.ndarray, float64 [n]
        The sum of the sounds so far.
    """

    def __init__(self, seconds: float, sample_rate: int, seed: int) -> None:
        self.seconds, self.rate = seconds, sample_rate
        self.rng = np.random.default_rng(seed)
        self.out: Sound = np.zeros(round(seconds * sample_rate))
        self._tones: dict[tuple[float, ...], Sound] = {}

    def add(self, at: float, sound: Sound, level: float) -> None:
        """Add a sound at the time ``at`` in seconds; as with players, its level varies by up to 15 %."""
        start = round(at * self.rate)
        if 0 <= start < len(self.out):
            length = min(len(sound), len(self.out) - start)
            self.out[start : start + length] += level * self.rng.uniform(0.85, 1.1) * sound[:length]

    def layer(self) -> Score:
        """Return an empty score of the same length, for sounds that share an effect."""
        return Score(self.seconds, self.rate, int(self.rng.integers(1 << 31)))

    def time(self, seconds: float) -> Sound:
        """Return the times of the samples of a sound, in seconds."""
        return np.arange(round(seconds * self.rate)) / self.rate

    def tone(self, midi: float, seconds: float, *, slope: float = 1.0, decay: float = 0.0, attack: float = 0.005) -> Sound:
        """Return a harmonic tone: partial ``k`` has the level ``k ** -slope`` and decays at ``decay * sqrt(k)`` per second."""
        key = (midi, seconds, slope, decay, attack)
        if key not in self._tones:
            time, fundamental = self.time(seconds), _hz(midi)
            partials = np.arange(1.0, 1 + max(1, min(40, int(0.45 * self.rate / fundamental))))
            phases = self.rng.uniform(0, 2 * np.pi, len(partials))
            sound = np.zeros(len(time))
            for k, phase in zip(partials, phases, strict=True):
                stretched = fundamental * k * np.sqrt(1 + 1e-4 * k * k)  # strings are a little inharmonic
                sound += k**-slope * np.exp(-decay * np.sqrt(k) * time) * np.sin(2 * np.pi * stretched * time + phase)
            rise = np.minimum(1.0, time / attack) * np.minimum(1.0, (seconds - time) / 0.02)
            self._tones[key] = sound * rise
        return self._tones[key]

    def noise(self, seconds: float, low_hz: float, high_hz: float, decay: float) -> Sound:
        """Return band-limited noise that decays at ``decay`` per second."""
        time = self.time(seconds)
        return self._band(self.rng.standard_normal(len(time)), low_hz, high_hz) * np.exp(-decay * time)

    def _band(self, sound: Sound, low_hz: float, high_hz: float) -> Sound:
        high_hz = min(high_hz, 0.49 * self.rate)
        band = scipy.signal.butter(2, [min(low_hz, 0.6 * high_hz), high_hz], "bandpass", fs=self.rate, output="sos")
        return np.asarray(scipy.signal.sosfilt(band, sound))

    def kick(self) -> Sound:
        """Return a bass drum."""
        time = self.time(0.3)
        return np.sin(2 * np.pi * (48 * time + 110 / 30 * (1 - np.exp(-30 * time)))) * np.exp(-11 * time)

    def snare(self) -> Sound:
        """Return a snare drum."""
        return 0.9 * self.noise(0.25, 900, 9000, 18) + 0.5 * self.tone(54, 0.25, slope=2, decay=20)

    def hat(self, *, open_: bool = False) -> Sound:
        """Return a hi-hat, closed or open."""
        return self.noise(0.3 if open_ else 0.08, 6000, 16000, 12 if open_ else 60)

    def pluck(self, midi: float, seconds: float) -> Sound:
        """Return a plucked string: a burst of noise in a delay line with a low-pass filter (Karplus and Strong, 1983)."""
        period = max(2, round(self.rate / _hz(midi) - 0.5))
        burst = np.zeros(round(seconds * self.rate))
        burst[:period] = self.rng.uniform(-1, 1, min(period, len(burst)))
        loop = np.zeros(period + 2)
        loop[0], loop[period:] = 1.0, -0.4985
        return np.asarray(scipy.signal.lfilter([1.0], loop, burst)) * np.minimum(1.0, (seconds - self.time(seconds)) / 0.02)

    def filtered(self, low_hz: float, high_hz: float) -> Sound:
        """Return the sum so far, limited to a band."""
        return self._band(self.out, low_hz, high_hz)

    def reverberate(self, seconds: float, level: float) -> None:
        """Add reverberation of ``seconds`` (RT60) to the sum so far."""
        time = self.time(seconds)
        room = self.rng.standard_normal(len(time)) * np.exp(-6.9 * time / seconds) / np.sqrt(self.rate * seconds / 14)
        self.out += level * scipy.signal.fftconvolve(self.out, room)[: len(self.out)]


def _disco(score: Score) -> None:
    beat = 60 / score.rng.uniform(116, 126)
    key = int(score.rng.integers(40, 48))
    chords = [(0, 3, 7, 10), (8, 12, 15, 19), (3, 7, 10, 14), (10, 14, 17, 20)]  # i7 VI7 III7 VII
    strings = score.layer()
    for step in range(int(score.seconds / beat) + 1):
        at, chord = step * beat, chords[step // 4 % 4]
        score.add(at, score.kick(), 0.9)
        score.add(at + beat / 2, score.hat(open_=True), 0.35)
        for quarter in (0.25, 0.75):
            score.add(at + quarter * beat, score.hat(), 0.3)
        if step % 2:
            score.add(at, score.snare(), 0.5)
        for half, octave in ((0.0, 0), (0.5, 12)):
            score.add(at + half * beat, score.tone(key - 12 + chord[0] % 12 + octave, beat / 2, slope=1.3, decay=4), 0.45)
        for note in chord[1:]:
            if step % 4 in (0, 3):
                score.add(at + beat / 2, score.tone(key + 12 + note, beat / 3, slope=1.2, decay=9), 0.16)
            if step % 4 == 0:
                strings.add(at, strings.tone(key + 24 + note, 4 * beat, slope=1.1, attack=0.15), 0.12)
    strings.reverberate(1.2, 0.5)
    score.out += strings.filtered(300, 7000)


def _metal(score: Score) -> None:
    beat = 60 / score.rng.uniform(150, 175)
    root = int(score.rng.integers(38, 42))  # around the low E
    riff = score.rng.choice([0, 0, 0, 1, 3, 5, 6], 8)
    guitars = score.layer()
    for step in range(int(score.seconds / beat * 4) + 1):  # sixteenths
        at, bar = step * beat / 4, step // 16
        if step % 16 == 12 or (step % 16 == 0 and bar % 2 == 0):
            for interval in (0, 7, 12):  # an open power chord
                guitars.add(at, guitars.tone(root + int(riff[bar % 8]) + interval, beat, slope=0.9, decay=1.0), 1.0)
        elif step % 4 != 1 and step % 16 < 12 and (bar % 2 or step % 16 >= 4):
            for interval in (0, 7):  # a gallop, palm-muted
                note = root + (int(riff[step // 2 % 8]) if bar % 4 == 3 else 0) + interval
                guitars.add(at, guitars.tone(note, beat / 4, slope=0.9, decay=14), 1.0)
        if step % 2 == 0 or bar % 2:
            score.add(at, score.kick(), 0.6)
        if step % 8 == 4:
            score.add(at, score.snare(), 1.1)
        if step % 4 == 0:
            score.add(at, score.noise(0.5, 4000, 14000, 7), 0.28)
    guitars.out = np.tanh(8.0 * guitars.filtered(250, 5000))  # the amplifier
    score.out += 1.2 * guitars.filtered(120, 5500)  # its loudspeaker


def _classical(score: Score) -> None:
    beat = 60 / score.rng.uniform(66, 80)
    key = int(score.rng.integers(57, 64))
    chords = [
        (0, 4, 7, 12, 16),
        (0, 2, 9, 14, 17),
        (-1, 2, 7, 14, 17),
        (0, 4, 7, 12, 16),
        (0, 4, 9, 16, 21),
        (-3, 4, 9, 12, 16),
    ]
    strings = score.layer()
    at, step = 0.0, 0
    while at < score.seconds:
        chord = chords[step // 16 % len(chords)]
        swell = 0.7 + 0.3 * np.sin(2 * np.pi * step / 32)  # phrases come and go
        note = chord[(0, 1, 2, 3, 4, 2, 3, 4)[step % 8]]
        score.add(at, score.tone(key + note, 1.6, slope=1.7, decay=1.6), 0.5 * swell)
        if step % 8 == 0:
            score.add(at, score.tone(key + chord[0] - 12, 2.2, slope=1.6, decay=1.2), 0.55 * swell)
        if step % 16 == 0:
            for voice in (chord[0] - 12, chord[2], chord[4]):
                strings.add(at, strings.tone(key + voice, 4.3 * beat, slope=1.3, attack=0.7), 0.07)
        at += beat / 4 * (1.0 + 0.06 * np.sin(2 * np.pi * step / 16))  # rubato
        step += 1
    score.out += strings.filtered(120, 4000)
    score.reverberate(1.8, 0.5)


def _blues(score: Score) -> None:
    beat = 60 / score.rng.uniform(92, 108)
    key = int(score.rng.integers(40, 46))
    form = (0, 5, 0, 0, 5, 5, 0, 0, 7, 5, 0, 7)
    scale = (0, 3, 5, 6, 7, 10, 12, 15)
    place = 4
    for step in range(int(score.seconds / beat) + 1):
        root = key + form[step // 4 % 12]
        for at, boogie in ((step * beat, (0, 4, 7, 9)), ((step + 2 / 3) * beat, (0, 4, 7, 10))):  # the shuffle's long and short
            score.add(at, score.tone(root - 12 + boogie[step % 4], 0.6 * beat, slope=1.5, decay=5), 0.6)
            score.add(at, score.hat(), 0.35)
            for interval in (0, 7 if step % 2 else 9):
                score.add(at, score.pluck(root + interval, 0.5 * beat), 0.25)
            if step % 8 > 2 and score.rng.random() < 0.75:
                place = int(np.clip(place + score.rng.integers(-2, 3), 0, len(scale) - 1))
                score.add(at, score.pluck(key + 24 + scale[place], 1.2 * beat), 0.6)
        score.add(step * beat, score.snare() if step % 2 else score.kick(), 0.55 if step % 2 else 0.8)
    score.out = np.tanh(1.2 * score.out)  # a small valve amplifier
    score.reverberate(0.5, 0.2)


def _reggae(score: Score) -> None:
    beat = 60 / score.rng.uniform(70, 80)
    key = int(score.rng.integers(45, 51))
    chords = [(0, 3, 7), (5, 8, 12), (0, 3, 7), (-2, 2, 5)]
    lines = ((0.0, 0), (0.75, 0), (1.5, 7), (2.0, 3), (3.0, 0), (3.5, -5))  # beats and semitones of the bass
    skank = score.layer()
    for bar in range(int(score.seconds / beat / 4) + 1):
        start, chord = 4 * bar * beat, chords[bar % 4]
        for position, interval in lines:
            score.add(
                start + position * beat, score.tone(key - 12 + chord[0] + interval, 0.55 * beat, slope=2.2, decay=2), 0.65
            )
        score.add(start + 2 * beat, score.kick(), 1.0)  # the one drop: nothing on the one, all on the three
        score.add(start + 2 * beat, score.snare(), 0.6)
        for eighth in range(8):
            score.add(
                start + (eighth + 0.08 * (eighth % 2)) * beat / 2, score.hat(open_=eighth == 7), 0.25 + 0.1 * (eighth % 2)
            )
            for note in chord:
                if eighth % 2:  # guitar and piano chop on the off-beat
                    skank.add(start + eighth * beat / 2, skank.tone(key + 12 + note, 0.16, slope=0.9, decay=12), 0.6)
                score.add(start + (eighth + 0.5) * beat / 2, score.tone(key + note, 0.12, slope=2, decay=4), 0.08)  # organ
    echo = np.zeros_like(skank.out)
    delay = round(0.75 * beat * score.rate)
    echo[delay:] = 0.3 * skank.out[:-delay] if delay < len(echo) else 0.0
    skank.out += echo
    score.out += skank.filtered(400, 5000)


_STYLES: dict[str, Callable[[Score], None]] = {
    "blues": _blues,
    "classical": _classical,
    "disco": _disco,
    "metal": _metal,
    "reggae": _reggae,
}
STYLES = tuple(_STYLES)


def music(style: str, seconds: float = 12.0, sample_rate: int = 22050, seed: int = 0) -> NDArray[np.float32]:
    """Synthesise a short piece.

    Parameters
    ----------
    style : str
        One of `STYLES`.
    seconds : float
    sample_rate : int
        Hz.
    seed : int
        Chooses key, tempo, melody and levels.

    Returns
    -------
    numpy.ndarray, float32 [n]
        Mono, about -16 dBFS RMS, peaks under 0.9.

    Raises
    ------
    ValueError
        For an unknown style.
    """
    if style not in _STYLES:
        raise ValueError(f"there is no style {style!r}; choose one of: {', '.join(STYLES)}")
    score = Score(seconds, sample_rate, seed)
    _STYLES[style](score)
    return finished(score)


def finished(score: Score) -> NDArray[np.float32]:
    """Return the samples of a score at about -16 dBFS RMS, limited softly under 0.9, with a fade at the end."""
    samples = score.out * (_RMS / max(1e-9, float(np.sqrt(np.mean(score.out**2)))))
    samples = _CEILING * np.tanh(samples / _CEILING)
    fade = min(len(samples), round(0.4 * score.rate))
    samples[len(samples) - fade :] *= np.linspace(1.0, 0.0, fade)
    return samples.astype(np.float32)
