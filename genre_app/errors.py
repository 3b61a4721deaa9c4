"""Errors whose message is meant for the user: one sentence that names the file, what is wrong and what to do."""

from __future__ import annotations


class GenreAppError(ValueError):
    """Base of the errors below. The command line prints the message; the page shows it."""


class AudioError(GenreAppError):
    """An audio file or stream cannot be used."""


class DataError(GenreAppError):
    """Labelled music, a cache or a feature table cannot be used."""


class CheckpointError(GenreAppError):
    """A checkpoint cannot be used."""


class RecipeError(GenreAppError):
    """A recipe or one of its settings is wrong."""


class RunError(GenreAppError):
    """A run cannot be created, read or changed."""


class RunTakenError(RunError):
    """The folder of a new run is not empty."""
