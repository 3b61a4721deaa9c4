"""Evaluate checkpoints: metrics on labelled tracks, and the same tracks under other recording conditions."""
