"""Errors with a message for the user, and the one formatter of pydantic's errors.

Each message is one sentence that names the file, what is wrong and what to do.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from difflib import get_close_matches

from pydantic import ValidationError

_MAX_VALUE_LENGTH = 40  # letters of a wrong value that a message repeats
_PLAIN_WORDS = (
    (r"^Value error, ", ""),
    (r"^\w+ should ", "must "),
    (r"greater than or equal to", "at least"),
    (r"less than or equal to", "at most"),
    (r", unable to .*", ""),
)


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


def some(names: Sequence[str], n: int = 5) -> str:
    """Return the first ``n`` names, separated by commas, and how many more there are."""
    return ", ".join(names[:n]) + (f" and {len(names) - n} more" if len(names) > n else "")


def validation_message(error: ValidationError, known: Collection[str] = ()) -> str:
    """Describe the first wrong field in one part of a sentence, such as ``spec.n_fft: must be at least 64, got 2``.

    Parameters
    ----------
    error : pydantic.ValidationError
    known : collection of str
        Paths of all fields that exist. With them, the message on an unknown field names similar ones.
    """
    first = error.errors(include_url=False)[0]
    place = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        return unknown_field(place, known)
    if first["type"] == "missing":
        return f"{place} is missing"
    words = first["msg"]
    for pattern, plain in _PLAIN_WORDS:
        words = re.sub(pattern, plain, words)
    if not place:
        return words
    value = first["input"]
    if first["type"] != "value_error" and isinstance(value, str | int | float):
        words += f", got {(value[:_MAX_VALUE_LENGTH] if isinstance(value, str) else value)!r}"
    return f"{place}: {words}"


def unknown_field(path: str, known: Collection[str]) -> str:
    """Say that there is no field of this path, and name similar ones of the ``known`` paths."""
    near = get_close_matches(path, known)
    return f"there is no field {path!r}" + (f"; did you mean {' or '.join(near)}?" if near else "")


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, its type if it has none, or the `validation_message`."""
    if isinstance(error, ValidationError):
        return validation_message(error)
    return str(error).splitlines()[0] if str(error) else type(error).__name__
