"""What tests.bench measures in processes of its own: python -m tests.bench.core ways|stream|reasons ... prints JSON.

The parent limits the threads in the environment, which numpy, numba and torch read while they are imported.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
import soundfile
import torch

from genre_app import classify, load_checkpoint, load_clip
from genre_app.audio import open_audio
from genre_app.checkpoint import Checkpoint
from genre_app.explain import CHANGES, explain, what_if
from genre_app.features import finish, segment_start_frames
from genre_app.predict import Prediction
from tests.librosa_mel import log_mel

_WARM_UP = 3
_SAME = 0.05  # how far the usual way's probabilities may lie off ours: another decoder, other rounding


def decode_to_vote(path: str, checkpoint: Checkpoint) -> Prediction:
    with open_audio(path, sample_rate=checkpoint.sample_rate) as stream:
        return classify(stream, checkpoint)


def usual_way(path: str, checkpoint: Checkpoint) -> np.ndarray:
    """Mean vote as tutorials write it: the same segments and network, librosa's spectrogram, one segment at a time."""
    spec = checkpoint.spec
    samples, _ = librosa.load(path, sr=spec.sample_rate)
    n_frames = 1 + len(samples) // spec.hop_length
    rows = []
    for start in segment_start_frames(n_frames, spec):
        first = start * spec.hop_length
        db = log_mel(samples[first : first + spec.segment_samples], spec)
        with torch.inference_mode():
            logits = checkpoint.model(finish(torch.from_numpy(db)[None], spec))
            rows.append(torch.softmax(logits[0], dim=-1).numpy())
    return np.mean(rows, axis=0)


def ways(checkpoint_name: str, stereo: str, mono: str, n: str, *wanted: str) -> dict[str, list[float]]:
    """Milliseconds of each way, the repetitions of all of them interleaved, so that what else runs here slows all alike.

    Decoding and the usual way are compared with the checkpoint `fast`, which has one network.
    """
    checkpoint, fast, default = load_checkpoint(checkpoint_name), load_checkpoint("fast"), load_checkpoint("default")
    fine_tuned = next(member for member in default.members if member.model.name == "musicnn")
    transfer = Checkpoint.single(fine_tuned.model, fine_tuned.spec, default.genres)
    rate = fast.sample_rate
    all_ways: dict[str, Callable[[], object]] = {
        "soundfile": lambda: soundfile.read(stereo, dtype="float32"),
        "decode": lambda: load_clip(stereo, sample_rate=rate),
        "vote": lambda: decode_to_vote(stereo, checkpoint),
        "fast": lambda: decode_to_vote(stereo, fast),
        "transfer": lambda: decode_to_vote(stereo, transfer),
        "decode-mono": lambda: load_clip(mono, sample_rate=rate),
        "fast-mono": lambda: decode_to_vote(mono, fast),
        "usual": lambda: usual_way(stereo, fast),
    }
    off = np.abs(usual_way(stereo, fast) - decode_to_vote(stereo, fast).probabilities).max()
    if off > _SAME:
        sys.exit(f"the usual way's probabilities lie {off:.3f} off ours: the two do not compute the same")
    times: dict[str, list[float]] = {name: [] for name in wanted}
    for repetition in range(_WARM_UP + int(n)):
        for name in wanted:
            begun = time.perf_counter()
            all_ways[name]()
            if repetition >= _WARM_UP:
                times[name].append(1000 * (time.perf_counter() - begun))
    return times


def _megabytes(field: str) -> float:
    # Not getrusage, whose peak starts from the parent's.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024 / 1e6


def stream(checkpoint_name: str, short: str, path: str) -> dict[str, float]:
    """Classify a file once, in a process that has done so with a short one: the memory that it takes more, and its speed."""
    checkpoint = load_checkpoint(checkpoint_name)
    decode_to_vote(short, checkpoint)
    idle = _megabytes("VmRSS")
    begun = time.perf_counter()
    prediction = decode_to_vote(path, checkpoint)
    seconds = time.perf_counter() - begun
    return {
        "memory": _megabytes("VmHWM") - idle,
        "seconds": seconds,
        "rate": seconds / prediction.duration_seconds * 3600,
    }


def reasons(checkpoint_name: str, path: str, n: str) -> dict[str, list[float]]:
    """Seconds that an explanation of a file takes, and the answers along a change of its pitch; on all cores."""
    checkpoint = load_checkpoint(checkpoint_name)
    clip = load_clip(path, sample_rate=checkpoint.sample_rate)
    works: dict[str, Callable[[], object]] = {
        "explain": lambda: explain(clip, checkpoint),
        "what-if": lambda: list(what_if(clip, checkpoint, "pitch", CHANGES["pitch"].values)),
    }
    times: dict[str, list[float]] = {name: [] for name in works}
    for repetition in range(1 + int(n)):
        for name, work in works.items():
            begun = time.perf_counter()
            work()
            if repetition:
                times[name].append(time.perf_counter() - begun)
    return times


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps({"ways": ways, "stream": stream, "reasons": reasons}[sys.argv[1]](*sys.argv[2:])))
