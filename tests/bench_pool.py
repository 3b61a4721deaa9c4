"""How far a pool of changed waveforms slows training down: python -m tests.bench_pool [--tracks N] [--processes N].

The recipe `default` learns from synthesised files, by turns without and with a pool; validation is left out. What counts is
segments a second from the first epoch's first step to the last one's last, so that waiting for the pool shows; the time until
the pool is full, before the first epoch, stands by itself.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import torch

from genre_app.audio import load_clip
from genre_app.audio.synth import STYLES, music
from genre_app.augment.config import WaveformConfig
from genre_app.data.cache.rows import log_mel_columns
from genre_app.data.dataset import MelDataset
from genre_app.data.pool import WavePool
from genre_app.runs.recipes import read_recipe
from genre_app.training.config import TrainConfig
from genre_app.training.fit import Step, fit

_RATE = 22050
_WAVEFORM = WaveformConfig(pitch_probability=0.5, stretch_probability=0.5, snr_probability=0.5, gain_probability=0.5)


def synthesise(folder: Path, n_tracks: int) -> list[Path]:
    """Write tracks of 30 s: each style composed once, and rolled so that no two files are the same."""
    pieces = [music(style, 30.0, _RATE) for style in STYLES]
    paths = [folder / f"{track}.{STYLES[track % len(STYLES)]}.wav" for track in range(n_tracks)]
    for track, path in enumerate(paths):
        soundfile.write(path, np.roll(pieces[track % len(STYLES)], track * 5000), _RATE)
    return paths


def dataset(paths: list[Path], config: TrainConfig, device: torch.device) -> MelDataset:
    columns = [log_mel_columns([load_clip(path).samples], config.spec) for path in paths]
    lengths = torch.tensor([len(of_track) for of_track in columns])
    return MelDataset(
        track_ids=tuple(path.name for path in paths),
        genres=tuple(sorted(STYLES)),
        columns=torch.from_numpy(np.concatenate(columns).astype(np.float32)).to(device),
        offsets=(lengths.cumsum(0) - lengths).to(device),
        lengths=lengths.to(device),
        labels=torch.tensor([sorted(STYLES).index(path.name.split(".")[1]) for path in paths], device=device),
        spec=config.spec,
    )


def rate(config: TrainConfig, train: MelDataset, valid: MelDataset, pool: WavePool | None) -> float:
    """Segments a second, the first epoch left out, in which everything warms up."""
    times: list[float] = []
    n_segments = 0

    def note(step: Step) -> None:
        nonlocal n_segments
        if train.labels.device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter())
        if step.epoch > 1:
            n_segments += config.batch_size

    for _ in fit(config, train, valid, device=train.labels.device, pool=pool, on_step=note):
        pass
    first = len(times) - n_segments // config.batch_size
    return n_segments / (times[-1] - times[first - 1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tracks", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--processes", type=int)
    parser.add_argument("--refresh-epochs", type=int, default=WaveformConfig().refresh_epochs)
    given = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    settings = {"epochs": given.epochs, "validate_every": given.epochs}
    config = read_recipe("default", settings)
    waveform = _WAVEFORM.model_copy(update={"refresh_epochs": given.refresh_epochs})
    with tempfile.TemporaryDirectory() as folder:
        paths = synthesise(Path(folder), given.tracks + len(STYLES))
        train, valid = dataset(paths[: given.tracks], config, device), dataset(paths[given.tracks :], config, device)
        rate(config.model_copy(update={"epochs": 2}), train, valid, None)  # warms up
        pool = WavePool(paths[: given.tracks], config.spec, waveform, seed=0, processes=given.processes)
        try:
            began = time.perf_counter()
            pool.collect(1)
            filled = time.perf_counter() - began
            # By turns, so that what else runs here slows both alike.
            rates = [(rate(config, train, valid, None), rate(config, train, valid, pool)) for _ in range(given.rounds)]
        finally:
            pool.close()
    print(f"device                      {device.type}, {os.cpu_count()} cores, {torch.get_num_threads()} threads")
    print(f"pool                        {given.tracks} tracks, each new every {given.refresh_epochs} epochs")
    print(f"processes of the pool       {pool.processes}")
    print(f"pool filled in              {filled:.1f} s ({given.tracks / filled:.1f} tracks/s)")
    without, beside = (statistics.median(of) for of in zip(*rates, strict=True))
    print(f"training without the pool   {without:.0f} segments/s")
    print(f"training with the pool      {beside:.0f} segments/s ({statistics.median(b / a for a, b in rates):.0%})")


if __name__ == "__main__":
    main()
