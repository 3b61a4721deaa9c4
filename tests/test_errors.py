"""Errors of pydantic in plain words."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from genre_app.errors import first_line, validation_message


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    epochs: int = Field(1, ge=1, le=9)
    names: tuple[str, ...] = Field(("a",), min_length=1)

    @field_validator("names")
    @classmethod
    def _differ(cls, names):
        if len(set(names)) < len(names):
            raise ValueError("a name is given twice")
        return names


class Outer(BaseModel):
    inner: Inner


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 0}, "inner.epochs: must be at least 1, got 0"),
        ({"epochs": 10}, "inner.epochs: must be at most 9, got 10"),
        ({"epochs": "x" * 99}, f"inner.epochs: must be a valid integer, got '{'x' * 40}'"),
        ({"names": []}, "inner.names: must have at least 1 item after validation, not 0"),
        ({"names": ["a", "a"]}, "inner.names: a name is given twice"),
        ({"epoch": 1}, "there is no field 'inner.epoch'; did you mean inner.epochs?"),
    ],
)
def test_the_first_wrong_field_is_described_in_words(values, message):
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate({"inner": values})
    assert validation_message(caught.value, ["inner.epochs", "seed"]) == message


def test_a_missing_field_is_named():
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate({})
    assert first_line(caught.value) == "inner is missing"


def test_first_line_of_other_errors():
    assert first_line(OSError("one\ntwo")) == "one"
    assert first_line(KeyError()) == "KeyError"
