"""How near the imitated noise suppression is to a browser's, in the takes of `tests.record_clips` in its mode "default".

python -m tests.suppressor FOLDER TAKES

Of each track, what the browser did to it in dB, band by band and frame by frame, is compared with what the imitations do to the
same file: by their correlation, by their spread, and by the share of it that all bands have in common.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genre_app.augment.config import RecordingConfig
from genre_app.augment.logmel_ops import recorder as logmel
from genre_app.augment.logmel_ops.scale import uniform
from genre_app.augment.waveform_ops import recorder as waveform
from genre_app.data.sources.folder import AudioFolder
from genre_app.evaluation.evaluate import load_middle
from genre_app.features import FeatureSpec, extract

SECONDS = 12.0
SPARE_SECONDS = 0.1  # by which a take may lag
STEP_SECONDS = 0.005
SPEC = FeatureSpec(segment_seconds=SECONDS, segment_hop_seconds=SECONDS)
BANDS = slice(2, 112)  # 50 Hz to 8 kHz: under them browsers filter, over them some files have nothing
FRAMES = slice(3, -3)
SETTINGS = ("depth", "excess", "wander", "scatter")


def log_mel(samples: np.ndarray) -> Tensor:
    """Return the columns [n_mels, frames] of so many seconds of samples, zeros behind them."""
    padded = np.zeros(round(SECONDS * SPEC.sample_rate), np.float32)
    padded[: len(samples)] = samples[: len(padded)]
    return extract(torch.from_numpy(padded)[None], SPEC)[0]


def aligned(file: np.ndarray, take: Tensor) -> np.ndarray:
    """Return the part of a file's samples, which are longer, that a take is of: where the two differ evenly."""
    length, step = round(SECONDS * SPEC.sample_rate), round(STEP_SECONDS * SPEC.sample_rate)
    parts = [file[start : start + length] for start in range(0, len(file) - length + 1, step)]
    return min(parts, key=lambda part: float((take - log_mel(part))[:, FRAMES].var()))


def described(gain: Tensor, browser: Tensor) -> tuple[float, float, float]:
    """Return correlation with the browser's gain [bands, frames], standard deviation, and share that bands have in common."""
    gain, browser = gain[BANDS, FRAMES], browser[BANDS, FRAMES]
    correlation = float(torch.corrcoef(torch.stack([gain.flatten(), browser.flatten()]))[0, 1])
    return correlation, float(gain.std()), float(gain.mean(dim=0).var() / gain.var())


def main(folder: str, takes: str) -> None:
    """Print a row each for the browser and its imitations."""
    generator = torch.Generator().manual_seed(0)
    chain = RecordingConfig()
    ranges = [getattr(chain, f"suppress_{name}_db") for name in SETTINGS]
    files = {Path(track.track_id).with_suffix(""): track for track in AudioFolder.open(folder).tracks}
    rows: dict[str, list[tuple[float, float, float]]] = {"browser": [], "waveform": [], "log-mel": []}
    for number, of_take in enumerate(AudioFolder.open(takes).tracks):
        take = log_mel(load_middle(of_take, SPEC.sample_rate, None).samples)
        longer = SECONDS + 2 * SPARE_SECONDS
        samples = aligned(load_middle(files[Path(of_take.track_id).with_suffix("")], SPEC.sample_rate, longer).samples, take)
        file = log_mel(samples)
        drawn = [uniform(*bounds, (1,), generator) for bounds in ranges]
        changed = waveform.suppress(samples, SPEC.sample_rate, *map(float, drawn), np.random.default_rng(number))
        imitated = logmel.suppress(file[None], *drawn, SPEC, generator)[0]
        of_browser = partial(described, browser=take - file)
        for name, heard in (("browser", take), ("waveform", log_mel(changed)), ("log-mel", imitated)):
            rows[name].append(of_browser(heard - file))
    print(f"{'':10}{'correlation':>12}{'deviation':>12}{'in common':>11}   of {len(rows['browser'])} tracks")
    for name, values in rows.items():
        correlation, deviation, common = np.mean(values, axis=0)
        print(f"{name:10}{correlation:12.2f}{deviation:9.1f} dB{common:11.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.suppressor", description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="folder of genre folders with the files that were played")
    parser.add_argument("takes", help="folder with the takes of them")
    arguments = parser.parse_args()
    main(arguments.folder, arguments.takes)
