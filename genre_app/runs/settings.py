"""Settings that change a recipe: typed values by dotted path, and the text ``FIELD=VALUE`` of the command line."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tomlkit
from typing_extensions import TypeAliasType

from genre_app.errors import RecipeError
from genre_app.training.config import PATH_FIELDS

Value = TypeAliasType("Value", "bool | int | float | str | list[Value] | dict[str, Value]")
"""A value that JSON and TOML can both hold."""


def read_settings(texts: Iterable[str]) -> dict[str, Value]:
    """Parse texts ``FIELD=VALUE``; a later text replaces an earlier one of the same field.

    A value that is not TOML is text, so that ``augment=noise`` needs no quotes.

    Raises
    ------
    RecipeError
        If a text has no equals sign.
    """
    settings = {}
    for text in texts:
        field, equals, value = text.partition("=")
        if not equals:
            raise RecipeError(f"--set {text!r} must read FIELD=VALUE")
        settings[field.strip()] = _parse(value)
    return settings


def write_setting(field: str, value: Value) -> str:
    """Return the text ``FIELD=VALUE`` that `read_settings` parses back."""
    if isinstance(value, str) and _parse(value) == value:
        return f"{field}={value}"
    array = tomlkit.array()  # within an array, tomlkit writes a dict on one line
    array.append(value)
    return f"{field}={array.as_string()[1:-1]}"


def without_folders(settings: Mapping[str, Value]) -> dict[str, Value]:
    """Return settings in which each path is reduced to its file name, for texts that are published."""
    return {field: _without_folders(field, value) for field, value in settings.items()}


def _without_folders(field: str, value: Value) -> Any:
    if isinstance(value, dict):
        return {name: _without_folders(f"{field}.{name}", inner) for name, inner in value.items()}
    return Path(value).name if field in PATH_FIELDS and isinstance(value, str) else value


def _parse(text: str) -> Value:
    try:
        parsed = tomllib.loads(f"value = {text}")
        json.dumps(parsed, allow_nan=False)
    except (tomllib.TOMLDecodeError, TypeError, ValueError, RecursionError):  # JSON has no dates and no infinity
        return text
    return parsed["value"] if len(parsed) == 1 else text
