"""Combine checkpoints on labelled tracks: choose the weights, the temperature and the limits of a sure answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genre_app.checkpoint import Checkpoint
from genre_app.combine import combine
from genre_app.errors import DataError
from genre_app.evaluation.calibration import choose_sure_limits, fit_temperature
from genre_app.evaluation.evaluate import evaluate_members
from genre_app.evaluation.metrics import Report, TrackResult
from genre_app.files import AnyPath
from genre_app.vote import References

_LEAST_WEIGHT = 0.01  # a checkpoint keeps at least this share; leave it out to save its time
_STEPS = 2000  # the weights of ten checkpoints change by less than 1e-4 after a few hundred steps


@dataclass(frozen=True, eq=False)
class Combination:
    """A combined checkpoint and what it was chosen from.

    Attributes
    ----------
    checkpoint : Checkpoint
    weights : tuple of float
        Of the parts.
    reports : dict of str to Report
        Of each part alone, of equal weights, and of the combined checkpoint, on the same tracks and segments.
    """

    checkpoint: Checkpoint
    weights: tuple[float, ...]
    reports: dict[str, Report]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: the keys of ``genre-app combine --format json``."""
        return {
            "weights": list(self.weights),
            "temperature": self.checkpoint.temperature,
            "sure": self.checkpoint.sure.model_dump(),
            "reports": {name: {**report.summary(), "ece": report.ece} for name, report in self.reports.items()},
        }

    def to_table(self) -> str:
        """Return a row for each report, and what was chosen."""
        width = max(map(len, self.reports))
        lines = [f"{'checkpoint':{width}}      n  accuracy  95 % interval      log-loss    ECE"]
        for name, report in self.reports.items():
            low, high = report.accuracy_interval
            lines.append(
                f"{name:{width}}  {len(report.tracks):5d}  {report.accuracy:8.1%}  {low:6.1%} to {high:6.1%}  "
                f"{report.log_loss:8.3f}  {report.ece:5.3f}"
            )
        sure = self.checkpoint.sure
        weights = ", ".join(f"{weight:.3f}" for weight in self.weights)
        chosen = f"weights {weights}; temperature {self.checkpoint.temperature:.2f}"
        return "\n".join([*lines, "", f"{chosen}; sure from {sure.probability:.0%} and {100 * sure.margin:.0f} points ahead"])


def combine_on(
    data: AnyPath,
    parts: Sequence[Checkpoint],
    *,
    weights: Sequence[float] | None = None,
    split: str | None = None,
    workers: int = 1,
    on_track: Callable[[int, int], None] | None = None,
) -> Combination:
    """Combine checkpoints with the weights that have the least log-loss on labelled tracks. Each member is evaluated once.

    The tracks also choose the temperature and the limits of a sure answer, and become the references of the knn vote. No part
    should have been trained on them.

    Parameters
    ----------
    data, split, workers, on_track
        As in `genre_app.evaluation.evaluate.evaluate`.
    parts : sequence of Checkpoint
    weights : sequence of float, optional
        Use these weights instead of choosing them.

    Raises
    ------
    CheckpointError
        If the checkpoints cannot be combined.
    DataError
        As in `genre_app.evaluation.evaluate.evaluate`, or if the data lack the features of a member.
    """
    equal = combine(parts, weights)
    found = evaluate_members(data, equal, split=split, workers=workers, on_track=on_track)
    if found.notes:
        raise DataError(f"{data}: {found.notes[0]}; give audio, since all networks must be evaluated.")
    labels = np.array([track.label for track in found.tracks])
    bounds = np.cumsum([0, *(len(part.members) for part in parts)])

    def of_part(place: int, rows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        return replace(parts[place], temperature=1.0).joined(rows[bounds[place] : bounds[place + 1]])

    def report(rows: Callable[[Sequence[NDArray[np.float32]]], NDArray[np.float32]], **others: Any) -> Report:
        tracks = tuple(TrackResult(track.track_id, track.label, rows(track.of_members)) for track in found.tracks)
        return Report(equal.genres, tracks, failed=found.failed, **others)

    alone = [report(partial(of_part, place)) for place in range(len(parts))]
    if weights is None:
        weights = choose_weights([one.probabilities for one in alone], labels)
    joined = combine(parts, weights)
    plain = [joined.joined(track.of_members) for track in found.tracks]
    joined.temperature = fit_temperature(plain, labels)
    result = report(joined.joined)
    joined.sure = choose_sure_limits(result.probabilities, labels)
    joined.references = References.of_tracks(result.probabilities, labels)
    result = replace(result, references=joined.references, leave_one_out=True)
    joined.metrics = {"valid": result.to_dict()}
    rows = {**_named([part.name for part in parts], alone), "equal weights": report(combine(parts).joined), "combined": result}
    return Combination(joined, tuple(entry["weight"] for entry in joined.provenance["parts"]), rows)


def _named(names: Sequence[str], reports: Sequence[Report]) -> dict[str, Report]:
    """Key reports by name; parts with the same name get a number."""
    return {
        name if names.count(name) == 1 else f"{name} ({place})": report
        for place, (name, report) in enumerate(zip(names, reports, strict=True), 1)
    }


def choose_weights(probabilities: Sequence[NDArray[np.floating]], labels: NDArray[np.integer]) -> list[float]:
    """Return the weights with the least log-loss of the weighted mean, at least 0.01 each.

    Parameters
    ----------
    probabilities : sequence of numpy.ndarray, each [n, g]
        Of the tracks, by each checkpoint.
    labels : numpy.ndarray [n]

    References
    ----------
    Dempster et al. 1977, the EM algorithm, for the shares of a mixture. The log-loss is convex in them, so it reaches the
    minimum.
    """
    of_truth = np.stack([rows[np.arange(len(labels)), labels] for rows in probabilities], axis=1)  # [n, checkpoints]
    of_truth = of_truth.astype(np.float64).clip(min=1e-12)
    weights = np.full(len(probabilities), 1.0 / len(probabilities))
    for _ in range(_STEPS):
        shares = of_truth * weights
        weights = (shares / shares.sum(axis=1, keepdims=True)).mean(axis=0)
    weights = weights.clip(min=_LEAST_WEIGHT)
    return [float(weight) for weight in weights / weights.sum()]
