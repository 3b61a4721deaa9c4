"""The examples on the page: computed pieces of music that the default checkpoint classifies as labelled.

They have what the smaller pieces of `genre_app.audio.synth` lack: voices, and layers mixed at stated levels and mastered with a
tilted spectrum. The levels were found with the default checkpoint by random search around a plausible mix.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import scipy
from numpy.typing import NDArray

from genre_app.audio.score import Score, Sound
from genre_app.audio.synth import music, play

# Formants of English vowels: frequency in Hz and level of each (Peterson and Barney, 1952, men).
_VOWELS = (
    ((730, 1.0), (1090, 0.6), (2440, 0.3)),
    ((530, 1.0), (1840, 0.5), (2480, 0.3)),
    ((270, 1.0), (2290, 0.4), (3010, 0.3)),
    ((570, 1.0), (840, 0.7), (2410, 0.2)),
    ((440, 1.0), (1020, 0.6), (2240, 0.2)),
)


def _syllable(score: Score, midi: float, seconds: float) -> Sound:
    """Return a sung or spoken vowel: a sawtooth through the resonances of the mouth."""
    time = score.time(seconds)
    hz = 440 * 2 ** ((midi - 69) / 12) * (1 + 0.03 * np.sin(2 * np.pi * 3 * time) - 0.08 * time / seconds)
    breath = 0.05 * score.rng.standard_normal(len(time))
    glottis = scipy.signal.sawtooth(2 * np.pi * np.cumsum(hz) / score.rate) + breath
    vowel = _VOWELS[int(score.rng.integers(len(_VOWELS)))]
    sound = sum(
        level * scipy.signal.lfilter(*scipy.signal.iirpeak(formant, 6, fs=score.rate), glottis) for formant, level in vowel
    )
    return np.asarray(sound) * np.minimum(1.0, time / 0.02) * np.minimum(1.0, (seconds - time) / 0.03)


def _mix(score: Score, tilt_db: float, *layers: tuple[Score, float]) -> None:
    """Add layers to a score, each at its level in dB, and tilt the spectrum by ``tilt_db`` an octave."""
    for layer, level_db in layers:
        rms = np.sqrt(np.mean(layer.out**2)) + 1e-9
        score.out += 10 ** (level_db / 20) / rms * layer.out
    spectrum = np.fft.rfft(score.out)
    # Nothing is lowered further under 60 Hz, or raised further over 11 kHz.
    octaves = np.log2(np.clip(np.fft.rfftfreq(len(score.out), 1 / score.rate), 60, 11000) / 1000)
    score.out = np.fft.irfft(spectrum * 10 ** (tilt_db * octaves / 20), len(score.out))


def _hiphop(score: Score) -> None:
    beat = 60 / 95
    drums, hats, bass, keys, voice = (score.layer() for _ in range(5))
    roots = (0, 0, 3, -2)
    for step in range(int(score.seconds / beat * 4) + 1):  # sixteenths, every other one late
        at, place, root = (step + 0.12 * (step % 2)) * beat / 4, step % 16, roots[step // 16 % 4]
        if place in (0, 7, 10):
            drums.add(at, drums.kick(), 1.0)
            bass.add(at, bass.tone(33 + root, 0.9 * beat, slope=2.5, decay=2), 0.8)
        if place in (4, 12):
            drums.add(at, drums.snare(), 0.9)
        if step % 2 == 0:
            hats.add(at, hats.hat(open_=place == 14), 0.4)
        if place in (0, 6):
            for note in (0, 3, 7, 10):
                keys.add(at, keys.tone(57 + root + note, 1.2 * beat, slope=1.6, decay=2.5), 0.25)
        if score.rng.random() < 0.8:  # rap: a syllable on most sixteenths, some with a consonant
            voice.add(at, _syllable(voice, 52 + int(score.rng.integers(-2, 3)), 0.9 * beat / 4), 1.0)
            if score.rng.random() < 0.5:
                voice.add(at, voice.noise(0.05, 2500, 9000, 40), 0.5)
    _mix(score, 1.9, (drums, 9), (hats, -8), (bass, 2), (keys, -16), (voice, -8))


def _disco(score: Score) -> None:
    beat = 60 / 123
    chords = ((0, 3, 7, 10), (5, 8, 12, 15), (10, 14, 17, 20), (3, 7, 10, 14))
    drums, hats, bass, guitar, strings, voice = (score.layer() for _ in range(6))
    for step in range(int(score.seconds / beat * 4) + 1):
        at, place, chord = step * beat / 4, step % 16, chords[step // 16 % 4]
        off_beat = place % 4 == 2
        if place % 4 == 0:
            drums.add(at, drums.kick(), 1.0)
        if place % 8 == 4:
            drums.add(at, drums.snare(), 0.8)
        hats.add(at, hats.hat(open_=off_beat), 0.7 if off_beat else 0.35)
        if place % 2 == 0:  # octaves
            bass.add(at, bass.tone(33 + chord[0] + 12 * off_beat, 0.45 * beat, slope=1.4, decay=5), 0.8)
        if place in (0, 3, 6, 8, 11, 14):
            for note in chord[1:]:
                guitar.add(at, guitar.pluck(57 + note, 0.9 * beat / 4), 0.4)
        if place == 0:
            for note in chord:
                strings.add(at, strings.tone(69 + note, 4 * beat, slope=1.0, attack=0.1), 0.2)
        if off_beat:
            voice.add(at, _syllable(voice, 52 + chord[int(score.rng.integers(4))], 0.7 * beat), 1.0)
    strings.reverberate(1.2, 0.4)
    voice.reverberate(0.8, 0.3)
    _mix(score, 2.3, (drums, 1), (hats, -1), (bass, -7), (guitar, 2), (strings, -1), (voice, -4))


DEMOS: dict[str, Callable[[float, int], NDArray[np.float32]]] = {
    "classical": partial(music, "classical"),
    "disco": partial(play, _disco),
    "hiphop": partial(play, _hiphop),
    "reggae": partial(music, "reggae"),
}
"""By genre: a function of seconds and sample rate in Hz that returns samples, float32 [n]."""
