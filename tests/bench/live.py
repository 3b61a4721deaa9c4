"""How much work a second of live listening is, and what an hour of it holds: python -m tests.bench.live [--minutes 60].

One thread, the default checkpoint, synthesised music in stereo at 44.1 kHz, each second as the file that a browser sends, up to
the HTML that goes back. What gradio and the network do with it is not in it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import soundfile
import torch

from genre_app.audio.synth import STYLES, music
from genre_app.ui.live import tab as live

_RATE = 44100
_SETTLED = 120  # seconds, after which nothing may grow


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    minutes = parser.parse_args().minutes
    torch.set_num_threads(1)
    pieces = [np.stack([music(style, 30.0, _RATE, seed)] * 2, axis=1) for seed, style in enumerate(STYLES)]
    song = np.concatenate(pieces)
    process = psutil.Process(os.getpid())
    session, _ = live.begin(["default"], "mean", None)
    assert session is not None
    work: list[float] = []
    settled = last = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for second in range(round(60 * minutes)):
            path = Path(folder) / str(second) / "audio.wav"
            path.parent.mkdir()
            start = second * _RATE % len(song)
            soundfile.write(path, song[start : start + _RATE], _RATE, subtype="PCM_16")
            begun = time.thread_time()
            _, figure, _ = live.listen(str(path), session)
            work.append(1000 * (time.thread_time() - begun))
            last = process.memory_info().rss / 1e6
            if second == min(_SETTLED, round(60 * minutes) - 1):
                settled = last
    steady = work[min(len(work) - 1, 40) :]
    print(f"work per second of audio      median {statistics.median(steady):6.1f} ms, longest {max(steady):.1f} (at most 500)")
    print(f"HTML of the picture           {len(figure) / 1000:6.0f} kB")
    print(f"memory after {_SETTLED / 60:.0f} min           {settled:6.0f} MB, the whole process")
    print(f"memory after {minutes:g} min          {last:6.0f} MB, {last - settled:+.1f} MB")


if __name__ == "__main__":
    main()
