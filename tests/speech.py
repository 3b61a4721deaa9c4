"""Fit and measure the rule that tells speech from music.

python -m tests.speech --music FOLDER... [--speech FOLDER...] [--rooms FOLDER] [--noise FOLDER]

It needs espeak-ng, whose 200 clips of 10 to 15 s are the synthetic speech. Each folder of ``--speech`` and its subfolders hold
recorded speech, a subfolder for each speaker or language. Music is cut into clips of 10 s; a shorter
file is repeated. The rule is fitted on every clip in
four conditions: as it is, with noise 20 and 10 dB below it, and in a room. It is measured on one condition a clip: a third
each as it is, with noise, and in a room.

The rule is tested on sources that it was not fitted on, in ten parts: whole files of music, whole speakers, and languages and
voices of espeak-ng of which neither is in the other nine parts. The threshold lets 0.5 % of the pieces of music pass for
speech, in a cross-validation within the nine parts. A clip is rejected if all its pieces are speech. The last lines are the
rule fitted on everything.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from scipy.signal import oaconvolve
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from genre_app.audio import load_clip, sound_files
from genre_app.audio.sounds import read_sound
from genre_app.augment.waveform_ops.rooms import drawn_response, read_response
from genre_app.evaluation.conditions.level import add_noise, with_power_of
from genre_app.evaluation.conditions.noise import pink
from genre_app.evaluation.metrics import wilson_interval
from genre_app.features.content import PIECE_SECONDS
from genre_app.features.speech import MIN_SECONDS, speech_features
from tests.espeak import Speaker, languages, speak, voices

RATE = 22050  # Hz
FALSE_ALARMS = 0.005
PARTS = 10
N_SPOKEN = 200
SPOKEN_SECONDS = (10.0, 15.0)
CONDITIONS = ("as it is", "noise at 20 dB", "noise at 10 dB", "in a room")
REPORT = {"as it is": (0,), "noise at 20 or 10 dB": (1, 2), "in a room": (3,), "a third each": (0, 1, 2, 3)}
REPORTED = (0, 1, 3, 0, 2, 3)  # conditions of successive clips in the report: a third each
ROOM_SECONDS, ROOM_DIRECT_DB, ROOM_NOISE_DB = (0.25, 1.1), (-10.0, 6.0), (20.0, 40.0)


@dataclass(frozen=True)
class Source:
    """A clip before its condition; sources of one group are in the same part."""

    kind: str
    group: str
    samples: np.ndarray


@dataclass(frozen=True)
class Row:
    """Features of the pieces of a clip in a condition."""

    source: Source
    condition: int
    reported: bool
    pieces: list[np.ndarray]


def spoken(random: np.random.Generator) -> Iterator[Source]:
    """Yield clips of espeak-ng; part k has its own languages and its own voices."""
    names, sounds = random.permutation(languages()), random.permutation(voices())
    for number in range(N_SPOKEN):
        part, turn = number % PARTS, number // PARTS
        own, kinds = names[part::PARTS], sounds[part::PARTS]
        # If this language fails with this voice, the next language speaks.
        for language in np.roll(own, -turn):
            samples, rate = speak(Speaker(language, kinds[turn % len(kinds)]), random.uniform(*SPOKEN_SECONDS), random)
            if len(samples) >= PIECE_SECONDS * rate:
                break
        yield Source("espeak-ng", f"espeak-ng {part}", soxr.resample(samples, rate, RATE))


def recorded(folder: Path, kind: str) -> Iterator[Source]:
    for file in sound_files(folder, "FOLDER", "audio files"):
        samples = load_clip(file, sample_rate=RATE).samples
        if kind != "music":
            yield Source(kind, str(file.parent), samples)
            continue
        width = round(PIECE_SECONDS * RATE)
        for start in range(0, max(1, len(samples) - width + 1), width):
            yield Source(kind, str(file), np.resize(samples[start : start + width], width))


def conditioned(samples: np.ndarray, condition: int, rooms: list, noises: list, random: np.random.Generator) -> np.ndarray:
    snr_db = (None, 20.0, 10.0, random.uniform(*ROOM_NOISE_DB))[condition]
    if condition == 3:
        response = rooms[random.integers(len(rooms))]
        samples = with_power_of(oaconvolve(samples, response)[: len(samples)], samples)
    if snr_db is None:
        return samples
    if noises and random.random() < 0.5:
        noise = np.resize(noises[random.integers(len(noises))], len(samples))
    else:
        noise = pink(len(samples), RATE, random)
    return add_noise(samples, noise, snr_db)


def features(samples: np.ndarray) -> list[np.ndarray]:
    """Return features of the pieces that `ContentDetector` would judge."""
    width = round(PIECE_SECONDS * RATE)
    parts = [samples[start : start + width] for start in range(0, len(samples), width)]
    found = [speech_features(part, RATE) for part in parts if len(part) >= MIN_SECONDS * RATE]
    return [piece for piece in found if piece is not None]


def fitted(rows: list[Row]) -> tuple[Pipeline, float]:
    """Fit the rule, and return it with its threshold."""
    x = np.array([piece for row in rows for piece in row.pieces])
    y = np.array([row.source.kind != "music" for row in rows for _ in row.pieces])
    groups = [row.source.group for row in rows for _ in row.pieces]
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", C=0.3, max_iter=2000))
    scores = cross_val_predict(model, x, y, cv=GroupKFold(5), groups=groups, method="decision_function")
    return model.fit(x, y), float(np.quantile(scores[~y], 1 - FALSE_ALARMS))


def rejected(rows: list[Row]) -> np.ndarray:
    """Return for each row whether a rule that does not know its group rejects it."""
    answers = np.zeros(len(rows), bool)
    groups = [row.source.group for row in rows]
    for known, new in GroupKFold(PARTS, shuffle=True, random_state=0).split(rows, groups=groups):
        model, threshold = fitted([rows[index] for index in known])
        for index in new:
            pieces = rows[index].pieces
            answers[index] = bool(pieces) and bool((model.decision_function(pieces) > threshold).all())
    return answers


def report(rows: list[Row]) -> None:
    answers = rejected(rows)
    print("| clips | condition | rejected |\n|---|---|---|")
    for kind in sorted({row.source.kind for row in rows}):
        for name, wanted in REPORT.items():
            mask = [row.source.kind == kind and row.condition in wanted and row.reported for row in rows]
            _print_line(kind, name, answers[mask])
        _print_line(kind, "each clip in all four", answers[[row.source.kind == kind for row in rows]])
    missed = [row for row, answer in zip(rows, answers, strict=True) if answer and row.source.kind == "music"]
    for row in missed:
        print(f"rejected: {row.source.group}, {CONDITIONS[row.condition]}")


def _print_line(kind: str, name: str, chosen: np.ndarray) -> None:
    low, high = wilson_interval(int(chosen.sum()), len(chosen))
    print(f"| {kind} | {name} | {chosen.sum()} of {len(chosen)}, {chosen.mean():.1%} ({low:.1%} to {high:.1%}) |")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.speech", description="Fit and measure the rule for speech.")
    parser.add_argument("--music", type=Path, nargs="+", required=True)
    parser.add_argument("--speech", type=Path, nargs="*", default=[], help="recorded speech")
    parser.add_argument("--rooms", type=Path, help="impulse responses, besides simulated ones")
    parser.add_argument("--noise", type=Path, help="noises, besides pink noise")
    arguments = parser.parse_args()
    random = np.random.default_rng(0)
    rooms = [drawn_response(RATE, random.uniform(*ROOM_DIRECT_DB), random.uniform(*ROOM_SECONDS), random) for _ in range(20)]
    if arguments.rooms:
        rooms += [read_response(file, RATE) for file in sound_files(arguments.rooms, "--rooms", "rooms")]
    noises = [read_sound(file, RATE) for file in sound_files(arguments.noise, "--noise", "noises")] if arguments.noise else []
    sources = list(spoken(random))
    for kind, folders in (("music", arguments.music), ("recorded speech", arguments.speech)):
        sources += [source for folder in folders for source in recorded(folder, kind)]
    rows = []
    for number, source in enumerate(sources):
        for condition in range(len(CONDITIONS)):
            samples = conditioned(source.samples, condition, rooms, noises, random)
            rows.append(Row(source, condition, REPORTED[number % len(REPORTED)] == condition, features(samples)))
    report(rows)
    model, threshold = fitted(rows)
    scaler, regression = model
    weights = regression.coef_[0] / scaler.scale_
    print("WEIGHTS", " ".join(f"{value:.4g}" for value in weights))
    print(f"BIAS {regression.intercept_[0] - weights @ scaler.mean_ - threshold:.4g}")


if __name__ == "__main__":
    main()
