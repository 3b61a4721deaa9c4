"""Which tracks are learned from, which choose, and which are kept back."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class SplitConfig(BaseModel):
    """How tracks are divided into ``train``, ``valid`` and ``test``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["auto", "stratified", "pieces"] = Field(
        "auto",
        description="auto: the data's own split, or GTZAN's fault-filtered one where its names are recognised, or stratified; "
        "stratified: by track, each genre alike; pieces: pieces of one track on both sides, a leak that some papers have",
    )
    train: float = Field(0.7, gt=0, lt=1, description="share of the tracks to learn from, where the split is stratified")
    valid: float = Field(0.15, gt=0, lt=1, description="share of the tracks to choose by; the rest is kept back as test")
    file: Path | None = Field(None, description="CSV with the columns track_id and split, instead of all else")

    @model_validator(mode="after")
    def _consistent(self) -> SplitConfig:
        if self.train + self.valid > 1 + 1e-9:
            raise ValueError(f"train + valid must not exceed 1, got {self.train} + {self.valid}")
        return self
