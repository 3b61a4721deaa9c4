"""Files of a tone, for the tests of collections."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile


def tone(seconds: float, hz: float = 440.0, rate: int = 22050) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def song(folder: Path, name: str, seconds: float = 3.0, hz: float = 440.0, rate: int = 22050) -> Path:
    path = folder / name
    soundfile.write(path, tone(seconds, hz, rate), rate)
    return path
