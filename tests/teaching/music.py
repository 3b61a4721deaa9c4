"""Sounds of three kinds that a network with random weights can tell apart, and folders of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

RATE = 22050


def sound(kind: str, seed: int, seconds: float = 4.0) -> np.ndarray:
    """Low chords, high chords or clicks, other ones for each seed."""
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    if kind == "clicks":
        samples = random.normal(0, 0.3, len(time)) * (time * random.uniform(3, 5) % 1 < 0.05)
    else:
        low, high = (80, 400) if kind == "low" else (2000, 6000)
        samples = sum(0.1 * np.sin(2 * np.pi * hz * time) for hz in random.uniform(low, high, 4))
        samples = samples * (1 + 0.5 * np.sin(2 * np.pi * random.uniform(1, 4) * time))
    return (samples + random.normal(0, 1e-3, len(time))).astype(np.float32)


def fill(folder: Path, n: int = 3, kinds: tuple[str, ...] = ("low", "high", "clicks")) -> Path:
    for kind in kinds:
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for seed in range(n):
            soundfile.write(folder / kind / f"{kind}{seed}.wav", sound(kind, seed + 100 * kinds.index(kind)), RATE)
    return folder
