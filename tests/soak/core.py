"""Common parts of the soak commands: arguments, the clock, and the memory of this process."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import psutil


def arguments(description: str | None, **more: tuple[float | str, str]) -> argparse.Namespace:
    """Read ``--seconds`` and ``--seed``, and more by name, each with its default and help."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seconds", type=float, default=60.0, help="time to spend")
    parser.add_argument("--seed", type=int, default=0, help="the same seed makes the same files in the same order")
    for name, (default, words) in more.items():
        parser.add_argument(f"--{name}", type=type(default), default=default, help=words)
    return parser.parse_args()


def rounds(seconds: float) -> Iterator[int]:
    """Count until the time is over; at least one round."""
    end, number = time.monotonic() + seconds, 0
    while number == 0 or time.monotonic() < end:
        yield number
        number += 1


def memory_mb() -> float:
    """Return the resident memory of this process."""
    return psutil.Process().memory_info().rss / 1e6


def open_files() -> int:
    """Return the number of files that this process holds open."""
    return psutil.Process().num_fds() if hasattr(psutil.Process, "num_fds") else 0
