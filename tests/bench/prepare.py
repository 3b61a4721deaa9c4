"""How fast audio is prepared: python -m tests.bench.prepare [--files N] [--rate HZ] [--channels C] [--format MP3] [...]

Synthesises N files, prepares them in a cold work folder and then once more, and prints seconds per 1000 files.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from genre_app.data.cache.prepare import prepare
from genre_app.data.sources.folder import AudioFolder
from genre_app.features import FeatureSpec
from tests.conftest import synthesise


def write_files(folder: Path, args: argparse.Namespace) -> None:
    base = synthesise(args.seconds, 0, args.rate)
    random = np.random.default_rng(0)
    for index in range(args.files):
        samples = np.roll(base, random.integers(len(base))) * random.uniform(0.5, 1.0)
        genre = folder / f"genre {index % 10}"
        genre.mkdir(exist_ok=True)
        ending = args.format.lower()
        several = np.tile(samples[:, None], (1, args.channels))
        soundfile.write(genre / f"{index:05d}.{ending}", several, args.rate, format=args.format)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rate", type=int, default=22050)
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--format", default="WAV")
    parser.add_argument("--processes", type=int, default=None)
    parser.add_argument("--kind", default="log_mel")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        music, work = Path(folder, "music"), Path(folder, "work")
        music.mkdir()
        write_files(music, args)
        spec = FeatureSpec(kind=args.kind) if args.kind != "summary" else FeatureSpec(kind="summary", hop_length=512)
        for what in ("cold", "again"):
            begun = time.perf_counter()
            prepare(AudioFolder.find(music), spec, work, processes=args.processes)
            took = time.perf_counter() - begun
            print(f"{what}: {took:.2f} s for {args.files} files, {1000 * took / args.files:.1f} s per 1000", flush=True)
        kind = f"{args.seconds:g} s at {args.rate} Hz, {args.channels} channels, {args.format}"
        print(f"{len(os.sched_getaffinity(0))} cores; {kind}; {args.kind}")


if __name__ == "__main__":
    main()
