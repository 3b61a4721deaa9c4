"""Files per second and CPU seconds per file of a library's engines: python -m tests.bench.library [--files N] [--engines ...].

The files are synthesised MP3 files of 30 s. Starting the workers is left out: each number is that of the files after the first
result. CPU seconds are those of this process and all its descendants, and hardly depend on what else runs on the machine.
Ray gets blocks of one file here, so its cost is an upper bound.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import soundfile
import torch

from genre_app.audio.synth import STYLES, music
from genre_app.checkpoint import load_checkpoint
from genre_app.library import ray_engine
from genre_app.library.catalogue import open_catalogue
from genre_app.library.classify import Job, Task, answer_of, classify_new, local
from genre_app.library.records import Answer
from genre_app.library.scan import scan
from genre_app.progress import Monitor, Progress

_RATE = 44100


def here(tasks: Sequence[Task], job: Job) -> Iterator[tuple[Task, Answer]]:
    """Classify in this process, without workers."""
    return ((task, answer_of(task.path, job.checkpoint)) for task in tasks)


_ENGINES = {"here": here, "local": local, "ray": ray_engine.on_ray}


@dataclass(frozen=True)
class Moment:
    done: int
    seconds: float
    cpu_seconds: float

    @classmethod
    def now(cls, done: int) -> Moment:
        cpu = 0.0
        for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
            try:
                cpu += sum(process.cpu_times()[:2])
            except psutil.NoSuchProcess:
                continue
        return cls(done, time.perf_counter(), cpu)


def synthesise(folder: Path, n_files: int) -> None:
    """Write different files: three pieces, rolled."""
    pieces = [music(style, 30.0, _RATE) for style in STYLES[:3]]  # composing takes longer than the rest
    for index in range(n_files):
        piece = np.roll(pieces[index % len(pieces)], index * 5000)
        soundfile.write(folder / f"{index}.mp3", np.stack([piece, piece], 1), _RATE)


def measure(folder: Path, catalogue: Path, engine: str, name: str, processes: int) -> tuple[float, float]:
    """Return files per second and CPU seconds per file."""
    moments: list[Moment] = []

    def note(progress: Progress) -> None:
        if not moments or progress.done == progress.total:
            moments.append(Moment.now(progress.done))

    with open_catalogue(catalogue, folder) as opened:
        scan(folder, opened)
        options = {"engine": _ENGINES[engine], "processes": processes, "monitor": Monitor(note)}
        found = classify_new(folder, opened, load_checkpoint(name), [name], **options)
    assert found.n_failed == 0, "a file failed"
    first, last = moments
    n_files = last.done - first.done
    return n_files / (last.seconds - first.seconds), (last.cpu_seconds - first.cpu_seconds) / n_files


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.library", description=__doc__)
    parser.add_argument("--files", type=int, default=60)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--engines", nargs="+", choices=_ENGINES, default=["local", "ray"])
    parser.add_argument("--checkpoints", nargs="+", default=["default", "fast"])
    given = parser.parse_args()
    ray_engine._MAX_PER_BLOCK = 1
    torch.set_num_threads(1)
    print(
        "| engine | checkpoint | processes | files/s | CPU s per file | load average |\n|---|---|---|---|---|---|", flush=True
    )
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "music"
        folder.mkdir()
        synthesise(folder, given.files)
        for engine in given.engines:
            for name in given.checkpoints:
                for processes in given.processes:
                    catalogue = Path(place) / f"{engine} {name} {processes}.sqlite"
                    rate, cpu = measure(folder, catalogue, engine, name, processes)
                    load = os.getloadavg()[0]
                    print(f"| {engine} | {name} | {processes} | {rate:.2f} | {cpu:.2f} | {load:.1f} |", flush=True)
    print(f"\n{given.files} MP3 files of 30 s; {os.cpu_count()} cores, Python {platform.python_version()}")


if __name__ == "__main__":
    main()
