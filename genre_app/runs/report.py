"""Read ``report.json``, the report of a finished run. What a page shows of it is checked; other keys may hold anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, NotRequired

from pydantic import AfterValidator, Field, TypeAdapter
from typing_extensions import TypedDict

from genre_app.errors import RunError, first_line
from genre_app.runs.events import Count, Matrix, Seconds, Share


class Scores(TypedDict):
    """Results for one genre; a genre without tracks has no shares."""

    precision: Share | None
    recall: Share | None
    f1: Share | None
    n: Count


class Confusion(TypedDict):
    """Number of tracks by true genre (rows) and answer (columns)."""

    genres: Annotated[list[str], Field(min_length=1)]
    matrix: Matrix


def _has_a_row_for_each_genre(confusion: Confusion) -> Confusion:
    if len(confusion["matrix"]) != len(confusion["genres"]):
        raise ValueError("the matrix must have a row for each genre")
    return confusion


class Accuracy(TypedDict):
    """Share of the tracks that are right, and its 95 % interval."""

    n_tracks: Count
    accuracy: Share
    accuracy_ci95: Annotated[list[Share], Field(min_length=2, max_length=2)]


class Metrics(Accuracy):
    """Results on some tracks, as `genre_app.evaluation.metrics` defines them."""

    log_loss: float
    macro_f1: float
    segment_accuracy: Share
    by_vote: dict[str, Share]
    per_genre: dict[str, Scores]
    confusion: Annotated[Confusion, AfterValidator(_has_a_row_for_each_genre)]


class FoldMetrics(Metrics):
    """Results of a cross-validation."""

    folds: Count


class Report(TypedDict):
    """Content of ``report.json``; without validation tracks it has ``folds`` or no results."""

    best_epoch: Count
    seconds: Seconds
    valid: NotRequired[Metrics]
    test: NotRequired[Accuracy]
    folds: NotRequired[FoldMetrics]


_REPORT = TypeAdapter(Report)


def read_report(path: Path) -> dict[str, Any]:
    """Read a `Report` with all its keys; raises `RunError` if it is damaged."""
    try:
        content = path.read_bytes()
        _REPORT.validate_json(content, strict=True)
        report: dict[str, Any] = json.loads(content)
    except (OSError, ValueError) as error:
        what = "the checkpoint of the run still works: measure it with genre-app evaluate"
        raise RunError(f"{path} cannot be read ({first_line(error)}); {what}.") from error
    return report
