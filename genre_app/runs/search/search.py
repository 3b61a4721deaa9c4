"""Searches: what is asked for, and folders in which the trials leave their settings and results.

Format
------
``search.json``
    What was asked for: the `Search` without its folder.
``study.db``
    The study of Optuna, an SQLite file: drawn settings, intermediate and final values.
``trial-001``, ``trial-002``, ...
    The trials; each is the folder of an ordinary run.
``results.json``, ``search.csv``
    The trials so far, the best first, and the importance of each field (`genre_app.runs.search.results`).
``process.json``
    The process that works on the search, or did.
``log.txt``
    Output of the process, if the page started it.
``stop``
    Exists while somebody asks the search to stop.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from genre_app.errors import RunError, RunTakenError, first_line, validation_message
from genre_app.files import write_whole
from genre_app.runs.folder import TaskFolder
from genre_app.runs.host import is_alive, this_process
from genre_app.runs.request import Request
from genre_app.runs.run import Run, runs_folder
from genre_app.runs.search.space import Space, read_space
from genre_app.training.config import TrainConfig

SEARCH = "search."
"""Prefix of the settings that change the table ``[search]``."""

_FILE = "search.json"
_START_SECONDS = 30.0  # in which a process that was started records itself
Sampler = Literal["tpe", "random"]


class Search(BaseModel):
    """What a search was asked for.

    Attributes
    ----------
    request : Request
        The arguments that all trials share.
    config : TrainConfig
        Their settings; a trial changes those in ``space``.
    space : dict
        Values of the fields that are searched, by path.
    trials : int
        Number of trials, failed ones included.
    folds : int
        Number of folds of each trial's cross-validation; 0: each trial is validated on the validation tracks.
    sampler : {"tpe", "random"}
        How Optuna draws: with a tree-structured Parzen estimator, or independently.
    prune : bool
        Whether a trial ends early if it is worse than half of the trials before.
    created : float
        Seconds since 1970.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    format_version: Literal[1] = 1
    request: Request
    config: TrainConfig
    space: Space
    trials: int = Field(ge=1, le=10000)
    folds: int = Field(0, ge=0, le=20)
    sampler: Sampler = "tpe"
    prune: bool = True
    created: float = Field(default_factory=time.time)

    @classmethod
    def of(cls, request: Request, trials: int, folds: int = 0, sampler: Sampler = "tpe", *, prune: bool = True) -> Search:
        """Return the search that a request asks for.

        Raises
        ------
        RecipeError
            If the recipe, a setting or the table ``[search]`` is wrong.
        """
        space = read_space(request.recipe, request.settings)
        settings = {field: value for field, value in request.settings.items() if not field.startswith(SEARCH)}
        request = request.model_copy(update={"settings": settings})
        config = request.config()
        if folds == 1:
            raise RunError("Cross-validation needs at least 2 folds; set --folds 5, or leave it out.")
        if config.split.trains_on_all and not folds:
            raise RunError("A search needs validation tracks, but split.method is none; set another one, or --folds 5.")
        try:
            return cls(request=request, config=config, space=space, trials=trials, folds=folds, sampler=sampler, prune=prune)
        except ValidationError as error:
            raise RunError(f"A search cannot have these settings: {validation_message(error)}.") from error


@dataclass(frozen=True)
class SearchFolder(TaskFolder):
    """A search, given by its folder."""

    @classmethod
    def create(cls, path: Path, search: Search) -> SearchFolder:
        """Create the folder of a new search; raises `RunTakenError` if it is not empty, `RunError` if it cannot be created."""
        try:
            path.mkdir(parents=True, exist_ok=True)
            if any(path.iterdir()):
                raise RunTakenError(f"{path} is not empty; name another --out, or resume the search in it with --resume.")
            write_whole(path / _FILE, search.model_dump_json(indent=1).encode())
        except OSError as error:
            raise RunError(f"{path} cannot be created: {error.strerror or error}; name another --out.") from error
        return cls(path)

    def search(self) -> Search:
        """Read ``search.json``; raises `RunError` if it is missing or damaged."""
        try:
            return Search.model_validate_json((self.path / _FILE).read_bytes())
        except OSError as error:
            raise RunError(f"{self.path} is not the folder of a search: it has no readable {_FILE}.") from error
        except ValidationError as error:
            place = self.path / _FILE
            raise RunError(f"{place} is damaged or of another version ({first_line(error)}); start a new search.") from error

    def extend(self, trials: int) -> None:
        """Change the number of trials."""
        changed = self.search().model_copy(update={"trials": trials})
        write_whole(self.path / _FILE, changed.model_dump_json(indent=1).encode())

    def trial(self, number: int) -> Run:
        """Return the run of a trial, counted from 1; it may not exist."""
        return Run(self.path / f"trial-{number:03}")

    def record_process(self) -> None:
        """Record that this process works on the search."""
        write_whole(self.path / "process.json", json.dumps(this_process()).encode())

    def expect_process(self) -> None:
        """Prepare for a process that is about to be started: `is_running` holds while it starts."""
        (self.path / "process.json").unlink(missing_ok=True)
        self.cancel_stop()
        (self.path / "log.txt").touch()

    def is_running(self) -> bool:
        """Return whether a process works on the search, or has just been started."""
        with suppress(OSError, ValueError, TypeError):
            pid, created = json.loads((self.path / "process.json").read_bytes())
            return is_alive(int(pid), float(created))
        with suppress(OSError):  # a process writes its file first, unless it fails
            return abs(time.time() - (self.path / "log.txt").stat().st_mtime) < _START_SECONDS
        return False


def list_searches(on_damaged: Callable[[RunError], object] = lambda _: None) -> list[SearchFolder]:
    """Return the searches in the folder of runs, the newest first; ``on_damaged`` gets the error of each damaged one."""
    created: dict[SearchFolder, float] = {}
    for path in runs_folder().glob(f"*/{_FILE}"):
        found = SearchFolder(path.parent)
        try:
            found.check_name("search")
            created[found] = found.search().created
        except RunError as error:
            if path.exists():  # else it was deleted meanwhile
                on_damaged(error)
    return sorted(created, key=lambda found: (-created[found], found.name))
