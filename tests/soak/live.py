"""Listen to many visitors at once, with hostile pieces between the others: memory stays constant, no file is left.

python -m tests.soak.live --seconds 60 --seed 0
python -m tests.soak.live --seconds 200 --speed 20 --visitors 1 --checkpoint fast

With ``--speed``, each stream runs that many times faster than its sound, or as fast as this machine can.
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
_TAIL_MB = 20.0  # growth of the memory in the second half that is no leak
_WARM_SHARE = 0.5  # of the time; after it, the memory should be constant


class Result(NamedTuple):
    """What was processed, and what grew in the second half of the time."""

    seconds: int
    hostile: int
    grown_mb: float
    left_open: int
    files_left: int
    speed: float


def soak(seconds: float, seed: int, speed: float = 0.0, visitors: int = _VISITORS, checkpoint: str = "default") -> Result:
    """Send a second of each visitor's stream a round, one of ten mutated, until the time is over.

    With ``speed``, rounds begin at most that often a second.
    """
    songs = [music(style, 30.0, _RATE, seed) for style in STYLES[:visitors]]
    sessions = [live.begin([checkpoint], "mean", None)[0] for _ in songs]
    n_heard = hostile = 0
    began = time.monotonic()
    before, files, warm_at = memory_mb(), open_files(), began + _WARM_SHARE * seconds
    with tempfile.TemporaryDirectory() as folder:
        for number in rounds(seconds):
            if speed:
                time.sleep(max(0.0, began + number / speed - time.monotonic()))
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
        reached = n_heard / len(songs) / (time.monotonic() - began)
        for session in sessions:
            live.end(session)
        n_left = sum(path.is_file() for path in Path(folder).rglob("*"))
    return Result(n_heard, hostile, grown, left, n_left, reached)


if __name__ == "__main__":
    given = arguments(
        __doc__,
        speed=(0.0, "seconds of sound a second in each stream, such as 20; 0: as fast as it goes"),
        visitors=(_VISITORS, "streams at once"),
        checkpoint=("default", "fast takes a quarter of the time"),
    )
    torch.set_num_threads(1)
    found = soak(given.seconds, given.seed, given.speed, given.visitors, given.checkpoint)
    print(
        f"{found.seconds} s in {given.visitors} streams at {found.speed:.1f} times speed, {found.hostile} mutated pieces; "
        f"in the second half of the time, memory {found.grown_mb:+.0f} MB, {found.left_open} files left open; "
        f"{found.files_left} pieces left on the disk"
    )
    raise SystemExit(found.grown_mb > _TAIL_MB or found.left_open > 0)
