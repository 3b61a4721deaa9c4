"""Listen to many visitors at once, with hostile pieces between the others: memory stays constant, no file is left.

python -m tests.soak.live --seconds 60 --seed 0
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import torch

from genre_app.audio.synth import STYLES, music
from genre_app.ui.live import tab as live
from tests.soak.core import arguments, memory_mb, open_files, rounds
from tests.soak.files import mutate

_RATE = 22050
_VISITORS = 2
_WARM_SHARE = 0.5  # of the time; after it, the memory should be constant


class Result(NamedTuple):
    """What was processed, and what grew in the second half of the time."""

    seconds: int
    hostile: int
    grown_mb: float
    left_open: int
    files_left: int


def soak(seconds: float, seed: int) -> Result:
    """Send a second of each visitor's stream a round, one of ten mutated, until the time is over."""
    songs = [music(style, 30.0, _RATE, seed) for style in STYLES[:_VISITORS]]
    sessions = [live.begin(["default"], "mean", None)[0] for _ in songs]
    n_heard = hostile = 0
    before, files, warm_at = memory_mb(), open_files(), time.monotonic() + _WARM_SHARE * seconds
    with tempfile.TemporaryDirectory() as folder:
        for number in rounds(seconds):
            random = np.random.default_rng((seed, number))
            for visitor, (song, session) in enumerate(zip(songs, sessions, strict=True)):
                path = Path(folder) / f"{visitor}-{number}" / "audio.wav"
                path.parent.mkdir()
                start = number % 30 * _RATE
                soundfile.write(path, np.clip(song[start : start + _RATE], -1, 1), _RATE)
                if random.random() < 0.1:
                    path.write_bytes(mutate(path.read_bytes(), random))
                    hostile += 1
                live.listen(str(path), session)
                n_heard += 1
            if time.monotonic() < warm_at:
                before, files = memory_mb(), open_files()
        grown, left = memory_mb() - before, open_files() - files
        for session in sessions:
            live.end(session)
        n_left = sum(path.is_file() for path in Path(folder).rglob("*"))
    return Result(n_heard, hostile, grown, left, n_left)


if __name__ == "__main__":
    given = arguments(__doc__)
    torch.set_num_threads(1)
    found = soak(given.seconds, given.seed)
    print(
        f"{found.seconds} s in {_VISITORS} streams, {found.hostile} mutated pieces; in the second half of the time, "
        f"memory {found.grown_mb:+.0f} MB, {found.left_open} files left open; {found.files_left} pieces left on the disk"
    )
