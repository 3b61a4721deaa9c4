"""What a user asks for when they start a run, and the command that asks for the same."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from genre_app.checkpoint import Checkpoint, load_checkpoint
from genre_app.errors import RecipeError
from genre_app.hub import PREFIX
from genre_app.runs.recipes import read_recipe
from genre_app.runs.settings import Value, read_settings, without_folders, write_setting
from genre_app.training.config import TrainConfig, with_absolute_paths

_NO_FREEZING = {"freeze": "freeze=none", "unfreeze": "unfreeze=[]"}


class Request(BaseModel):
    """The arguments of ``genre-app train``.

    Attributes
    ----------
    recipe : str
        Name of a recipe, or path of a TOML file.
    data : str
        Path of the music, or ``hub:OWNER/NAME``.
    settings : dict
        Changes to the recipe: typed values by the dotted path of the field, such as ``{"augment.mild_share": 0.2}``.
    seed : int, optional
    init_from : str, optional
        Checkpoint whose weights the run begins with.
    columns : {"recipe", "data"}
        Whether the feature settings of the recipe are used, or those of a mel cache.
    threads : int
        CPU threads.
    log : tuple of {"tensorboard", "trackio"}
        Trackers that get the results of each epoch too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    recipe: str
    data: str
    settings: dict[str, Value] = Field(default_factory=dict)
    seed: int | None = None
    init_from: str | None = None
    columns: Literal["recipe", "data"] = "recipe"
    threads: int = Field(2, ge=1, le=256)
    log: tuple[Literal["tensorboard", "trackio"], ...] = ()

    @field_validator("settings", mode="before")
    @classmethod
    def _read_texts(cls, value: Any) -> Any:
        """Accept a list of texts ``FIELD=VALUE`` too: older run.json files hold one."""
        return read_settings(value) if isinstance(value, list | tuple) else value

    def config(self) -> TrainConfig:
        """Return the recipe with the settings applied; its paths are absolute, since a run may be resumed from another folder.

        Raises
        ------
        RecipeError
            If the recipe or a setting is wrong, or layers are to be frozen without ``init_from``.
        """
        config = with_absolute_paths(read_recipe(self.recipe, self.settings, self.seed))
        freezes = "freeze" if config.freeze != "none" else "unfreeze" if config.unfreeze else ""
        if freezes and self.init_from is None:
            raise RecipeError(
                f"{freezes} keeps layers of an initial checkpoint, but no checkpoint is named; "
                f"name one with --init-from (on the page: Starting weights), or set {_NO_FREEZING[freezes]}"
            )
        return config

    def initial_checkpoint(self) -> Checkpoint | None:
        """Load the checkpoint whose weights the run begins with; None if they are random."""
        return load_checkpoint(self.init_from) if self.init_from else None

    @property
    def init_name(self) -> str:
        """Name of the initial checkpoint without its folder; ``RUN/best.safetensors`` if it belongs to a run."""
        if self.init_from and self.init_from.startswith(PREFIX):
            return self.init_from
        path = Path(self.init_from or "")
        return f"{path.parent.name}/{path.name}" if path.name == "best.safetensors" and path.parent.name else path.name

    def command(self, out: str | None = None, *, data: str | None = None) -> str:
        """Return the command line, quoted for a shell.

        Parameters
        ----------
        out : str, optional
            Folder of the run.
        data : str, optional
            Text that stands for the data, for publication: all other paths are then reduced to their file names.
        """
        recipe, settings, init_from = self.recipe, self.settings, self.init_from
        if data is not None:
            recipe, settings, init_from = Path(recipe).name, without_folders(settings), self.init_name or None
        options = [part for setting in settings.items() for part in ("--set", write_setting(*setting))]
        if self.seed is not None:
            options += ["--seed", str(self.seed)]
        if init_from is not None:
            options += ["--init-from", init_from]
        if self.columns != "recipe":
            options += ["--columns", self.columns]
        if data is None:  # a published command says what gives the same weights
            options += [part for name in self.log for part in ("--log", name)]
        if out is not None:
            options += ["--out", out]
        given = [recipe, "--data", data or self.data, *options, "--threads", str(self.threads)]
        return shlex.join(["genre-app", "train", *given])
