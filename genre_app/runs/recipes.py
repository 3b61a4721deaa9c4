"""Recipes: TOML files with the fields of `TrainConfig`, one for each system."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from genre_app.errors import validation_message
from genre_app.training.config import TrainConfig


def recipes_folder() -> Path:
    """Return the folder of the recipes: inside an installed package, or ``train/recipes`` in a clone."""
    package = Path(__file__).parents[1]
    inside = package / "recipes"
    return inside if inside.is_dir() else package.parent / "train" / "recipes"


def recipe_names() -> list[str]:
    """Names of all recipes, ``default`` first."""
    return sorted((path.stem for path in recipes_folder().glob("*.toml")), key=lambda name: (name != "default", name))


def describe_recipe(name: str) -> str:
    """Return what a recipe says of itself: its first line."""
    return _find(name).read_text(encoding="utf-8").splitlines()[0].lstrip("# ").strip()


def read_recipe(recipe: str, settings: Sequence[str] = (), seed: int | None = None) -> TrainConfig:
    """Read a recipe by name or path, with ``FIELD=VALUE`` changes (``augment.mild_share=0.2`` reaches inside).

    Raises
    ------
    ValueError
        If there is no such recipe, or a field is unknown or out of bounds.
    """
    path = _find(recipe)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"recipe {path.name} is not TOML: {error}") from error
    for setting in settings:
        _change(values, setting)
    if seed is not None:
        values["seed"] = seed
    try:
        return TrainConfig.model_validate(values)
    except ValidationError as error:
        raise ValueError(f"recipe {path.name}: {validation_message(error, list(_paths(TrainConfig)))}") from error


def _paths(model: type[BaseModel], group: str = "") -> Iterator[str]:
    """Yield every field as ``--set`` writes it."""
    for name, info in model.model_fields.items():
        yield f"{group}{name}"
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from _paths(info.annotation, f"{group}{name}.")


def _find(recipe: str) -> Path:
    if recipe in recipe_names():
        return recipes_folder() / f"{recipe}.toml"
    path = Path(recipe)
    if path.suffix != ".toml" or not path.is_file():
        raise ValueError(f"there is no recipe {recipe!r}; choose one of: {', '.join(recipe_names())}, or name a TOML file")
    return path


def _change(values: dict[str, Any], setting: str) -> None:
    field, equals, text = setting.partition("=")
    if not equals:
        raise ValueError(f"--set {setting!r} must read FIELD=VALUE")
    *outer, last = field.split(".")
    place = values
    for key in outer:
        inner = place.setdefault(key, {})
        if isinstance(inner, str) and key == "augment":  # the name of a preset, of which a part is changed
            from genre_app.augment.presets import PRESETS

            inner = PRESETS[inner].model_dump() if inner in PRESETS else {}
        if not isinstance(inner, dict):
            raise ValueError(f"--set {setting!r}: {key} has no fields of its own")
        place[key] = inner
        place = inner
    try:
        place[last] = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        place[last] = text
