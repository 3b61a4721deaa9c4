"""The answer for one clip: probabilities of its segments and of the clip, and whether the answer is reliable.

Conventions
-----------
Silent segments keep their rows in the arrays but take no part in the vote. A clip that is only noise, or only speech, is
rejected: `genre` is None, and the probabilities are then no more than the network's guess. A clip whose first genre stands for
all other sounds is rejected too, but its probabilities mean what they say.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from genre_app.sure import SureLimits
from genre_app.vote import References
from genre_app.vote import vote as join_votes

Rejection = Literal["noise", "speech", "other"]
"""Why a clip has no genre; "other" means that its first genre stands for all other sounds."""

REJECTED_WORDS: dict[Rejection, str] = {"noise": "no music", "speech": "speech", "other": "none of these"}
"""What stands in place of the genre of a rejected clip."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a checkpoint predicts for a clip.

    Attributes
    ----------
    name : str
        Name of the clip, usually its file name.
    genres : tuple of str
    segment_starts, segment_ends : numpy.ndarray, float64 [s]
        Seconds.
    segment_probabilities : numpy.ndarray, float32 [s, g]
    segment_sounds : numpy.ndarray, bool [s]
        False for silent segments, which take no part in the vote.
    vote : str
        One of `genre_app.vote.VOTES`.
    probabilities : numpy.ndarray, float64 [g]
        Probabilities of the clip by this vote; of a rejected clip, the network's guess.
    votes : dict of str to (str or None)
        Genre by each vote that the checkpoint allows; None for a rejected clip.
    warnings : tuple of str
    checkpoint : str
        Name of the checkpoint.
    duration_seconds : float
    is_noise : bool
        The clip holds nothing but noise.
    is_speech : bool
        The clip holds nothing but speech.
    sure_limits : SureLimits
        The checkpoint's limits of a sure answer.
    none_of_these : tuple of str
        Genres that stand for all other sounds.

    Examples
    --------
    >>> checkpoint = load_checkpoint()
    >>> prediction = classify(load_clip("song.mp3", sample_rate=checkpoint.sample_rate), checkpoint)
    >>> prediction.genre, prediction.is_sure
    ('disco', True)
    >>> prediction.top(2)
    [('disco', 0.71), ('pop', 0.12)]
    >>> prediction.revote("majority").genre
    'disco'
    """

    name: str
    genres: tuple[str, ...]
    segment_starts: NDArray[np.float64]
    segment_ends: NDArray[np.float64]
    segment_probabilities: NDArray[np.float32]
    segment_sounds: NDArray[np.bool_]
    vote: str
    probabilities: NDArray[np.float64]
    votes: dict[str, str | None]
    warnings: tuple[str, ...]
    checkpoint: str
    duration_seconds: float
    is_noise: bool = False
    is_speech: bool = False
    sure_limits: SureLimits = field(default_factory=SureLimits)
    none_of_these: tuple[str, ...] = ()
    _references: References | None = field(default=None, repr=False)

    @property
    def rejected(self) -> Rejection | None:
        """Why the clip has no genre; None if it has one."""
        if self.is_noise or self.is_speech:
            return "noise" if self.is_noise else "speech"
        return "other" if self.guess in self.none_of_these else None

    @property
    def is_music(self) -> bool:
        """Whether the probabilities mean something: the clip is neither noise nor speech."""
        return not (self.is_noise or self.is_speech)

    @property
    def guess(self) -> str:
        """Most probable genre, even if the clip is rejected."""
        return self.genres[int(self.probabilities.argmax())]

    @property
    def genre(self) -> str | None:
        """Most probable genre; None if the clip is rejected."""
        return None if self.rejected else self.guess

    def top(self, k: int = 5) -> list[tuple[str, float]]:
        """Return the ``k`` most probable genres with their probabilities, best first; the network's guess if rejected."""
        order = np.argsort(-self.probabilities, kind="stable")[:k]
        return [(self.genres[index], float(self.probabilities[index])) for index in order]

    def ranked(self, k: int = 5) -> list[tuple[str, float]]:
        """Return the ``k`` best genres with what the vote compares: for ``majority`` shares of frames, else probabilities."""
        if self.vote != "majority":
            return self.top(k)
        winners = self.segment_probabilities[self.segment_sounds].argmax(axis=1)
        shares = np.bincount(winners, minlength=len(self.genres)) / len(winners)
        # Genres with equal shares stand in the order of their probabilities, so the clip's genre is first.
        order = np.lexsort((-self.probabilities, -shares))[:k]
        return [(self.genres[index], float(shares[index])) for index in order]

    @property
    def margin(self) -> float:
        """Lead of the first genre over the second, in what the vote compares (see `ranked`)."""
        (_, first), (_, second) = self.ranked(2)
        return first - second

    @property
    def is_sure(self) -> bool:
        """Whether the first genre is probable enough, and far enough ahead, to be named without a caveat."""
        # For the majority both count: a genre may win all of a few frames, each with a low probability.
        least = min(self.ranked(1)[0][1], float(self.probabilities.max()))
        limits = self.sure_limits
        return not self.rejected and self.margin >= limits.margin and least >= limits.probability

    @cached_property
    def segment_genres(self) -> list[str]:
        """Most probable genre of each segment."""
        return [self.genres[index] for index in self.segment_probabilities.argmax(axis=1)]

    @property
    def n_sounding(self) -> int:
        """Number of segments that are not silent; these vote."""
        return int(self.segment_sounds.sum())

    @property
    def n_agree(self) -> int:
        """Number of voting segments whose most probable genre is the clip's."""
        winners = self.segment_probabilities.argmax(axis=1)
        return int((self.segment_sounds & (winners == self.probabilities.argmax())).sum())

    @property
    def agreement(self) -> float:
        """Share of the voting segments whose most probable genre is the clip's."""
        return self.n_agree / self.n_sounding

    def revote(self, method: str) -> Prediction:
        """Return a prediction from the same segments by another vote.

        Raises
        ------
        ValueError
            If there is no such vote, or the checkpoint has no references for ``knn``.
        """
        sounding = self.segment_probabilities[self.segment_sounds]
        return replace(self, vote=method, probabilities=join_votes(sounding, method, self._references))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data with the keys of ``genre-app classify --format jsonl``."""
        # Nine digits distinguish any two float32 values.
        rows = self.segment_probabilities.tolist()
        names = self.genres
        by_genre = [{name: float(f"{p:.9g}") for name, p in zip(names, row, strict=True)} for row in rows]
        return {
            "file": self.name,
            "genre": self.genre,
            "rejected": self.rejected,
            "sure": self.is_sure,
            "probabilities": dict(zip(self.genres, self.probabilities.tolist(), strict=True)),
            "vote": self.vote,
            "votes": dict(self.votes),
            "segments": [
                {"start_seconds": round(start, 3), "end_seconds": round(end, 3), "probabilities": row}
                for start, end, row in zip(self.segment_starts.tolist(), self.segment_ends.tolist(), by_genre, strict=True)
            ],
            "warnings": list(self.warnings),
            "checkpoint": self.checkpoint,
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """Return `to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    def to_csv(self) -> str:
        """Return a row per segment: start, end, whether it sounds, its genre (empty if rejected), its probabilities."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["start_seconds", "end_seconds", "sounds", "genre", *self.genres])
        columns = (self.segment_starts, self.segment_ends, self.segment_sounds, self.segment_probabilities)
        rows = zip(self.segment_genres, *(column.tolist() for column in columns), strict=True)
        for genre, start, end, sounds, probabilities in rows:
            shown = "" if self.rejected else genre
            writer.writerow([f"{start:.3f}", f"{end:.3f}", str(sounds).lower(), shown, *(f"{p:.9g}" for p in probabilities)])
        return text.getvalue()
