"""Ranges that settings draw from: their units, their bounds, and that they rise."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Probability = Annotated[float, Field(ge=0, le=1)]
Decibel = Annotated[float, Field(ge=-80, le=80)]
Hertz = Annotated[float, Field(ge=20, le=24000)]
Seconds = Annotated[float, Field(ge=0.05, le=10)]
Share = Annotated[float, Field(gt=0, le=0.5)]
Kilobits = Annotated[float, Field(ge=8, le=320)]
FullScales = Annotated[float, Field(ge=0, le=1)]


class RangesModel(BaseModel):
    """Settings of which each pair is a range, from the lower to the higher."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="after")
    def _rising(self) -> Self:
        for name, value in self:
            if isinstance(value, tuple) and value[0] > value[1]:
                raise ValueError(f"{name} must go from the lower to the higher, got {value[0]} and {value[1]}")
        return self
