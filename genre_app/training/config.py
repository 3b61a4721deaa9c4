"""The one description of a training run."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from genre_app.augment.chain import AugmentConfig
from genre_app.features import FeatureSpec


class TrainConfig(BaseModel):
    """Settings of a training run; one field is one line of a recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field("cnn", description="name of the network")
    model_settings: dict[str, Any] = Field(default_factory=dict, description="settings of the network")
    spec: FeatureSpec = FeatureSpec()
    epochs: int = Field(100, ge=1, le=10000)
    segments_per_track: int = Field(6, ge=1, le=1000, description="segments that an epoch draws from each track")
    batch_size: int = Field(64, ge=2, le=65536)
    learning_rate: float = Field(2e-3, gt=0, le=1, description="highest learning rate; it warms up and falls along a cosine")
    warmup: float = Field(0.1, ge=0, le=0.9, description="share of the steps in which the learning rate rises")
    weight_decay: float = Field(0.02, ge=0, le=10)
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    average_decay: float = Field(0.998, ge=0, lt=1, description="of the running average of the weights, per step; 0 is none")
    augment: AugmentConfig = AugmentConfig()
    temperature: float = Field(1.0, gt=0, le=10, description="divides the logits of the finished network")
    precision: Literal["float32", "bfloat16"] = "float32"
    validate_every: int = Field(5, ge=1, le=1000, description="epochs between validations; the last epoch always is")
    seed: int = Field(0, ge=0, lt=2**31)
