"""Metrics of a classifier on labelled tracks.

Conventions
-----------
- Each track counts once, whatever its length. Its probabilities come from the default vote (mean) over its segments.
- A track that cannot be classified (damaged, silent) is listed as failed and counts nowhere else.
- ``segment_accuracy`` pools the segments of all tracks, without silent segments.

Metrics
-------
accuracy
    Share of tracks whose genre is right, with its 95 % Wilson interval. ``by_vote`` holds the accuracy by each vote.
log_loss
    Mean of ``-ln p(true genre)``, with p clipped at 1e-12.
ece
    Expected calibration error: the mean distance of accuracy and probability, see `genre_app.evaluation.calibration`.
    Few tracks have one by chance: ``chance_ece`` is what answers with the right probabilities exceed in 5 % of cases.
per_genre
    Precision, recall and F1 of each genre. ``n`` is its number of tracks. A genre without tracks has none of the three (None).
    A genre with tracks that was never predicted has precision 0.
macro_f1
    Mean F1 of the genres that have tracks.
confusion
    A row per true genre, a column per predicted genre.

The knn vote compares with the checkpoint's training tracks. On those tracks its accuracy means nothing, since each track is its
own neighbour.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy  # not scipy.stats, which takes a second to import; scipy loads it at its first use
from numpy.typing import NDArray

from genre_app.evaluation.calibration import chance_calibration_error, expected_calibration_error, log_loss
from genre_app.files import valid_text
from genre_app.vote import DEFAULT_VOTE, References, available_votes, vote

ROW_HEAD = "      n  accuracy  95 % interval      log-loss"
"""Columns of `Report.to_row` after the name."""


@dataclass(frozen=True, eq=False)
class TrackResult:
    """Prediction for one labelled track.

    Attributes
    ----------
    track_id : str
    label : int
        Index of the true genre.
    probabilities : numpy.ndarray, float32 [s, g]
        Of the segments that are not silent.
    """

    track_id: str
    label: int
    probabilities: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Report:
    """Metrics of a checkpoint on some tracks; the module defines them.

    Attributes
    ----------
    genres : tuple of str
    tracks : tuple of TrackResult
        At least one.
    references : References or None
        For the knn vote.
    failed : tuple of (str, str)
        Track id of each track that could not be classified, with the reason.
    leave_one_out : bool
        Whether the references are the tracks themselves, in the same order: no track is then its own neighbour.
    notes : tuple of str
        Which members were left out, whether the knn vote was, and why.
    """

    genres: tuple[str, ...]
    tracks: tuple[TrackResult, ...]
    references: References | None = None
    failed: tuple[tuple[str, str], ...] = ()
    leave_one_out: bool = False
    notes: tuple[str, ...] = ()

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """True genre of each track [n]."""
        return np.array([track.label for track in self.tracks])

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """Probabilities of each track [n, g] by the default vote."""
        return self._voted(DEFAULT_VOTE)

    @cached_property
    def _answers(self) -> NDArray[np.intp]:
        answers: NDArray[np.intp] = self.probabilities.argmax(axis=1)
        return answers

    @property
    def accuracy(self) -> float:
        """Share of tracks whose genre is right by the default vote."""
        return float((self._answers == self.labels).mean())

    @property
    def accuracy_interval(self) -> tuple[float, float]:
        """95 % Wilson interval of the accuracy."""
        return wilson_interval(int((self._answers == self.labels).sum()), len(self.labels))

    @property
    def log_loss(self) -> float:
        """Mean of -ln p(true genre)."""
        return log_loss(self.probabilities, self.labels)

    @property
    def ece(self) -> float:
        """Expected calibration error."""
        return expected_calibration_error(self.probabilities, self.labels)

    @property
    def chance_ece(self) -> float:
        """Calibration error that this many answers exceed in 5 % of cases if their probabilities are exactly right."""
        return chance_calibration_error(self.probabilities)

    @property
    def by_vote(self) -> dict[str, float]:
        """Accuracy of each vote that the checkpoint allows."""
        votes = available_votes(self.references)
        return {method: float((self._voted(method).argmax(axis=1) == self.labels).mean()) for method in votes}

    @property
    def segment_accuracy(self) -> float:
        """Share of segments whose own prediction is right."""
        right = [track.probabilities.argmax(axis=1) == track.label for track in self.tracks]
        return float(np.concatenate(right).mean())

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """Number of tracks by true genre (rows) and predicted genre (columns) [g, g]."""
        from sklearn.metrics import confusion_matrix  # here: slow to import, and the page starts without it

        matrix = confusion_matrix(self.labels, self._answers, labels=range(len(self.genres)))
        return np.asarray(matrix, dtype=np.int64)

    @cached_property
    def per_genre(self) -> dict[str, dict[str, float | None]]:
        """Precision, recall, F1 and number of tracks of each genre; the first three are None for a genre without tracks."""
        from sklearn.metrics import precision_recall_fscore_support  # here: slow to import, and the page starts without it

        genres = range(len(self.genres))
        columns = precision_recall_fscore_support(self.labels, self._answers, labels=genres, zero_division=0.0)
        rows = {}
        for genre, *shares, n in zip(self.genres, *columns, strict=True):
            precision, recall, f1 = (float(share) if n else None for share in shares)
            rows[genre] = {"precision": precision, "recall": recall, "f1": f1, "n": int(n)}
        return rows

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the genres that have tracks."""
        return float(np.mean([row["f1"] for row in self.per_genre.values() if row["f1"] is not None]))

    def summary(self) -> dict[str, Any]:
        """Return number of tracks, accuracy with its interval, and log-loss as plain data."""
        interval = list(self.accuracy_interval)
        return {"n_tracks": len(self.tracks), "accuracy": self.accuracy, "accuracy_ci95": interval, "log_loss": self.log_loss}

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: the keys of ``genre-app evaluate --format json``."""
        return {
            **self.summary(),
            "ece": self.ece,
            "macro_f1": self.macro_f1,
            "per_genre": self.per_genre,
            "confusion": {"genres": list(self.genres), "matrix": self.confusion.tolist()},
            "by_vote": self.by_vote,
            "segment_accuracy": self.segment_accuracy,
            "failed": [{"file": valid_text(file), "error": error} for file, error in self.failed],
            "notes": list(self.notes),
        }

    def to_table(self) -> str:
        """Return the metrics as text for the terminal."""
        low, high = self.accuracy_interval
        width = max(5, *(len(genre) for genre in self.genres))
        lines = [
            f"{len(self.tracks)} tracks, {len(self.failed)} failed",
            *self.notes,
            f"accuracy          {self.accuracy:.1%}  (95 % interval {low:.1%} to {high:.1%})",
            f"log-loss          {self.log_loss:.3f}",
            f"ECE               {self.ece:.3f}  (up to {self.chance_ece:.3f} is chance for these tracks)",
            f"macro F1          {self.macro_f1:.3f}",
            f"segment accuracy  {self.segment_accuracy:.1%}",
            "by vote           " + ", ".join(f"{method} {accuracy:.1%}" for method, accuracy in self.by_vote.items()),
            "",
            f"{'genre':{width}}  precision  recall     f1      n    answered as (rows: true genre)",
        ]
        for (genre, row), counts in zip(self.per_genre.items(), self.confusion, strict=True):
            answers = ", ".join(
                f"{self.genres[index]} {counts[index]}" for index in np.argsort(-counts, kind="stable") if counts[index]
            )
            lines.append(
                f"{genre:{width}}  {decimal(row['precision']):>9}  {decimal(row['recall']):>6}  {decimal(row['f1']):>5}  "
                f"{row['n']:5d}    {answers}"
            )
        return "\n".join([*lines, *([""] if self.failed else []), *(f"failed: {error}" for _, error in self.failed)])

    def to_row(self, name: str, width: int) -> str:
        """Return a row of a table with `ROW_HEAD`; the name takes ``width`` letters."""
        low, high = self.accuracy_interval
        interval = f"{low:6.1%} to {high:6.1%}"
        return f"{name:{width}}  {len(self.tracks):5d}  {self.accuracy:8.1%}  {interval}  {self.log_loss:8.3f}"

    def _voted(self, method: str) -> NDArray[np.float64]:
        tracks = enumerate(self.tracks)
        return np.stack([vote(track.probabilities, method, self._references_for(place)) for place, track in tracks])

    def _references_for(self, place: int) -> References | None:
        references = self.references
        if references is None or not self.leave_one_out:
            return references
        others = np.arange(len(references.labels)) != place
        return References(references.probabilities[others], references.labels[others], references.k)


def decimal(value: float | None, digits: int = 3) -> str:
    """Return a metric as text with ``digits`` decimals; "–" if it is undefined (None)."""
    return "–" if value is None else f"{value:.{digits}f}"


def wilson_interval(n_right: int, n: int) -> tuple[float, float]:
    """Return the 95 % Wilson interval of the share ``n_right / n``."""
    interval = scipy.stats.binomtest(n_right, n).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)
