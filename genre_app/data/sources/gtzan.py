"""GTZAN: recognise its tracks by name (``blues.00000``), and read its fault-filtered split.

The split excludes repeated and distorted excerpts and keeps each artist on one side: 443 tracks for training, 197 for
validation, 290 for test. torchaudio contains the lists.

References
----------
Kereliuk, Sturm and Larsen (2015), "Deep learning and music adversaries", IEEE Transactions on Multimedia 17(11).
"""

from __future__ import annotations

import re
from functools import lru_cache

GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")

KNOWN_DAMAGED = {"jazz.00054": "the copy of GTZAN on Kaggle has this file damaged"}
"""Tracks that are known to be unreadable, with the reason."""

# Name of a track, or of a piece cut from it (blues.00000.3), with optional folders before it and an optional suffix.
_NAME = re.compile(rf"(?:^|/)((?:{'|'.join(GENRES)})\.\d{{5}})(?=\.|$)[^/]*$", re.IGNORECASE)


def gtzan_name(track_id: str) -> str | None:
    """Return the GTZAN track that an id or a path names, such as ``blues.00000``, or None."""
    found = _NAME.search(track_id)
    return found[1].lower() if found else None


@lru_cache(maxsize=1)
def fault_filtered() -> dict[str, str]:
    """Return the split (``train``, ``valid`` or ``test``) of each track in the fault-filtered lists."""
    from torchaudio.datasets import gtzan  # slow to import, and only GTZAN needs it

    lists = {"train": gtzan.filtered_train, "valid": gtzan.filtered_valid, "test": gtzan.filtered_test}
    return {name: split for split, names in lists.items() for name in names}
