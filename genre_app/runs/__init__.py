"""A run: a folder with the settings, journal, checkpoints and report of one training, and what can be done with it."""
