"""Evaluation: metrics, reports on labelled tracks, and the same music under other recording conditions."""
