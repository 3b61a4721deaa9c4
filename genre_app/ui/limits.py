"""Limits on the work that one request may cause; the message names the limit that was reached.

Three hours of silence take 1.4 MB as a file and 81 s to classify, so a limit on bytes is not enough (measured on two cores).
"""

from __future__ import annotations

from dataclasses import dataclass

from genre_app.checkpoint import Checkpoint
from genre_app.features import own_starts
from genre_app.predict import overlapped

MAX_SECONDS = 3 * 3600.0
"""Longest clip."""

MAX_SEGMENTS = 50_000
"""Most segments of one clip, counted for each network of the checkpoint. Three hours have 11 000 by `default`."""

MAX_BATCH_SECONDS = 20 * 3600.0
"""Audio in one batch or call: 200 songs of 6 minutes."""


@dataclass
class Budget:
    """Seconds of audio that a batch may still decode, whether or not its files can be classified."""

    seconds: float = MAX_BATCH_SECONDS
    total: float = MAX_BATCH_SECONDS


def longest_seconds(checkpoint: Checkpoint, overlap: float | None) -> float:
    """Return the length of the longest clip that has at most `MAX_SEGMENTS` segments, at most `MAX_SECONDS`."""
    spec = overlapped(checkpoint.spec, overlap)
    # The segments of a network that lie in one shared segment; neighbours may have some in common, so this is the most.
    n_own = sum(len(own_starts(0, spec, member.spec)) for member in checkpoint.members)
    seconds = MAX_SEGMENTS / max(1, n_own) * spec.seconds(spec.segment_hop_frames)
    return min(MAX_SECONDS, seconds)


def in_words(seconds: float) -> str:
    """Return a duration in whole hours, minutes or seconds, rounded down."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size or seconds == size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds // 1:.0f} s"
