"""Streams for Live's tests: samples played to a listener, and pieces as they reach the server."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from genre_app.ui.live.listener import Listener

RATE = 22050


def play(listener: Listener, samples: np.ndarray, rate: int = RATE) -> None:
    """Give a listener the samples second by second."""
    for start in range(0, len(samples), rate):
        listener.add(samples[start : start + rate], rate)


def piece(folder: Path, samples: np.ndarray, rate: int = RATE) -> str:
    """Write one piece of a stream as gradio does: a file in a folder that is named after its content."""
    path = folder / f"{abs(hash(samples.tobytes()))}" / "audio.wav"
    path.parent.mkdir(exist_ok=True)
    soundfile.write(path, samples, rate, subtype="PCM_16")
    return str(path)
