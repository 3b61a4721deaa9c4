"""Two genres told apart by their beat, and settings with which a network learns them within seconds."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import torch

from genre_app.data.cache.mel_cache import MelCache
from genre_app.data.dataset import MelDataset
from genre_app.features import COLUMN_FIELDS, FeatureSpec
from genre_app.training import TrainConfig, fit

SPEC = FeatureSpec(n_mels=32, segment_seconds=2.0, segment_hop_seconds=1.0)
CPU = torch.device("cpu")
CONFIG = TrainConfig(
    model_settings={"channels": [8, 16], "pools": [[4, 2], [4, 4]], "dropout": 0.1},
    spec=SPEC,
    epochs=6,
    segments_per_track=3,
    batch_size=16,
    learning_rate=0.01,
    average_decay=0.9,
    validate_every=2,
    augment={
        "mild_share": 0.5,
        "mild": {"coloured_noise_probability": 0.5, "pitch_probability": 0.5, "equaliser_probability": 0.5},
        "mask_probability": 0.3,
        "mask_bins": 4,
        "mask_frames": 4,
        "mixup_probability": 0.5,
    },
)


def write_cache(folder: Path) -> Path:
    """Write a mel cache of 40 tracks, told apart by their beat alone, not by level or spectrum: every 4 frames or every 6."""
    rng = np.random.default_rng(0)
    stated = {"kind": "log_mel"} | {name: getattr(SPEC, name) for name in COLUMN_FIELDS}
    (folder / "spec.json").write_text(json.dumps(stated))
    columns = []
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["track_id", "genre", "split", "offset", "n_frames"])
        for i in range(40):
            genre = i % 2
            writer.writerow([f"t{i:02}", ["four", "six"][genre], "valid" if i >= 28 else "train", i * 120, 120])
            beat = -3.0 * ((np.arange(120) + rng.integers(12)) % (4, 6)[genre])
            spectrum = rng.normal(-40, 8, 32) + rng.uniform(-15, 15)
            columns.append(spectrum[None, :] + beat[:, None] + rng.normal(0, 1.5, (120, 32)))
    np.save(folder / "log_mel.npy", np.concatenate(columns).astype(np.float16))
    return folder


def datasets(cache: MelCache, valid_from: int = 28) -> list[MelDataset]:
    """Return what is trained on, and the tracks from a place on."""
    tracks = list(cache.tracks)
    return [MelDataset.from_cache(cache, part, ["four", "six"], SPEC, CPU) for part in (tracks[:28], tracks[valid_from:])]


def run_all(cache: MelCache, **changes):
    """Train with changed settings, and return all epochs' results."""
    return list(fit(CONFIG.model_copy(update={"keep": "last", **changes}), *datasets(cache), device=CPU))
