"""Synthesise short pieces of music in five styles, for tests and examples; nobody has rights in them.

Each style is a score of notes for a few instruments. A seed chooses key, tempo, loudness of the notes and melody. The same
arguments give the same samples.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from genre_app.audio.score import Score

_RMS = 10.0 ** (-16 / 20)  # -16 dBFS, typical of a commercial recording
_CEILING = 0.9  # highest peak, so that no example clips
_FADE_SECONDS = 0.4


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
    tonic = (0, 4, 7, 12, 16)
    chords = [tonic, (0, 2, 9, 14, 17), (-1, 2, 7, 14, 17), tonic, (0, 4, 9, 16, 21), (-3, 4, 9, 12, 16)]
    strings = score.layer()
    at, step = 0.0, 0
    while at < score.seconds:
        chord = chords[step // 16 % len(chords)]
        swell = 0.7 + 0.3 * np.sin(2 * np.pi * step / 32)  # phrases get louder and softer
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
        for at, boogie in ((step * beat, (0, 4, 7, 9)), ((step + 2 / 3) * beat, (0, 4, 7, 10))):  # shuffle: long, short
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
        score.add(start + 2 * beat, score.kick(), 1.0)  # "one drop": the drums play on beat three only
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


_STYLES = {"blues": _blues, "classical": _classical, "disco": _disco, "metal": _metal, "reggae": _reggae}
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
        Chooses key, tempo, loudness of the notes and melody.

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
    return play(_STYLES[style], seconds, sample_rate, seed)


def play(compose: Callable[[Score], None], seconds: float, sample_rate: int, seed: int = 0) -> NDArray[np.float32]:
    """Return the samples of a composed score at about -16 dBFS RMS, limited softly under 0.9, with a fade at the end."""
    score = Score(seconds, sample_rate, seed)
    compose(score)
    samples = score.out * (_RMS / max(1e-9, float(np.sqrt(np.mean(score.out**2)))))
    samples = _CEILING * np.tanh(samples / _CEILING)
    fade = min(len(samples), round(_FADE_SECONDS * score.rate))
    samples[len(samples) - fade :] *= np.linspace(1.0, 0.0, fade)
    return samples.astype(np.float32)
