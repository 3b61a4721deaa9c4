"""The training form as data: what `TrainConfig` says of each field, and the way from values on the page to ``--set`` and back.

A widget holds a number, a text or a flag; a pair is written ``5, 40`` and the settings of a network are lines of TOML.
"""

from __future__ import annotations

import json
import tomllib
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from genre_app.augment.chain import AugmentConfig
from genre_app.augment.presets import PRESETS
from genre_app.errors import RecipeError
from genre_app.models import model_names
from genre_app.models.base import settings_class
from genre_app.runs.request import Request
from genre_app.training import TrainConfig

OF_RECIPE = "as in the recipe"
"""Value of the choice of a preset that leaves the recipe's augmentation as it is."""

_WORDS = {
    "alpha": "α",
    "db": "dB",
    "fft": "FFT",
    "hz": "Hz",
    "mfcc": "MFCC",
    "n": "n",
    "snr": "SNR",
    "t60": "T60",
}


class FormError(ValueError):
    """A value on the page cannot be used; the message is one sentence.

    Parameters
    ----------
    message : str
    path : str
        Of the field.
    """

    def __init__(self, message: str, path: str) -> None:
        super().__init__(message)
        self.path = path


@dataclass(frozen=True)
class FormField:
    """One field of `TrainConfig`, or of a group within.

    Attributes
    ----------
    path : str
        As ``--set`` writes it: ``augment.mild.pitch_semitones``.
    kind : {"choice", "flag", "number", "text", "pair", "path", "lines"}
    label, info : str
    bounds : str
        In words, empty if it has none; they are in ``info`` too.
    choices : tuple of str
    """

    path: str
    kind: Literal["choice", "flag", "number", "text", "pair", "path", "lines"]
    label: str
    info: str
    bounds: str
    choices: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        """The path without its last part; empty for the fields of `TrainConfig` itself."""
        return self.path.rpartition(".")[0]


def form_fields(model: type[BaseModel] = TrainConfig, group: str = "") -> Iterator[FormField]:
    """Yield every field that can be set, groups opened, in their order."""
    for name, info in model.model_fields.items():
        path = f"{group}.{name}" if group else name
        annotation = _without_none(info.annotation)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from form_fields(annotation, path)
            continue
        kind, choices = _kind(path, annotation)
        if kind == "choice" and len(choices) == 1:
            continue  # nothing to choose: TOML has no null either
        yield FormField(path, kind, _label(name), _info(name, info, annotation), _bounds_of(info), choices)


def shown(config: TrainConfig) -> dict[str, Any]:
    """Return what the widgets hold for these settings, by path."""
    return {field.path: _shown(value_at(config, field.path)) for field in form_fields()}


def value_at(config: BaseModel, path: str) -> Any:
    """Return the value of a field by its path."""
    value: Any = config
    for name in path.split("."):
        value = getattr(value, name)
    return value


def table_rows(fields: Sequence[FormField], values: Mapping[str, Any]) -> list[list[str]]:
    """Return a row for each field: its label, its value, and what it is."""
    return [[field.label, _cell(values[field.path]), field.info] for field in fields]


def of_table(fields: Sequence[FormField], rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """Return what the rows of such a table hold, by path; rows that are none of these fields are passed over."""
    written = {str(row[0]): row[1] for row in rows if len(row) > 1}
    return {field.path: _from_cell(field, written[field.label]) for field in fields if field.label in written}


def settings_of(values: Mapping[str, Any], recipe: TrainConfig, preset: str = OF_RECIPE) -> dict[str, Any]:
    """Return the settings, by path, that make the values on the page of a recipe.

    Parameters
    ----------
    values : mapping
        What the widgets hold, by path; fields that are missing stay as the recipe has them.
    recipe : TrainConfig
    preset : str
        Name of the augmentation that replaces the recipe's, or `OF_RECIPE`.

    Raises
    ------
    FormError
        If a value cannot be read.
    """
    settings: dict[str, Any] = {}
    augment = recipe.augment
    if preset != OF_RECIPE and PRESETS[preset] != augment:
        augment = PRESETS[preset]
        settings["augment"] = preset
    start = recipe.model_copy(update={"augment": augment})
    same_model = values.get("model", recipe.model) == recipe.model
    for field in form_fields():
        if field.path not in values:
            continue
        new, old = _read(field, values[field.path]), value_at(start, field.path)
        if field.path == "model_settings":
            settings |= _network(new, old, whole=not same_model)
        elif new is not None and new != (list(old) if isinstance(old, tuple) else str(old) if isinstance(old, Path) else old):
            settings[field.path] = new
    return settings


def preset_values(preset: str, recipe: TrainConfig) -> dict[str, Any]:
    """Return what the widgets of the augmentation hold for a preset, by path."""
    augment: AugmentConfig = recipe.augment if preset == OF_RECIPE else PRESETS[preset]
    of_preset = shown(recipe.model_copy(update={"augment": augment}))
    return {path: value for path, value in of_preset.items() if path.startswith("augment.")}


def network_info(model: str) -> str:
    """Say which settings a network has, and their defaults."""
    fields = settings_class(model).model_fields
    if not fields:
        return f"{model} has none."
    defaults = ", ".join(
        f"{name} = {_quoted(_plain(info.get_default(call_default_factory=True)))}" for name, info in fields.items()
    )
    return f"One a line, such as dropout = 0.2. Those of {model}, and what they are unless told: {defaults}."


def check_network(config: TrainConfig) -> None:
    """Check the settings of the network, which `TrainConfig` leaves to it.

    Raises
    ------
    ValueError
        If it has no such settings, or one is out of bounds.
    """
    settings_class(config.model).model_validate(config.model_settings)


def explain(error: Exception) -> str:
    """Put what is wrong with a value into one sentence that names the field as the page does."""
    cause = _validation(error)
    if cause is None:
        return _full_stop(str(error).splitlines()[0] if str(error) else type(error).__name__)
    first = cause.errors(include_url=False, include_input=False)[0]
    places = _places(cause)
    words = first["msg"].removeprefix("Value error, ").replace("Input should be", "must be").replace("Field", "the field")
    if not places:
        return _full_stop(words[:1].upper() + words[1:])
    where = _label(places[-1]) if len(places) == 1 else f"{_label(places[-1])} ({'.'.join(places)})"
    bounds = _bounds_at(cause.title, places)
    if bounds and first["type"].startswith(("greater_than", "less_than", "int_", "float_", "finite_")):
        words = f"must be {'a whole number, ' * first['type'].startswith('int_')}{bounds}"
    return _full_stop(f"{where}: {words}")


def blamed(error: Exception) -> str | None:
    """Return the path of the field, or of the group of fields, in which a value is wrong; None if it is none of these."""
    if isinstance(error, FormError):
        return error.path
    cause = _validation(error)
    if cause is None:
        return None
    if cause.title in (TrainConfig.__name__, Request.__name__):
        return ".".join(_places(cause)) or None
    return "model_settings"


def _validation(error: Exception) -> ValidationError | None:
    # A RecipeError is raised from the ValidationError; errors of other kinds are sentences already.
    cause = error.__cause__ if type(error) in (ValueError, RecipeError) else error
    return cause if isinstance(cause, ValidationError) else None


def _places(error: ValidationError) -> list[str]:
    first = error.errors(include_url=False, include_input=False)[0]
    return [str(part) for part in first["loc"] if not isinstance(part, int)]


def _bounds_at(model_name: str, places: Sequence[str]) -> str:
    """Return the bounds of a field of one of the models whose values are typed; empty if it has none."""
    known: list[type[BaseModel]] = [TrainConfig, Request, *map(settings_class, model_names())]
    model: Any = next((one for one in known if one.__name__ == model_name), None)
    for name in places[:-1]:
        info = getattr(model, "model_fields", {}).get(name)
        model = _without_none(info.annotation) if info is not None else None
    info = getattr(model, "model_fields", {}).get(places[-1])
    return _bounds_of(info) if info is not None else ""


def _kind(path: str, annotation: Any) -> tuple[Any, tuple[str, ...]]:
    if path == "model":
        return "choice", tuple(model_names())
    origin = get_origin(annotation)
    if origin is Literal:
        return "choice", tuple(map(str, get_args(annotation)))
    if annotation is bool:
        return "flag", ()
    if annotation in (int, float):
        return "number", ()
    if origin is tuple:
        return "pair", ()
    if annotation is Path:
        return "path", ()
    if origin is dict or annotation is dict:
        return "lines", ()
    return "text", ()


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, types.UnionType):
        kept = [part for part in get_args(annotation) if part is not type(None)]
        return kept[0] if len(kept) == 1 else annotation
    return annotation


def _label(name: str) -> str:
    first, *others = [_WORDS.get(word, word) for word in name.split("_")]
    return " ".join([first if first in _WORDS.values() else first.capitalize(), *others])


def _info(name: str, info: FieldInfo, annotation: Any) -> str:
    does = "share of the segments" if name.endswith("_probability") else ""
    parts = [info.description or does, _bounds_of(info), "from, to" if get_origin(annotation) is tuple else ""]
    words = "; ".join(part for part in parts if part)
    return words[:1].upper() + words[1:]


def _bounds_of(info: FieldInfo) -> str:
    """Return the bounds of a number, or of the two numbers of a pair."""
    annotation = _without_none(info.annotation)
    inner = get_args(annotation)[0] if get_origin(annotation) is tuple else None
    within = [part for extra in getattr(inner, "__metadata__", ()) for part in getattr(extra, "metadata", ())]
    return _bounds([*info.metadata, *within])


def _bounds(metadata: list[Any]) -> str:
    found = {name: getattr(part, name) for part in metadata for name in ("ge", "gt", "le", "lt") if hasattr(part, name)}
    if "ge" in found and "le" in found:
        return f"{_toml(found['ge'])} to {_toml(found['le'])}"
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    return ", ".join(f"{words[name]} {_toml(found[name])}" for name in words if name in found)


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(exclude_unset=True)
    return [_plain(part) for part in value] if isinstance(value, tuple) else value


def _shown(value: Any) -> Any:
    if isinstance(value, tuple):
        return ", ".join(f"{part:g}" for part in value)
    if isinstance(value, dict):
        return "\n".join(f"{name} = {_line(_plain(part))}" for name, part in value.items())
    return "" if value is None else str(value) if isinstance(value, Path) else value


def _line(value: Any) -> str:
    """Write a setting; a list of networks gets a line for each of them."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "".join(["[\n", *(f"  {_toml(part)},\n" for part in value), "]"])
    return _quoted(value)


def _read(field: FormField, value: Any) -> Any:
    """Turn what a widget holds into plain data, None if it is empty and means nothing."""
    if field.kind == "number":
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise FormError(f"{field.label} ({field.path}): write a number{field.bounds and f', {field.bounds}'}.", field.path)
        return value
    if field.kind == "pair":
        try:
            pair = [float(part) for part in str(value).replace(";", ",").split(",")]
            if len(pair) != 2:
                raise ValueError("not two")
        except ValueError:
            raise FormError(f"{field.label} ({field.path}): write two numbers, such as 5, 40.", field.path) from None
        return pair
    if field.kind == "lines":
        try:
            return tomllib.loads(str(value or ""))
        except tomllib.TOMLDecodeError as error:
            words = f"{field.label} ({field.path}): {error}; write lines such as dropout = 0.2."
            raise FormError(words, field.path) from error
    if field.kind in ("path", "text", "choice"):
        return str(value).strip() or None if value is not None else None
    return value


def _network(new: dict[str, Any], old: dict[str, Any], *, whole: bool) -> dict[str, Any]:
    """Return the settings of a network that differ; all of them at once where it is another network or one is taken away."""
    if new == old and not whole:
        return {}
    if whole or set(old) - set(new):
        return {"model_settings": new} if new or old else {}
    return {f"model_settings.{name}": value for name, value in new.items() if value != old.get(name)}


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_quoted, value))}]"
    if isinstance(value, dict):
        inner = ", ".join(f"{name} = {_quoted(part)}" for name, part in value.items())
        return f"{{{inner}}}"
    if isinstance(value, str):
        try:
            tomllib.loads(f"value = {value}")
        except tomllib.TOMLDecodeError:
            return value  # what is no TOML is taken as a text
        return json.dumps(value)
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else repr(value)


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else _toml(value)


def _from_cell(field: FormField, text: Any) -> Any:
    """Turn the text of a cell into what a widget of the field would hold; what cannot be read stays a text."""
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    return value if field.kind in ("number", "flag") and isinstance(value, int | float) else text


def _quoted(value: Any) -> str:
    return json.dumps(value) if isinstance(value, str) else _toml(value)


def _full_stop(words: str) -> str:
    return words if words.endswith((".", "!", "?")) else f"{words}."
