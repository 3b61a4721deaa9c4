"""Runs: folders that keep a training run's settings, journal, checkpoints and report."""
