"""Metrics: by hand, against scikit-learn and by the formula of the interval."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys

import numpy as np
import pytest
from sklearn.metrics import f1_score, log_loss

from genre_app.evaluation.calibration import expected_calibration_error
from genre_app.evaluation.metrics import Report, TrackResult
from genre_app.vote import VOTES, References

ROWS = {  # label, segments
    "first": (0, [[0.7, 0.2, 0.1], [0.2, 0.5, 0.3], [0.6, 0.3, 0.1]]),  # right; 2 of 3 segments right
    "second": (0, [[0.1, 0.6, 0.3]]),  # answered as 1
    "third": (1, [[0.1, 0.8, 0.1], [0.1, 0.8, 0.1]]),  # right
    "fourth": (1, [[0.35, 0.33, 0.32], [0.35, 0.33, 0.32], [0.0, 0.9, 0.1]]),  # right by the mean, wrong by the majority
}


@pytest.fixture
def report() -> Report:
    tracks = tuple(TrackResult(name, label, np.array(rows, np.float32)) for name, (label, rows) in ROWS.items())
    return Report(("a", "b", "c"), tracks, failed=(("x.wav", "x.wav: broken"),))


def test_metrics_by_hand(report):
    assert report.accuracy == 0.75
    assert report.segment_accuracy == pytest.approx(5 / 9)
    assert report.by_vote == {"majority": 0.5, "mean": 0.75, "geometric": 0.75}
    assert report.confusion.tolist() == [[1, 1, 0], [0, 2, 0], [0, 0, 0]]
    assert report.per_genre["a"] == {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "n": 2}
    assert report.per_genre["b"] == {"precision": pytest.approx(2 / 3), "recall": 1.0, "f1": pytest.approx(0.8), "n": 2}
    assert report.per_genre["c"] == {"precision": None, "recall": None, "f1": None, "n": 0}
    assert report.macro_f1 == pytest.approx((2 / 3 + 0.8) / 2)  # genre c is not in the data
    expected = -np.mean(np.log([0.5, 0.1, 0.8, (0.33 + 0.33 + 0.9) / 3]))
    assert report.log_loss == pytest.approx(expected, rel=1e-6)
    assert report.to_dict()["ece"] == report.ece == expected_calibration_error(report.probabilities, report.labels)


def test_metrics_equal_sklearn():
    random = np.random.default_rng(0)
    tracks = tuple(
        TrackResult(str(index), int(random.integers(4)), random.dirichlet(np.ones(4), 5).astype(np.float32))
        for index in range(60)
    )
    report = Report(("a", "b", "c", "d"), tracks)
    answers = report.probabilities.argmax(axis=1)
    assert report.log_loss == pytest.approx(log_loss(report.labels, report.probabilities))
    assert report.macro_f1 == pytest.approx(f1_score(report.labels, answers, average="macro"))
    assert report.confusion.sum() == 60
    assert np.trace(report.confusion) / 60 == report.accuracy


@pytest.mark.parametrize(("n_right", "n_tracks"), [(0, 10), (7, 10), (10, 10), (196, 290)])
def test_the_interval_is_wilsons(n_right, n_tracks):
    tracks = [
        TrackResult(str(i), 0, np.array([[1.0, 0.0] if i < n_right else [0.0, 1.0]], np.float32)) for i in range(n_tracks)
    ]
    z, p = 1.959963984540054, n_right / n_tracks
    centre = (p + z * z / (2 * n_tracks)) / (1 + z * z / n_tracks)
    half = z / (1 + z * z / n_tracks) * math.sqrt(p * (1 - p) / n_tracks + z * z / (4 * n_tracks**2))
    assert Report(("a", "b"), tuple(tracks)).accuracy_interval == pytest.approx((centre - half, centre + half), abs=1e-9)


def test_a_certain_mistake_has_a_finite_loss():
    report = Report(("a", "b"), (TrackResult("t", 0, np.array([[0.0, 1.0]], np.float32)),))
    assert report.log_loss == pytest.approx(-math.log(1e-12))


def test_knn_is_reported_where_the_checkpoint_has_references(report):
    known = References(np.eye(3, dtype=np.float32), np.arange(3), 1)
    with_references = Report(report.genres, report.tracks, known)
    assert list(with_references.by_vote) == list(VOTES)
    assert with_references.by_vote["knn"] == 0.75


def test_the_report_as_json_and_table(report):
    found = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    keys = "n_tracks accuracy accuracy_ci95 log_loss ece macro_f1 per_genre confusion by_vote segment_accuracy failed notes"
    assert list(found) == keys.split()
    assert found["n_tracks"] == 4
    assert found["confusion"] == {"genres": ["a", "b", "c"], "matrix": [[1, 1, 0], [0, 2, 0], [0, 0, 0]]}
    assert found["failed"] == [{"file": "x.wav", "error": "x.wav: broken"}]
    assert len(found["accuracy_ci95"]) == 2
    assert found["per_genre"]["c"] == {"precision": None, "recall": None, "f1": None, "n": 0}
    table = report.to_table()
    assert re.search(r"^c +– +– +– +0 *$", table, re.MULTILINE)
    assert "4 tracks, 1 failed" in table
    assert "75.0%" in table
    assert "x.wav: broken" in table


def test_they_import_no_slow_library_before_they_need_it():
    """The page imports them when it starts."""
    code = (
        "import sys, genre_app.evaluation.metrics\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'scipy.stats', 'sklearn')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
