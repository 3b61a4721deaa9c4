"""Settings of a training run, each declared once with its default, bounds and help."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from genre_app.augment.config import AugmentConfig, setting
from genre_app.augment.presets import named_preset
from genre_app.data.splits import SplitConfig
from genre_app.features import FeatureSpec
from genre_app.files import expanded

Share = Annotated[float, Field(ge=0, le=1)]

_Model = TypeVar("_Model", bound=BaseModel)


class TrainConfig(BaseModel):
    """Settings of a training run. Each field is a ``--set`` option, a widget of the page, and a line of a recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = setting("name of the network", "cnn")
    model_settings: dict[str, Any] = Field(default_factory=dict, description="settings of the network")
    spec: FeatureSpec = FeatureSpec()
    split: SplitConfig = SplitConfig()
    sampling: Literal["random", "grid"] = setting(
        "random: segments at random places, each genre equally often; grid: the segments of prediction, each once an epoch",
        "random",
    )
    epochs: int = setting("passes over the training tracks", 100, ge=1, le=10000)
    segments_per_track: int = setting("segments drawn from each track in an epoch, if sampling is random", 6, ge=1, le=1000)
    batch_size: int = setting("segments of a training step", 64, ge=2, le=65536)
    optimiser: Literal["adamw", "adam", "sgd", "rmsprop"] = setting("optimiser", "adamw")
    learning_rate: float = setting("maximum learning rate", 2e-3, gt=0, le=1)
    schedule: Literal["cosine", "constant"] = setting(
        "cosine: the learning rate rises, then falls to 0 along a cosine; constant: it stays the same", "cosine"
    )
    warmup: float = setting("share of the steps in which the learning rate rises, if schedule is cosine", 0.1, ge=0, le=0.9)
    weight_decay: float = setting(
        "weight decay of matrices and kernels: decoupled for adamw, else an L2 penalty", 0.02, ge=0, le=10
    )
    label_smoothing: float = setting("share of the target that is spread evenly over all genres", 0.1, ge=0, lt=1)
    average_decay: float = setting("decay of the moving average of the weights, per step; 0: no average", 0.998, ge=0, lt=1)
    augment: AugmentConfig = setting("augmentation of the segments, or the name of a preset", AugmentConfig())
    temperature: float = setting(
        "temperature of the probabilities: below 1 they are surer, above 1 less sure; training ignores it", 1.0, gt=0, le=10
    )
    fit_temperature: bool = setting("whether to fit the temperature of the finished network on the validation tracks", False)
    precision: Literal["auto", "float32", "bfloat16"] = setting(
        "precision of the forward pass; auto: bfloat16 where the device multiplies it in hardware, else float32; "
        "weights are float32",
        "float32",
    )
    validate_every: int = setting("epochs between validations; the last epoch is always validated", 5, ge=1, le=1000)
    keep: Literal["best", "last"] = setting(
        "best: the epoch with the lowest validation log-loss, over files and simulated recordings, if any; "
        "last: the last epoch",
        "best",
    )
    patience: int = setting("training ends after this many validations without a lower log-loss; 0: never", 0, ge=0, le=10000)
    vote: Literal["mean", "majority", "geometric", "knn"] = setting(
        "vote of the report: how the segments of a track are combined", "mean"
    )
    freeze: Literal["none", "convolutions"] = setting(
        "layers of the --init-from checkpoint that training leaves unchanged", "none"
    )
    unfreeze: tuple[Share, ...] = setting(
        "gradual unfreezing: share of the epochs after which each stage below the network's head is trained; 1: never; "
        "the last value is used for all further stages; empty: all are trained from the start",
        (),
        max_length=32,
    )
    stage_rate: float = setting("learning rate of a stage of the network, relative to the stage above it", 1.0, gt=0, le=1)
    scaler: Literal["train", "apart"] = setting(
        "apart: training and validation tracks are standardised separately, a fault of some papers", "train"
    )
    seed: int = setting("seed of all random numbers", 0, ge=0, lt=2**31)

    @model_validator(mode="before")
    @classmethod
    def _keeps_the_last_epoch(cls, values: Any) -> Any:
        """Without validation tracks, the default of ``keep`` is ``last``."""
        split = values.get("split") if isinstance(values, dict) else None
        split = split.model_dump() if isinstance(split, SplitConfig) else split
        is_refit = isinstance(split, dict) and split.get("method") == "none" and split.get("file") is None
        return {"keep": "last", **values} if is_refit else values

    _augment_by_name = field_validator("augment", mode="before")(named_preset)

    @model_validator(mode="after")
    def _can_keep_the_epoch(self) -> TrainConfig:
        if self.split.trains_on_all and self.keep == "best":
            raise ValueError("without validation tracks (split.method=none), no epoch is known to be the best; set keep=last")
        return self

    @model_validator(mode="after")
    def _fits_the_features(self) -> TrainConfig:
        changed = self.augment.mild_share or self.augment.recorded_share or self.augment.mask_probability
        if self.spec.kind == "summary" and (changed or self.augment.waveform.changes):
            raise ValueError("features of kind summary have no spectrogram to change; use no augmentation but mixup")
        return self


def config_fields(model: type[BaseModel] = TrainConfig, group: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted path and the annotation of each field; a group is followed by its own fields."""
    for name, info in model.model_fields.items():
        yield f"{group}{name}", info.annotation
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from config_fields(info.annotation, f"{group}{name}.")


PATH_FIELDS = frozenset(path for path, annotation in config_fields() if annotation is Path or Path in get_args(annotation))
"""Fields that hold a path of this machine: made absolute at the start of a run and never published."""


def with_absolute_paths(model: _Model) -> _Model:
    """Return the settings, and those of their groups, with all paths made absolute."""
    changed: dict[str, Any] = {}
    for name, value in model:
        if isinstance(value, Path):
            changed[name] = expanded(value).absolute()
        elif isinstance(value, BaseModel):
            changed[name] = with_absolute_paths(value)
    return model.model_copy(update=changed)
