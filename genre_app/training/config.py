"""The one description of a training run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from genre_app.augment.config import AugmentConfig
from genre_app.augment.presets import named_preset
from genre_app.data.splits import SplitConfig
from genre_app.features import FeatureSpec
from genre_app.files import expanded

_Model = TypeVar("_Model", bound=BaseModel)


class TrainConfig(BaseModel):
    """Settings of a training run; one field is one flag, one widget, one line of a recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field("cnn", description="name of the network")
    model_settings: dict[str, Any] = Field(default_factory=dict, description="settings of the network")
    spec: FeatureSpec = FeatureSpec()
    split: SplitConfig = SplitConfig()
    sampling: Literal["random", "grid"] = Field(
        "random",
        description="random: segments from anywhere in a track, each genre equally often; "
        "grid: the segments that prediction cuts, each once an epoch",
    )
    epochs: int = Field(100, ge=1, le=10000, description="rounds over the training tracks")
    segments_per_track: int = Field(6, ge=1, le=1000, description="segments that an epoch draws from each track, if at random")
    batch_size: int = Field(64, ge=2, le=65536, description="segments that one step learns from")
    optimiser: Literal["adamw", "adam", "sgd", "rmsprop"] = Field("adamw", description="how a gradient becomes a step")
    learning_rate: float = Field(2e-3, gt=0, le=1, description="highest learning rate")
    schedule: Literal["cosine", "constant"] = Field(
        "cosine", description="cosine: the learning rate warms up, then falls to 0 along a cosine"
    )
    warmup: float = Field(0.1, ge=0, le=0.9, description="share of the steps in which the learning rate rises, with cosine")
    weight_decay: float = Field(
        0.02, ge=0, le=10, description="of matrices and kernels; decoupled in adamw, else an L2 penalty"
    )
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="probability that the target spreads over all genres")
    average_decay: float = Field(0.998, ge=0, lt=1, description="of the running average of the weights, per step; 0 is none")
    augment: AugmentConfig = Field(AugmentConfig(), description="how segments are changed; also the name of a preset")
    temperature: float = Field(1.0, gt=0, le=10, description="divides the logits outside of the training loss")
    fit_temperature: bool = Field(False, description="fit the temperature of the finished network on the validation tracks")
    precision: Literal["float32", "bfloat16"] = Field("float32", description="of the forward pass; weights are float32")
    validate_every: int = Field(5, ge=1, le=1000, description="epochs between validations; the last epoch always is")
    keep: Literal["best", "last"] = Field(
        "best",
        description="best: the epoch with the least validation log-loss, the mean over files and imitated recordings of them "
        "where training has recordings",
    )
    patience: int = Field(0, ge=0, le=10000, description="validations without a better one after which training ends; 0: never")
    vote: Literal["mean", "majority", "geometric", "knn"] = Field("mean", description="how a track's segments decide")
    freeze: Literal["none", "convolutions"] = Field(
        "none", description="what of the checkpoint begun with (--init-from) stays as it was"
    )
    scaler: Literal["train", "apart"] = Field(
        "train", description="apart: training and validation are standardised each by itself, a fault that some papers have"
    )
    seed: int = Field(0, ge=0, lt=2**31, description="of everything random")

    _augment_by_name = field_validator("augment", mode="before")(named_preset)

    @model_validator(mode="after")
    def _fits_the_features(self) -> TrainConfig:
        changed = self.augment.mild_share or self.augment.recorded_share or self.augment.mask_probability
        if self.spec.kind == "summary" and (changed or self.augment.waveform.changes):
            raise ValueError("features of kind summary have no spectrogram to change; of augment they can have mixup only")
        return self

    def with_absolute_paths(self) -> TrainConfig:
        """Return the settings with all paths made absolute."""
        return _absolute(self)


def config_fields(model: type[BaseModel] = TrainConfig, group: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted path and the annotation of each field; a group is followed by its own fields."""
    for name, info in model.model_fields.items():
        yield f"{group}{name}", info.annotation
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from config_fields(info.annotation, f"{group}{name}.")


PATH_FIELDS = frozenset(path for path, annotation in config_fields() if annotation is Path or Path in get_args(annotation))
"""Fields that hold a path of this machine: made absolute at the start of a run and never published."""


def _absolute(model: _Model) -> _Model:
    changed: dict[str, Any] = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, Path):
            changed[name] = expanded(value).absolute()
        elif isinstance(value, BaseModel):
            inner = _absolute(value)
            if inner is not value:
                changed[name] = inner
    return model.model_copy(update=changed) if changed else model
