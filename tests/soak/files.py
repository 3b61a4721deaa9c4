"""Decode mutated audio files of every format: each gets samples or one sentence, in bounded time and memory.

python -m tests.soak.files --seconds 60 --seed 0
"""

from __future__ import annotations

import time
from collections import Counter
from typing import NamedTuple

import numpy as np

from genre_app.audio import load_clip
from genre_app.audio.synth import music
from genre_app.errors import AudioError
from tests.audio.files import FORMATS, RATE
from tests.soak.core import arguments, memory_mb, open_files, rounds

_CLIP_SECONDS = 3.0
_MOST_SECONDS = 60.0  # a header that states more is refused


class Result(NamedTuple):
    """Counts of a run; ``escaped`` lists seed, round and error of the files that got neither samples nor a sentence."""

    decoded: int
    warned: int
    refused: int
    escaped: list[str]
    slowest_seconds: float
    grown_mb: float
    left_open: int


def mutate(data: bytes, random: np.random.Generator) -> bytes:
    """Flip bits, overwrite, insert, remove or repeat a part; half of the damage lies in the first 256 bytes."""
    changed = bytearray(data)
    for _ in range(random.integers(1, 9)):
        end = min(256, len(changed)) if random.random() < 0.5 else len(changed)
        if end == 0:
            break
        start, size = int(random.integers(end)), int(random.integers(1, 64))
        kind = random.integers(5)
        if kind == 0:
            changed[start] ^= 1 << int(random.integers(8))
        elif kind == 1:
            changed[start : start + size] = random.bytes(size)
        elif kind == 2:
            changed[start:start] = random.bytes(size)
        elif kind == 3:
            del changed[start : start + size * (1 if random.random() < 0.8 else 1000)]
        else:
            changed[start:start] = changed[start : start + size]
    return bytes(changed)


def soak(seconds: float, seed: int) -> Result:
    """Decode mutated files until the time is over."""
    sound = np.stack([music("reggae", _CLIP_SECONDS, RATE)] * 2, axis=1)
    whole = [make(sound) for make, _ in FORMATS.values()]
    for data in whole:
        load_clip(data)
    counts: Counter[str] = Counter()
    escaped: list[str] = []
    slowest, before, files = 0.0, memory_mb(), open_files()
    for number in rounds(seconds):
        random = np.random.default_rng((seed, number))
        data, began = mutate(whole[number % len(whole)], random), time.monotonic()
        try:
            clip = load_clip(data, max_seconds=_MOST_SECONDS)
            counts["warned" if clip.warnings else "decoded"] += 1
            if not np.isfinite(clip.samples).all():
                escaped.append(f"seed {seed} round {number}: samples that are not finite")
        except AudioError as error:
            counts["refused"] += 1
            if "\n" in str(error):
                escaped.append(f"seed {seed} round {number}: more than one line: {error}")
        except Exception as error:  # noqa: BLE001 - this is what the command looks for
            escaped.append(f"seed {seed} round {number}: {error!r}")
        slowest = max(slowest, time.monotonic() - began)
    grown, left = memory_mb() - before, open_files() - files
    return Result(counts["decoded"], counts["warned"], counts["refused"], escaped, slowest, grown, left)


if __name__ == "__main__":
    given = arguments(__doc__)
    found = soak(given.seconds, given.seed)
    print(*found.escaped, sep="\n")
    print(
        f"{found.decoded + found.warned + found.refused} files: {found.decoded} decoded, {found.warned} with a warning, "
        f"{found.refused} refused in a sentence, {len(found.escaped)} escaped; slowest {found.slowest_seconds:.2f} s, "
        f"memory {found.grown_mb:+.0f} MB, {found.left_open} files left open"
    )
    raise SystemExit(bool(found.escaped))
