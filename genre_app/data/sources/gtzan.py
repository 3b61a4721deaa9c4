"""GTZAN by the names of its tracks (``blues.00000``), and its fault-filtered split.

Kereliuk, Sturm and Larsen (2015), "Deep learning and music adversaries", left out repeats and distorted excerpts and kept each
artist on one side: 443 tracks to train on, 197 for validation, 290 for test. torchaudio carries the lists.
"""

from __future__ import annotations

import re
from functools import lru_cache

GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")

KNOWN_DAMAGED = {"jazz.00054": "the copy of GTZAN on Kaggle has this file damaged"}
"""Tracks that are known to be unreadable, and why."""

# The name of a track, or of a piece cut from it (blues.00000.3), with or without folders before it and an ending after it.
_NAME = re.compile(rf"(?:^|/)((?:{'|'.join(GENRES)})\.\d{{5}})(?=\.|$)[^/]*$", re.IGNORECASE)


def gtzan_name(track_id: str) -> str | None:
    """Return the GTZAN track that an id or a path names, such as ``blues.00000``, or None."""
    found = _NAME.search(track_id)
    return found[1].lower() if found else None


@lru_cache(maxsize=1)
def fault_filtered() -> dict[str, str]:
    """Return the split, ``train``, ``valid`` or ``test``, of each track that the lists name."""
    from torchaudio.datasets import gtzan  # here: nothing but GTZAN needs torchaudio's data sets

    lists = {"train": gtzan.filtered_train, "valid": gtzan.filtered_valid, "test": gtzan.filtered_test}
    return {name: split for split, names in lists.items() for name in names}
