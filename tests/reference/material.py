"""What the outputs are computed from, apart from music; nothing here comes from `genre_app`."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

RATE = 22050
FOLDER = Path(__file__).parent
# Each part of a chain, under the keys that recipes have had for it.
CHAIN_PARTS = (
    *("pitch", "equaliser", "colour", "reverb", "band", "noise", "gaussian", "gain"),
    *("room", "bustle", "suppress", "control", "limit", "clip", "code", "floor"),
)
WAVEFORM_PARTS = (
    *("pitch", "stretch", "snr", "noise", "gain", "codec", "clip"),
    *("room", "response", "colour", "suppress", "control", "limit"),
)
CONDITIONS = "white-20,babble-20,room-living,telephone,mp3-32,speed-0.9,phone-in-room"
# Two epochs of each take about a second. With precision=auto, processors would differ.
RECIPES = {
    "default": ("segments_per_track=8", "batch_size=16", "precision=bfloat16"),
    "lstm": ("segments_per_track=8", "batch_size=16", "precision=bfloat16"),
    "glenn-cnn": ("batch_size=8",),
}


def noise(seconds: float) -> np.ndarray:
    """Return white noise with an RMS of 0.1, float32 [n]."""
    return np.random.default_rng(7).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)


def write_cache(folder: Path, spec: Any, n_frames: int) -> Path:
    """Write a mel cache of 12 tracks, 8 of them to train on; their genres, blues and metal, are told apart by the beat."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    (folder / "spec.json").write_text(spec.model_dump_json(), encoding="utf-8")
    columns = []
    with (folder / "index.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["track_id", "genre", "split", "offset", "n_frames"])
        for i in range(12):
            genre, beat = (("blues", 4), ("metal", 6))[i % 2]
            writer.writerow([f"t{i:02}", genre, "valid" if i >= 8 else "train", i * n_frames, n_frames])
            struck = -3.0 * ((np.arange(n_frames) + rng.integers(12)) % beat)
            spectrum = rng.normal(-30, 8, spec.n_mels) + rng.uniform(-15, 15)
            columns.append(spectrum[None, :] + struck[:, None] + rng.normal(0, 1.5, (n_frames, spec.n_mels)))
    np.save(folder / "log_mel.npy", np.concatenate(columns).astype(np.float16))
    return folder
