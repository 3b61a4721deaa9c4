"""What a user asks for when they start a run, and the command that asks for the same."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from genre_app.files import expanded
from genre_app.runs.recipes import read_recipe
from genre_app.training.config import TrainConfig

_QUOTES = "'\""
_PLACES = ("split.file", "augment.waveform.background_folder")


class Request(BaseModel):
    """What a user asks for: the arguments of ``genre-app train``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: str
    data: str
    settings: tuple[str, ...] = ()
    seed: int | None = None
    init_from: str | None = None
    columns: Literal["recipe", "data"] = "recipe"
    threads: int = Field(2, ge=1, le=256)

    def config(self) -> TrainConfig:
        """Return the settings that follow from the recipe.

        Raises
        ------
        ValueError
            If the recipe or a setting is wrong, or there are no weights to freeze.
        """
        config = _placed(read_recipe(self.recipe, self.settings, self.seed))
        if config.freeze != "none" and self.init_from is None:
            raise ValueError(
                f"freeze={config.freeze} keeps what a checkpoint has learned, and none is named to begin with; name one "
                "(--init-from, on the page Begin with), or choose freeze=none"
            )
        return config

    @property
    def init_name(self) -> str:
        """What the checkpoint to begin with is called where its place is not told: a run's by the run, for all have one."""
        path = Path(self.init_from or "")
        return f"{path.parent.name}/{path.name}" if path.name == "best.safetensors" and path.parent.name else path.name

    def arguments(self, out: str | None = None, *, data: str | None = None) -> list[str]:
        """Return the arguments of ``genre-app train``."""
        settings = self.settings if data is None else map(_placeless, self.settings)
        options = [part for setting in settings for part in ("--set", setting)]
        if self.seed is not None:
            options += ["--seed", str(self.seed)]
        if self.init_from is not None:
            options += ["--init-from", self.init_from if data is None else self.init_name]
        if self.columns != "recipe":
            options += ["--columns", self.columns]
        if out is not None:
            options += ["--out", out]
        recipe = self.recipe if data is None else Path(self.recipe).name
        return [recipe, "--data", data or self.data, *options, "--threads", str(self.threads)]

    def command(self, out: str | None = None, *, data: str | None = None) -> str:
        """Return the command, ready to be copied into a shell; ``data`` stands in for the place of the data."""
        return shlex.join(["genre-app", "train", *self.arguments(out, data=data)])


def _placeless(setting: str) -> str:
    """Leave of a path, which may be quoted as TOML is, the name."""
    field, _, value = setting.partition("=")
    return f"{field}={Path(value.strip().strip(_QUOTES)).name}" if field.strip() in _PLACES else setting


def _placed(config: TrainConfig) -> TrainConfig:
    """Name in full the files that settings name, since a run may be resumed from another folder."""
    split, augment, waveform = config.split, config.augment, config.augment.waveform
    if split.file is not None:
        split = split.model_copy(update={"file": expanded(split.file).absolute()})
    if waveform.background_folder is not None:
        waveform = waveform.model_copy(update={"background_folder": expanded(waveform.background_folder).absolute()})
    return config.model_copy(update={"split": split, "augment": augment.model_copy(update={"waveform": waveform})})
