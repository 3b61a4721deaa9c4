"""The fields of `TrainConfig` as form fields: label, help and choices of each, and its value to and from a widget.

A number, a flag and a text stand in their widgets as they are. A pair and a longer list of numbers are written ``5, 40``. The
settings of a network are lines of TOML.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, reduce
from operator import getitem
from typing import Any, Literal

import tomlkit
from pydantic import TypeAdapter, ValidationError
from tomlkit.items import InlineTable

from genre_app.augment.presets import PRESETS
from genre_app.errors import GenreAppError, validation_message
from genre_app.models import model_names
from genre_app.models.base import settings_class
from genre_app.training import TrainConfig

OF_RECIPE = "as in the recipe"
"""Choice of an augmentation preset that keeps the recipe's augmentation."""

_KINDS: dict[str, Kind] = {"boolean": "flag", "integer": "number", "number": "number", "array": "numbers", "object": "toml"}
_WORDS = {word.lower(): word for word in ("dB", "FFT", "Hz", "MFCC", "n", "SNR", "T60")} | {"alpha": "α"}
_BOUNDS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}

Kind = Literal["choice", "flag", "number", "text", "pair", "numbers", "toml"]


class FormError(GenreAppError):
    """A value in the form cannot be used.

    Parameters
    ----------
    path : str
        Dotted path of the field or group. Empty if the error belongs to no field.
    message : str
        One sentence for the visitor.
    """

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path

    @classmethod
    def of(cls, error: ValidationError) -> FormError:
        """Return the error of the first wrong field."""
        place = [part for part in error.errors(include_url=False, include_input=False)[0]["loc"] if isinstance(part, str)]
        return cls(".".join(place), validation_message(error))


@dataclass(frozen=True)
class FormField:
    """One field of `TrainConfig` or of a group in it.

    Attributes
    ----------
    path : str
        Dotted path, such as ``augment.mild.pitch_semitones``.
    kind : {"choice", "flag", "number", "text", "pair", "numbers", "toml"}
    label, info : str
        ``info`` is the help text with the bounds.
    choices : tuple of str
        Allowed values of a choice.
    is_path : bool
        Whether the value is a path on the server.
    """

    path: str
    kind: Kind
    label: str
    info: str
    choices: tuple[str, ...] = ()
    is_path: bool = False

    @property
    def group(self) -> str:
        """The path without its last part; empty for the fields of `TrainConfig` itself."""
        return self.path.rpartition(".")[0]

    def show(self, value: Any) -> Any:
        """Return what the widget holds for a JSON value of the field."""
        if self.kind in ("pair", "numbers"):
            return ", ".join(f"{part:g}" for part in value)
        if self.kind == "toml":
            return _toml_lines(value)
        return "" if value is None else value

    def read(self, shown: Any) -> Any:
        """Return the JSON value for what the widget holds; None for an empty text.

        Raises
        ------
        FormError
            If the text is not of the field's kind. `TrainConfig` checks the bounds.
        """
        if self.kind in ("pair", "numbers"):
            return self._numbers(str(shown or ""))
        if self.kind == "toml":
            return self._settings(str(shown or ""))
        if self.kind == "number" and not isinstance(shown, int | float):
            raise FormError(self.path, f"{self.path}: write a number")
        return (str(shown or "").strip() or None) if self.kind in ("text", "choice") else shown

    def _numbers(self, text: str) -> list[float]:
        try:
            numbers = [float(part) for part in re.split(r"\s*[,;]\s*", text.strip()) if part or self.kind == "pair"]
            if self.kind == "pair" and len(numbers) != 2:
                raise ValueError
        except ValueError as error:
            wanted = "two numbers, such as 5, 40" if self.kind == "pair" else "numbers, such as 0.25, 0.5"
            raise FormError(self.path, f"{self.path}: write {wanted}") from error
        return numbers

    def _settings(self, text: str) -> dict[str, Any]:
        try:
            settings = tomllib.loads(text)
            json.dumps(settings, allow_nan=False)
        except RecursionError as error:
            raise FormError(
                self.path, f"{self.path}: its values are nested too deeply; write lines such as dropout = 0.2"
            ) from error
        except (TypeError, ValueError) as error:
            reason = error if isinstance(error, tomllib.TOMLDecodeError) else "no value may be a date, nan or inf"
            raise FormError(self.path, f"{self.path}: write lines such as dropout = 0.2; {reason}") from error
        return settings


@cache
def form_fields() -> tuple[FormField, ...]:
    """Return all fields that can be set, in the order of `TrainConfig`."""
    schema = TrainConfig.model_json_schema()
    return tuple(_fields(schema, schema["$defs"], ""))


def shown_values(config: TrainConfig) -> dict[str, Any]:
    """Return what the widgets hold for a configuration, by path."""
    values = config.model_dump(mode="json")
    return {field.path: field.show(_value_at(values, field.path)) for field in form_fields()}


def changed_settings(shown: Mapping[str, Any], recipe: TrainConfig, preset: str = OF_RECIPE) -> dict[str, Any]:
    """Return the settings that turn a recipe into the values of the form.

    Parameters
    ----------
    shown : mapping
        What the widgets hold, by path. A field that is missing keeps the recipe's value.
    recipe : TrainConfig
    preset : str
        Name of the preset that replaces the recipe's augmentation, or `OF_RECIPE`.

    Returns
    -------
    dict
        Typed values by path, for `genre_app.runs.request.Request`.

    Raises
    ------
    FormError
        If a value cannot be read.
    """
    settings: dict[str, Any] = {}
    if preset != OF_RECIPE and PRESETS[preset] != recipe.augment:
        settings["augment"] = preset
        recipe = recipe.model_copy(update={"augment": PRESETS[preset]})
    values = recipe.model_dump(mode="json")
    for field in form_fields():
        if field.path not in shown:
            continue
        new, old = field.read(shown[field.path]), _value_at(values, field.path)
        if new is None or new == old:
            continue
        if field.kind == "toml" and new.keys() >= old.keys() and shown.get("model") == recipe.model:
            settings |= {f"{field.path}.{name}": value for name, value in new.items() if value != old.get(name)}
        else:
            settings[field.path] = new
    return settings


@cache
def network_info(model: str) -> str:
    """Return the help text for the settings of a network: their names and defaults."""
    fields = settings_class(model).model_fields
    if not fields:
        return f"{model} has no settings."
    defaults = []
    for name, info in fields.items():
        value = TypeAdapter(Any).dump_python(info.get_default(call_default_factory=True), mode="json", exclude_unset=True)
        defaults.append(f"{name} is not set" if value is None else " ".join(_toml_lines({name: value}).split()))
    return f"One setting a line, such as dropout = 0.2. Defaults of {model}: {', '.join(defaults)}."


def _fields(schema: Mapping[str, Any], groups: Mapping[str, Any], prefix: str) -> Iterator[FormField]:
    for name, entry in schema["properties"].items():
        path = f"{prefix}{name}"
        if "$ref" in entry:
            yield from _fields(groups[entry["$ref"].rpartition("/")[2]], groups, f"{path}.")
            continue
        entry = entry | entry.get("anyOf", [{}])[0]  # an optional value: its type stands first, then null
        if "const" in entry:  # only one value is allowed
            continue
        choices = tuple(model_names()) if path == "model" else tuple(entry.get("enum", ()))
        kind: Kind = "choice" if choices else "pair" if "prefixItems" in entry else _KINDS.get(entry["type"], "text")
        yield FormField(path, kind, _label(name), _info(name, entry), choices, entry.get("format") == "path")


def _label(name: str) -> str:
    words = " ".join(_WORDS.get(word, word) for word in name.split("_"))
    return words if name.split("_")[0] in _WORDS else words[:1].upper() + words[1:]


def _info(name: str, entry: Mapping[str, Any]) -> str:
    """Return the description and the bounds of a field of the JSON schema; those of each number for a list."""
    description = entry.get("description", "share of the segments" if name.endswith("_probability") else "")
    number = entry["prefixItems"][0] if "prefixItems" in entry else entry.get("items", entry)
    if "minimum" in number and "maximum" in number:
        bounds = f"{_plain(number['minimum'])} to {_plain(number['maximum'])}"
    else:
        bounds = ", ".join(f"{words} {_plain(number[key])}" for key, words in _BOUNDS.items() if key in number)
    text = "; ".join(filter(None, (description, bounds, "from, to" if "prefixItems" in entry else "")))
    return text[:1].upper() + text[1:]


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else f"{number:g}"


def _value_at(values: Mapping[str, Any], path: str) -> Any:
    return reduce(getitem, path.split("."), values)


def _toml_lines(settings: Mapping[str, Any]) -> str:
    """Write settings as TOML, a list of tables with one table a line."""
    document = tomlkit.document()
    for name, value in settings.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            rows = tomlkit.array().multiline(True)
            rows.extend(_inline(row) for row in value)
            value = rows
        document.add(name, value)
    return tomlkit.dumps(document).strip()


def _inline(settings: Mapping[str, Any]) -> InlineTable:
    table = tomlkit.inline_table()
    for name, value in settings.items():
        table[name] = _inline(value) if isinstance(value, dict) else value
    return table
