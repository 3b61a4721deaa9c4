"""Combine checkpoints on labelled tracks: choose the weights, the temperatures and the limits of a sure answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import scipy  # its submodules are imported at first use; scipy.optimize is slow to import
from numpy.typing import NDArray

from genre_app.checkpoint import Checkpoint, tempered
from genre_app.combine import combine
from genre_app.errors import DataError
from genre_app.evaluation.calibration import TEMPERATURES, choose_sure_limits, log_loss
from genre_app.evaluation.evaluate import MemberTrack, evaluate_members
from genre_app.evaluation.metrics import ROW_HEAD, Report
from genre_app.files import AnyPath
from genre_app.vote import References

_LEAST_WEIGHT = 0.01  # a checkpoint keeps at least this share; leave it out to save its time


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
            "temperatures": [member.temperature for member in self.checkpoint.members],
            "temperature": self.checkpoint.temperature,
            "sure": self.checkpoint.sure.model_dump(),
            "reports": {name: {**report.summary(), "ece": report.ece} for name, report in self.reports.items()},
        }

    def to_table(self) -> str:
        """Return a row for each report, and what was chosen."""
        width = max(map(len, self.reports))
        lines = [f"{'checkpoint':{width}}{ROW_HEAD}    ECE"]
        for name, report in self.reports.items():
            lines.append(f"{report.to_row(name, width)}  {report.ece:5.3f}")
        sure = self.checkpoint.sure
        weights = ", ".join(f"{weight:.3f}" for weight in self.weights)
        temperatures = ", ".join(f"{member.temperature:.2f}" for member in self.checkpoint.members)
        chosen = f"weights {weights}; temperatures {temperatures}, of the mean {self.checkpoint.temperature:.2f}"
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

    The tracks also choose the networks' temperatures and the limits of a sure answer, and become the references of the knn
    vote. No part should have been trained on them.

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
    return combine_by(found.tracks, parts, weights=weights, failed=found.failed)


def combine_by(
    tracks: Sequence[MemberTrack],
    parts: Sequence[Checkpoint],
    *,
    weights: Sequence[float] | None = None,
    failed: tuple[tuple[str, str], ...] = (),
) -> Combination:
    """Combine checkpoints as `combine_on` does, by probabilities that are known already.

    In a cross-validation, these come from the networks of its folds, which have the settings of the parts.

    Parameters
    ----------
    tracks : sequence of MemberTrack
        Probabilities by each member of each part, at the members' own temperatures.
    parts, weights
        As in `combine_on`.
    failed : tuple of (str, str)
        Tracks that could not be classified, for the reports.

    Raises
    ------
    CheckpointError
        If the checkpoints cannot be combined.
    """
    equal = combine(parts, weights)
    bounds = list(pairwise(accumulate((len(part.members) for part in parts), initial=0)))  # of each part's members
    alone = []
    for part, (first, end) in zip(parts, bounds, strict=True):
        alone.append(_report(part, [replace(track, of_members=track.of_members[first:end]) for track in tracks], failed))
    given = None if weights is None else [member.weight for member in equal.members]
    mix, temperatures = choose_mix([track.of_members for track in tracks], _labels(tracks), given)
    shares = tuple(sum(mix[first:end]) for first, end in bounds)
    joined, result = calibrated(with_mix(combine(parts, shares), mix, temperatures), tracks)
    result = replace(result, failed=failed)
    joined.metrics = {"valid": result.to_dict()}
    rows = {**_named([part.name for part in parts], alone), "equal weights": _report(combine(parts), tracks, failed)}
    rows["combined"] = result
    if len(parts) > 1:  # the weights as the checkpoint has them: it makes their sum 1
        shares = tuple(part["weight"] for part in joined.provenance["parts"])
    return Combination(joined, shares, rows)


def _labels(tracks: Sequence[MemberTrack]) -> NDArray[np.int64]:
    return np.array([track.label for track in tracks])


def _report(checkpoint: Checkpoint, tracks: Sequence[MemberTrack], failed: tuple[tuple[str, str], ...] = ()) -> Report:
    return Report(checkpoint.genres, tuple(track.joined_by(checkpoint) for track in tracks), failed=failed)


def _named(names: Sequence[str], reports: Sequence[Report]) -> dict[str, Report]:
    """Key reports by name; parts with the same name get a number."""
    return {
        name if names.count(name) == 1 else f"{name} ({place})": report
        for place, (name, report) in enumerate(zip(names, reports, strict=True), 1)
    }


def choose_mix(
    tracks: Sequence[Sequence[NDArray[np.float32]]], labels: NDArray[np.integer], weights: Sequence[float] | None = None
) -> tuple[list[float], list[float]]:
    """Return the members' weights and temperatures with the least log-loss of whole tracks by the mean vote.

    Both are chosen together: a mean of probabilities is less sure than its parts, so a part may need a lower temperature in
    company than alone.

    Parameters
    ----------
    tracks : sequence of sequences of numpy.ndarray, each [s, g]
        For each track, the probabilities of its segments by each member.
    labels : numpy.ndarray [n]
    weights : sequence of float, optional
        Use these weights, and choose only the temperatures.

    Returns
    -------
    weights : list of float
        They sum to one; a chosen one is at least 0.01.
    temperatures : list of float
        Within `TEMPERATURES`.
    """
    n_members = len(tracks[0])
    rows = [np.concatenate([of_members[index] for of_members in tracks]).astype(np.float64) for index in range(n_members)]
    counts = np.array([[len(of_members[0])] for of_members in tracks])
    first = np.cumsum(counts) - counts[:, 0]

    def read(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        shares = np.exp(values[n_members:]) if weights is None else np.asarray(weights, dtype=np.float64)
        shares = shares / shares.sum()
        return np.maximum(shares, _LEAST_WEIGHT) if weights is None else shares, np.exp(values[:n_members])

    def loss(values: NDArray[np.float64]) -> float:
        shares, temperatures = read(values)
        mean = sum(share * tempered(of, float(t)) for share, of, t in zip(shares, rows, temperatures, strict=True))
        return log_loss(np.add.reduceat(np.asarray(mean) / shares.sum(), first) / counts, labels)

    bounds = [tuple(map(math.log, TEMPERATURES))] * n_members + [(-5.0, 5.0)] * (n_members if weights is None else 0)
    found = scipy.optimize.minimize(loss, np.zeros(len(bounds)), method="L-BFGS-B", bounds=bounds)
    shares, temperatures = read(found.x)
    return [float(share) for share in shares / shares.sum()], [float(value) for value in temperatures]


def calibrated(checkpoint: Checkpoint, tracks: Sequence[MemberTrack]) -> tuple[Checkpoint, Report]:
    """Choose the temperature of the members' mean, the limits of a sure answer and the references of the knn vote.

    The temperature has the least log-loss of whole tracks by the mean vote. It is usually below 1: a mean of networks is right
    more often than it says [1]_. A checkpoint of one network keeps its temperature, because the network has its own.

    Returns
    -------
    checkpoint : Checkpoint
        The same networks.
    report : Report
        Of the tracks; its knn vote leaves the track itself out.

    References
    ----------
    .. [1] Ranjan and Gneiting 2010, Combining probability forecasts.
    """
    labels = _labels(tracks)
    plain = replace(checkpoint, temperature=1.0)
    rows = [plain.joined(track.of_members).astype(np.float64) for track in tracks]

    def loss(temperature: float) -> float:
        return log_loss(np.array([tempered(of_track, temperature).mean(axis=0) for of_track in rows]), labels)

    if len(checkpoint.members) > 1:
        found = scipy.optimize.minimize_scalar(loss, bounds=TEMPERATURES, method="bounded")
        checkpoint = replace(checkpoint, temperature=float(found.x))
    report = _report(checkpoint, tracks)
    references = References.of_tracks(report.probabilities, labels)
    limits = choose_sure_limits(report.probabilities, labels)
    return replace(checkpoint, sure=limits, references=references), replace(report, references=references, leave_one_out=True)


def with_mix(checkpoint: Checkpoint, weights: Sequence[float], temperatures: Sequence[float]) -> Checkpoint:
    """Return the checkpoint with these weights and temperatures of its members."""
    mix = zip(checkpoint.members, weights, temperatures, strict=True)
    return replace(checkpoint, members=tuple(replace(member, weight=w, temperature=t) for member, w, t in mix))
