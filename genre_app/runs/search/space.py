"""The search space: the fields that a search varies, and the values that each may take."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, StrictFloat, StrictInt, ValidationError, model_validator
from typing_extensions import TypeAliasType

from genre_app.errors import RecipeError, unknown_field, validation_message
from genre_app.models.base import settings_class
from genre_app.runs.recipes import check_model_settings, read_recipe, read_search_table, recipe_path
from genre_app.runs.settings import Value
from genre_app.training.config import TrainConfig, config_fields

if TYPE_CHECKING:
    from optuna.trial import Trial

_RANGE_KEYS = {"low", "high", "log", "step"}
_DIGITS = 4  # significant digits of a number that is drawn: fewer make the command long to read and nothing better
# Trials with other splits would be judged on other tracks, and other seeds are no settings.
_FIXED = {"split": "trials with different tracks cannot be compared", "seed": "a seed is not a setting to choose"}


class Range(BaseModel):
    """Numbers from ``low`` to ``high``, both included; whole numbers if both are.

    Attributes
    ----------
    low, high : int or float
    log : bool
        Whether to draw uniformly on a logarithmic scale.
    step : int or float, optional
        Distance between neighbouring values.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    low: StrictInt | StrictFloat
    high: StrictInt | StrictFloat
    log: bool = False
    step: StrictInt | StrictFloat | None = None

    @model_validator(mode="after")
    def _is_a_range(self) -> Range:
        if not self.low < self.high:
            raise ValueError(f"low must be less than high, got {self.low} and {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"a range with log=true must begin above 0, got {self.low}")
        if self.step is not None and self.log:
            raise ValueError("a range has either log or step, not both")
        if self.step is not None and self.step <= 0:
            raise ValueError(f"step must be above 0, got {self.step}")
        return self

    @property
    def has_one_value(self) -> bool:
        """Whether ``low`` plus ``step`` is beyond ``high``."""
        # In decimal, as Optuna counts: in binary, 0.3 - 0.1 is less than 0.2.
        low, high, step = (Decimal(str(number)) for number in (self.low, self.high, self.step or 0))
        return low + step > high


Space = TypeAliasType("Space", "dict[str, Range | list[Value]]")
"""For each field, by its dotted path: a range, or the values to choose from."""


def read_space(recipe: str, settings: Mapping[str, Value] | None = None) -> Space:
    """Read the ``[search]`` table of a recipe and check each of its values.

    Parameters
    ----------
    recipe : str
        Name of a recipe, or path of a TOML file.
    settings : mapping, optional
        Changes to the recipe. A field that they set is not searched; ``search.FIELD`` changes the table itself.

    Raises
    ------
    RecipeError
        If there is no table, or the recipe cannot have one of the values.
    """
    settings = settings or {}
    name, table = recipe_path(recipe).name, read_search_table(recipe, settings)
    space: Space = {}
    try:
        for path, stated in _flat(table):
            if path not in settings:
                values = space[path] = _read(path, stated, read_recipe(recipe, settings))
                for value in values if isinstance(values, list) else [values.low, values.high]:
                    check_model_settings(read_recipe(recipe, {**settings, path: value}))
    except ValueError as error:  # a RecipeError, or no network has this name
        text = str(error).removeprefix(f"recipe {name}: ")
        raise RecipeError(f"recipe {name}: [search] {text}") from error
    if not space:
        raise RecipeError(
            f"recipe {name} has no field to search; give it a table [search], or name one with "
            "--set 'search.learning_rate={low=1e-4, high=1e-2, log=true}'"
        )
    return space


def draw(trial: Trial, space: Space) -> dict[str, Value]:
    """Let a trial of Optuna draw a value for each field; return the settings by path."""
    return {path: value_of(_suggest(trial, path, values), values) for path, values in space.items()}


def value_of(drawn: Any, values: Range | list[Value]) -> Value:
    """Return the setting for what Optuna drew: a number with few digits, or one of the values."""
    if isinstance(values, list):
        return next(value for value in values if _key(value) == drawn)
    if isinstance(drawn, float):
        return min(max(float(f"{drawn:.{_DIGITS}g}"), values.low), values.high)
    return int(drawn)


def _suggest(trial: Trial, path: str, values: Range | list[Value]) -> Any:
    if isinstance(values, list):
        return trial.suggest_categorical(path, list(map(_key, values)))
    if isinstance(values.low, int) and isinstance(values.high, int):
        return trial.suggest_int(path, values.low, values.high, log=values.log, step=int(values.step or 1))
    return trial.suggest_float(path, values.low, values.high, log=values.log, step=values.step)


def _key(value: Value) -> Any:
    """Return a value as Optuna can store it: lists and tables as JSON."""
    return json.dumps(value) if isinstance(value, list | dict) else value


def _flat(table: Mapping[str, Any], group: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted path of each field and what the table says of it."""
    for name, stated in table.items():
        path = f"{group}{name}"
        if isinstance(stated, dict) and not stated.keys() & _RANGE_KEYS:
            yield from _flat(stated, f"{path}.")
        else:
            yield path, stated


def _read(path: str, stated: Any, config: TrainConfig) -> Range | list[Value]:
    """Return the values of a field; raise `RecipeError` if they are none, or the field cannot have a range."""
    annotation = _annotation(path, config)
    group = path.split(".")[0]
    if group in _FIXED:
        raise RecipeError(f"{path} cannot be searched: {_FIXED[group]}")
    if isinstance(stated, list):
        if len(set(map(repr, stated))) != len(stated) or len(stated) < 2:
            raise RecipeError(f"{path}: name at least 2 different values, got {stated}")
        return stated
    if not isinstance(stated, dict):
        raise RecipeError(f"{path}: write a range such as {{low = 1, high = 2}} or a list of values, got {stated!r}")
    if annotation not in (int, float, int | None, float | None):
        raise RecipeError(f"{path} is not a number, so it has no range; write a list of values")
    try:
        found = Range.model_validate(stated)
    except ValidationError as error:
        raise RecipeError(f"{path}: {validation_message(error, list(Range.model_fields))}") from error
    if found.has_one_value:  # checked here and not in `Range`: the search.json of an older search is still read
        got = f"got {found.step} for {found.low} to {found.high}"
        raise RecipeError(f"{path}: step must be at most high - low, else only low is drawn; {got}")
    if annotation in (float, float | None):
        step = None if found.step is None else float(found.step)
        return found.model_copy(update={"low": float(found.low), "high": float(found.high), "step": step})
    if not all(isinstance(number, int) for number in (found.low, found.high, found.step or 0)):
        raise RecipeError(f"{path} is a whole number: write low, high and step without a decimal point")
    return found


def _annotation(path: str, config: TrainConfig) -> Any:
    """Return the type of a field; raise `RecipeError` if there is none."""
    fields = dict(config_fields())
    if path.startswith("model_settings."):
        fields = dict(config_fields(settings_class(config.model), "model_settings."))
    if path not in fields:
        raise RecipeError(unknown_field(path, fields))
    return fields[path]
