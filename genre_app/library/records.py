"""What a catalogue holds: files, answers, and genres that were written into files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from genre_app.data.cache.build import Stamp


@dataclass(frozen=True)
class Answer:
    """What a checkpoint says about a content.

    Attributes
    ----------
    genre : str or None
        None if the content is rejected or cannot be classified.
    rejected : str or None
        Why there is no genre; see `genre_app.prediction.Rejection`.
    sure : bool
    probabilities : dict of str to float
        Empty if the content cannot be classified.
    warnings : tuple of str
    error : str
        Why the content cannot be classified, without the name of a file, since several may have it.
    time : str
        When it was classified (UTC, ISO 8601).
    """

    genre: str | None = None
    rejected: str | None = None
    sure: bool = False
    probabilities: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    error: str = ""
    time: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def top(self, k: int = 2) -> list[tuple[str, float]]:
        """Return the ``k`` most probable genres with their probabilities, best first."""
        return sorted(self.probabilities.items(), key=lambda item: -item[1])[:k]


@dataclass(frozen=True)
class Track:
    """A file of the library.

    Attributes
    ----------
    path : str
        Below the folder, with forward slashes; bytes that are not UTF-8 are surrogates, as Python reads them.
    stamp : Stamp
    content : str
        SHA-256 of the file; empty if it cannot be read.
    answer : Answer or None
        None if it is not classified yet.
    error : str
        Why the file has no answer; may be empty.
    """

    path: str
    stamp: Stamp
    content: str
    answer: Answer | None
    error: str

    @property
    def shown(self) -> str:
        """The path as valid text."""
        return os.fsencode(self.path).decode("utf-8", "replace")

    @property
    def sure_genre(self) -> str | None:
        """The genre if the answer is sure, otherwise None."""
        return self.answer.genre if self.answer is not None and self.answer.sure else None


@dataclass(frozen=True)
class Written:
    """A genre that was written into a file.

    Attributes
    ----------
    previous : list of str
        Genres that the file had before, as they were stored; empty if it had none.
    audio : str
        `genre_app.audio.packets.packets_digest` of the file.
    """

    previous: list[str]
    audio: str
