"""Fit and test the rule that tells speech from music: python -m tests.speech MUSIC SPEECH [--rooms FOLDER].

MUSIC and SPEECH are folders of audio files at any depth. Each file is cut into pieces of 10 s under four conditions: as it
is, with pink noise 30 and 20 dB below it, and in a room (of ``--rooms``, else simulated). A logistic regression is fitted on
nine tenths of the files and tested on the other tenth, ten times. The threshold lets 0.5 % of the pieces of music pass for
speech. The page warns only if all pieces of a clip are speech.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.signal import oaconvolve
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from genre_app.audio import load_clip, sound_files
from genre_app.evaluation.conditions.room import draw_room, impulse_response
from genre_app.evaluation.metrics import wilson_interval
from genre_app.features.content import PIECE_SECONDS
from genre_app.features.noise import power_spectra
from genre_app.features.speech import speech_features

RATE = 22050  # Hz
FALSE_ALARMS = 0.005
CONDITIONS = {
    "as it is": (None, False),
    "noise at 30 dB": (30.0, False),
    "noise at 20 dB": (20.0, False),
    "in a room": (40.0, True),
}


def pink(n: int, random: np.random.Generator) -> np.ndarray:
    spectrum = np.fft.rfft(random.normal(size=n))
    samples = np.fft.irfft(spectrum / np.sqrt(np.maximum(1, np.arange(len(spectrum)))), n)
    return samples / samples.std()


def pieces(path: Path, snr_db: float | None, response: np.ndarray | None, random: np.random.Generator) -> list[np.ndarray]:
    samples = load_clip(path, sample_rate=RATE).samples.astype(np.float64)
    if response is not None:
        samples = oaconvolve(samples, response)[: len(samples)]
    if snr_db is not None:
        samples = samples + pink(len(samples), random) * samples.std() * 10 ** (-snr_db / 20)
    width = round(PIECE_SECONDS * RATE)
    starts = range(0, len(samples) - width + 1, width)
    return [speech_features(power_spectra(samples[start : start + width], RATE), RATE) for start in starts]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.speech", description="Fit and test the rule for speech.")
    parser.add_argument("music", type=Path)
    parser.add_argument("speech", type=Path)
    parser.add_argument("--rooms", type=Path, help="impulse responses; simulated ones by default")
    arguments = parser.parse_args()
    random = np.random.default_rng(0)
    if arguments.rooms:
        responses = [load_clip(file, sample_rate=RATE).samples for file in sound_files(arguments.rooms, "--rooms", "rooms")]
    else:
        rooms = [draw_room(random, t60_seconds=(0.25, 1.1), direct_db=(-12.0, 6.0)) for _ in range(12)]
        responses = [impulse_response(room, RATE, random) for room in rooms]
    rows, labels, files, names = [], [], [], []
    for label, folder in enumerate((arguments.music, arguments.speech)):
        for file in sound_files(folder, "FOLDER", "audio files"):
            for name, (snr_db, in_room) in CONDITIONS.items():
                response = responses[random.integers(len(responses))] if in_room else None
                found = pieces(file, snr_db, response, random)
                rows += found
                labels += [label] * len(found)
                files += [str(file)] * len(found)
                names += [name] * len(found)
    x, y, names = np.array(rows), np.array(labels), np.array(names)
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", C=10.0))
    scores = cross_val_predict(model, x, y, cv=GroupKFold(10), groups=files, method="decision_function")
    threshold = np.quantile(scores[y == 0], 1 - FALSE_ALARMS)
    print("| pieces of 10 s | music taken for speech | speech found |\n|---|---|---|")
    for name in CONDITIONS:
        cells = []
        for label in (0, 1):
            chosen = scores[(names == name) & (y == label)] > threshold
            low, high = wilson_interval(int(chosen.sum()), len(chosen))
            cells.append(f"{chosen.mean():.1%} ({low:.1%} to {high:.1%}, n = {len(chosen)})")
        print(f"| {name} | {' | '.join(cells)} |")
    scaler, regression = model.fit(x, y)
    weights = regression.coef_[0] / scaler.scale_
    bias = regression.intercept_[0] - weights @ scaler.mean_ - threshold
    print(f"WEIGHTS = np.array({[float(f'{value:.4g}') for value in weights]})\nBIAS = {bias:.4g}")


if __name__ == "__main__":
    main()
