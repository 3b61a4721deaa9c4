"""One epoch of the default recipe, ours against the plain way: python -m tests.bench.epoch FOLDER.

The plain way is a Dataset that loads a file and computes its mel-spectrogram with librosa, an item at a time, in a DataLoader
of two worker processes; network, loss and optimiser are the same code. Neither changes the waveform; ours augments spectrograms
besides, which the plain way is spared. FOLDER holds genre folders of audio; the mel cache is made before the clock starts, and
how long that took is said too.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import librosa
import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader

from genre_app.data.dataset import MelDataset
from genre_app.data.labelled import open_data
from genre_app.runs.executor import prepare_process
from genre_app.runs.recipes import read_recipe
from genre_app.training.fit import fit
from genre_app.training.state import TrainState
from genre_app.training.steps import forward_precision

_CPU = torch.device("cpu")


class PlainDataset(torch.utils.data.Dataset):
    """Loads a file and computes its spectrogram, an item at a time."""

    def __init__(self, files, labels, spec, per_track):
        self.items = [pair for pair in zip(files, labels, strict=True) for _ in range(per_track)]
        self.spec = spec

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        file, label = self.items[index]
        samples, rate = librosa.load(file, sr=self.spec.sample_rate)
        mel = librosa.feature.melspectrogram(
            y=samples, sr=rate, n_fft=self.spec.n_fft, hop_length=self.spec.hop_length, n_mels=self.spec.n_mels
        )
        db = librosa.power_to_db(mel)
        start = np.random.default_rng(index).integers(db.shape[1] - self.spec.segment_frames + 1)
        return torch.from_numpy(db[:, start : start + self.spec.segment_frames]).float(), label


def plain(files, labels, genres, config, train) -> float:
    state = TrainState.begin(config, train, _CPU)
    state.model.train()
    loader = DataLoader(
        PlainDataset(files, labels, config.spec, config.segments_per_track),
        batch_size=config.batch_size,
        shuffle=True,
        num_workers=2,
        drop_last=True,
    )
    began = time.perf_counter()
    for db, label in loader:
        targets = F.one_hot(label, len(genres)).float()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=forward_precision(config, _CPU) == "bfloat16"):
            logits = state.model.training_logits(db)
        loss = -(torch.log_softmax(logits.float(), dim=-1) * targets).sum(dim=-1).mean(dim=1).sum()
        state.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        state.optimiser.step()
    return time.perf_counter() - began


def ours(config, train, valid) -> float:
    (result,) = fit(config, train, valid, device=_CPU)
    return result.seconds


def main() -> None:
    prepare_process(2)
    config = read_recipe("default", {"epochs": 1, "validate_every": 1000})
    with tempfile.TemporaryDirectory() as work:
        began = time.perf_counter()
        data = open_data(sys.argv[1], config.spec, config.split, seed=0, work=Path(work), processes=2)
        prepared = time.perf_counter() - began
        train, valid = (
            MelDataset.from_cache(data.store, data.of(s), data.genres, config.spec, _CPU) for s in ("train", "valid")
        )
        files = [data.audio[name] for name in train.track_ids]
        labels = train.labels.tolist()
        ours(config, train, valid)  # kernels are chosen when they are first used
        rounds = [(ours(config, train, valid), plain(files, labels, data.genres, config, train)) for _ in range(3)]
    fast, slow = zip(*rounds, strict=True)
    print(json.dumps({"tracks": len(files), "prepare": prepared, "ours": fast, "plain": slow}))


if __name__ == "__main__":
    main()
