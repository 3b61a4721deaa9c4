"""Recipes: TOML files with the fields of `TrainConfig`, one for each system. A table ``[search]`` names fields to search."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any

import tomlkit
from pydantic import ValidationError

from genre_app.augment.presets import named_preset
from genre_app.errors import RecipeError, validation_message
from genre_app.models.base import settings_class
from genre_app.runs.settings import Value
from genre_app.training.config import TrainConfig, config_fields

_SEARCH = "search"  # the table of a recipe that a hyperparameter search reads, and nothing else


def recipes_folder() -> Path:
    """Return the folder of the recipes: inside an installed package, or ``train/recipes`` in a clone."""
    package = Path(__file__).parents[1]
    inside = package / "recipes"
    return inside if inside.is_dir() else package.parent / "train" / "recipes"


def recipe_names() -> list[str]:
    """Return the names of all recipes, ``default`` first."""
    return sorted((path.stem for path in recipes_folder().glob("*.toml")), key=lambda name: (name != "default", name))


def recipe_path(recipe: str) -> Path:
    """Return the file of a recipe, given its name or the path of a TOML file; raises `RecipeError` if there is none."""
    if recipe in recipe_names():
        return recipes_folder() / f"{recipe}.toml"
    path = Path(recipe)
    if path.suffix != ".toml" or not path.is_file():
        raise RecipeError(f"there is no recipe {recipe!r}; choose one of: {', '.join(recipe_names())}, or name a TOML file")
    return path


def describe_recipe(name: str) -> str:
    """Return the first line of a recipe, which describes it."""
    return recipe_path(name).read_text(encoding="utf-8-sig").partition("\n")[0].lstrip("# ").strip()


def read_recipe(recipe: str, settings: Mapping[str, Value] | None = None, seed: int | None = None) -> TrainConfig:
    """Read a recipe and apply changes to it.

    Parameters
    ----------
    recipe : str
        Name of a recipe, or path of a TOML file.
    settings : mapping, optional
        New values by the dotted path of the field. A group is set before its fields, whatever the order of the mapping.
    seed : int, optional

    Raises
    ------
    RecipeError
        If there is no such recipe, or a field is unknown or out of bounds.
    """
    path = recipe_path(recipe)
    values = _read_values(path, settings)
    values.pop(_SEARCH, None)
    if seed is not None:
        values["seed"] = seed
    try:
        return TrainConfig.model_validate(values)
    except ValidationError as error:
        known = [field for field, _ in config_fields()]
        raise RecipeError(f"recipe {path.name}: {validation_message(error, known)}") from error


def read_search_table(recipe: str, settings: Mapping[str, Value] | None = None) -> dict[str, Any]:
    """Read the table ``[search]`` of a recipe, which `genre_app.runs.search.space` understands; empty if there is none.

    Raises
    ------
    RecipeError
        If there is no such recipe, or ``search`` is not a table.
    """
    path = recipe_path(recipe)
    table = _read_values(path, settings).get(_SEARCH, {})
    if not isinstance(table, dict):
        raise RecipeError(f"recipe {path.name}: search must be a table of fields, got {table!r}")
    return table


def recipe_text(recipe: str, settings: Mapping[str, Value], about: str) -> str:
    """Return a recipe with changed fields as the text of a TOML file; the recipe's comments stay.

    Parameters
    ----------
    recipe : str
        Name of a recipe, or path of a TOML file.
    settings : mapping
        New values by the dotted path of the field.
    about : str
        First line of the text, which describes it.

    Raises
    ------
    RecipeError
        If there is no such recipe, or a field is unknown or out of bounds.
    """
    read_recipe(recipe, settings)
    document = tomlkit.parse(recipe_path(recipe).read_text(encoding="utf-8-sig").partition("\n")[2])
    added: dict[str, dict[str, Value]] = {}
    for field, value in settings.items():
        group, _, last = field.rpartition(".")
        place: Any = document
        for name in filter(None, group.split(".")):
            place = place.get(name, {})
        if last in place:
            place[last] = value
        else:
            added.setdefault(group, {})[last] = value
    text = tomlkit.dumps(document)
    for group, values in added.items():
        # Below the heading of the table: tomlkit would put them after a comment that belongs to the next table.
        heading, lines = f"[{group}]\n" if group else "", tomlkit.dumps(values)
        text = text.replace(heading, heading + lines, 1) if heading in text else f"{text}\n{heading}{lines}"
    return f"# {about}\n{text}"


def _read_values(path: Path, settings: Mapping[str, Value] | None) -> dict[str, Any]:
    """Read the values of a recipe and apply settings to them."""
    try:
        values = deepcopy(_parse(path, path.stat().st_mtime_ns))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RecipeError(f"recipe {path.name} is not TOML: {error}") from error
    for field, value in sorted((settings or {}).items(), key=lambda setting: setting[0].count(".")):
        _change(values, field, value)
    return values


@lru_cache(maxsize=64)
def _parse(path: Path, _: int) -> dict[str, Any]:
    """Parse a recipe once for each time of change: the page asks for it at every keystroke."""
    return tomllib.loads(path.read_text(encoding="utf-8-sig"))


def check_model_settings(config: TrainConfig) -> None:
    """Check the settings of the network; raises `RecipeError` if there is no such network or setting."""
    try:
        settings = settings_class(config.model)
        settings.model_validate(config.model_settings)
    except ValidationError as error:
        raise RecipeError(f"model_settings: {validation_message(error, list(settings.model_fields))}") from error
    except ValueError as error:
        raise RecipeError(str(error)) from error


def _change(values: dict[str, Any], field: str, value: Value) -> None:
    *groups, last = field.split(".")
    place = values
    for group in groups:
        inner = place.setdefault(group, {})
        if isinstance(inner, str) and group == "augment":  # the name of a preset, of which a field is changed
            try:
                inner = named_preset(inner).model_dump()
            except ValueError as error:
                raise RecipeError(f"--set {field}: augment: {error}") from error
        if not isinstance(inner, dict):
            raise RecipeError(f"--set {field}: {group} has no fields of its own")
        place[group] = inner
        place = inner
    place[last] = deepcopy(value)  # a later setting may change a field of it
