"""A taught checkpoint, and how it does on clips that it was not taught."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from genre_app.checkpoint import Checkpoint
from genre_app.data.sources.folder import genre_key
from genre_app.evaluation.metrics import Report
from genre_app.teaching.embedding import Embedding
from genre_app.teaching.examples import Example


@dataclass(frozen=True, eq=False)
class Taught:
    """A taught checkpoint, and how it does on clips that it was not taught.

    Attributes
    ----------
    checkpoint : Checkpoint
    report : Report
        The answer for each clip by layers that were fitted without its source.
    recorded : Report
        The same for a simulated recording of each clip.
    before : tuple of str
        Answer of the original checkpoint for each track of the report.
    failed : tuple of (str, str)
        Files that could not be used, with the reason.
    seconds : float
    examples : tuple of Example
        The clips that could be used.
    embeddings : tuple of Embedding
        Of these clips.
    """

    checkpoint: Checkpoint
    report: Report
    recorded: Report
    before: tuple[str, ...]
    failed: tuple[tuple[str, str], ...]
    seconds: float
    examples: tuple[Example, ...]
    embeddings: tuple[Embedding, ...]

    @property
    def n_before(self) -> int:
        """Number of tracks that the original checkpoint answers rightly."""
        truth = [self.report.genres[track.label] for track in self.report.tracks]
        return sum(genre_key(answer) == genre_key(genre) for answer, genre in zip(self.before, truth, strict=True))

    @property
    def n_right(self) -> int:
        """Number of tracks that the taught checkpoint answers rightly."""
        return int(self.report.confusion.trace())

    @property
    def n_right_recorded(self) -> int:
        """Number of tracks whose simulated recording the taught checkpoint answers rightly."""
        return int(self.recorded.confusion.trace())

    def wrong(self) -> list[tuple[str, str, str]]:
        """Return name, true genre and answer of each clip that was answered wrongly when it was left out."""
        genres = self.report.genres
        answers = self.report.probabilities.argmax(axis=1).tolist()
        pairs = zip(self.report.tracks, answers, strict=True)
        return [(track.track_id, genres[track.label], genres[answer]) for track, answer in pairs if answer != track.label]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: the keys of ``genre-app teach --format json``."""
        keys = ("name", "genre", "answer")
        return {
            "genres": list(self.checkpoint.genres),
            "left_out": self.report.summary(),
            "recorded": self.recorded.summary(),
            "confusion": self.report.confusion.tolist(),
            "before": {"right": self.n_before, "n": len(self.before)},
            "wrong": [dict(zip(keys, row, strict=True)) for row in self.wrong()],
            "failed": [{"name": name, "reason": reason} for name, reason in self.failed],
            "seconds": round(self.seconds, 1),
        }
