"""Evaluate checkpoints: metrics on labelled tracks, and the same tracks under other recording conditions."""

from genre_app.evaluation.evaluate import evaluate
from genre_app.evaluation.metrics import Report, TrackResult, wilson_interval

__all__ = ["Report", "TrackResult", "evaluate", "wilson_interval"]
