"""Runs: folders in which training leaves its settings, its journal, its checkpoints and its report.

Format
------
``run.json``
    The `Request`, the `TrainConfig` that follows from it, and when the run was created.
``journal.jsonl``
    The events of `genre_app.runs.events`; `Run.status` and the page read nothing else.
``best.safetensors``, ``last.state``
    The checkpoint to use, and the training state to resume from (a safetensors file too). ``last.state.previous`` is the state
    that was saved before it; a run whose ``last.state`` is damaged resumes from there.
``report.json``, ``card.md``
    Metrics and model card of a finished run.
``folds.json``, ``folds.npz``
    Results of a cross-validation with the settings of the run (`genre_app.runs.folds`). The run may begin after it.
``log.txt``
    Output of the process, if the page started it.
``stop``
    Exists while somebody asks the run to stop.
``reserve``
    Space on the disk that is freed so that the journal can say that the disk is full.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from genre_app.errors import RunError, RunTakenError, first_line
from genre_app.files import is_reserved_name, name_key, valid_text, write_whole
from genre_app.runs import events
from genre_app.runs.folder import TaskFolder
from genre_app.runs.host import this_process
from genre_app.runs.journal import Journal, add_event, read_journal
from genre_app.runs.recipes import check_model_settings
from genre_app.runs.report import read_report
from genre_app.runs.request import Request
from genre_app.runs.status import Status, status_of
from genre_app.training.config import TrainConfig

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_UNFIT = re.compile(r"[^A-Za-z0-9._+-]+|\.\.+")  # what `checked_name` refuses
_STEM_LETTERS = 48  # the suffix and the number still fit into a name
_RESERVE_BYTES = 65536

SPACE_STORAGE = Path("/data")
"""Where Hugging Face Spaces mounts the persistent storage of a Space that has one."""


class Description(BaseModel):
    """Content of ``run.json``; ``created`` is in seconds since 1970."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1] = 1
    request: Request
    config: TrainConfig
    created: events.Seconds


@dataclass(frozen=True)
class Run(TaskFolder):
    """A run, given by its folder."""

    @property
    def best(self) -> Path:
        """The checkpoint to use; it may not exist yet."""
        return self.path / "best.safetensors"

    @property
    def state(self) -> Path:
        """The state to resume from; it may not exist yet."""
        return self.path / "last.state"

    @classmethod
    def create(cls, path: Path, request: Request) -> Run:
        """Create the folder of a new run.

        Raises `RunTakenError` if the folder holds more than a cross-validation, `RunError` if it cannot be created, and
        `RecipeError` if the recipe or a setting is wrong.
        """
        config = request.config()
        check_model_settings(config)
        if valid_text(str(path)) != str(path):  # safetensors could not open the files in it
            raise RunError(f"{valid_text(str(path))} is not UTF-8, so no run can be there; name another --out.")
        try:
            path.mkdir(parents=True, exist_ok=True)
            if any(not file.name.startswith("folds.") for file in path.iterdir()):
                raise FileExistsError
            with (path / "reserve").open("xb") as file:  # if two processes create the run at once, one is refused here
                file.write(bytes(_RESERVE_BYTES))
            described = Description(request=request, config=config, created=time.time())
            write_whole(path / "run.json", described.model_dump_json(indent=1).encode())
        except FileExistsError as error:
            raise RunTakenError(f"{path} is not empty; name another --out, or resume the run in it with --resume.") from error
        except OSError as error:
            with suppress(OSError):  # else the folder would not be empty at the next attempt
                (path / "reserve").unlink()
            raise RunError(f"{path} cannot be created: {error.strerror or error}; name another --out.") from error
        run = cls(path)
        run.record(events.Created())
        return run

    @classmethod
    def open(cls, path: Path) -> Run:
        """Open the folder of a run; raises `RunError` if it is not one."""
        run = cls(path)
        run.description()
        return run

    def description(self) -> Description:
        """Read ``run.json``; raises `RunError` if it is missing or damaged."""
        path = self.path / "run.json"
        try:
            found = path.stat()
            return _read_description(path, found.st_mtime_ns, found.st_ino)
        except OSError as error:
            raise RunError(f"{self.path} is not the folder of a run: it has no readable run.json.") from error
        except ValidationError as error:
            raise RunError(f"{path} is damaged or of another version ({first_line(error)}); start a new run.") from error

    def record(self, event: events.Event) -> None:
        """Append an event to the journal."""
        add_event(self.path / "journal.jsonl", event)

    def record_process(self) -> None:
        """Record that this process works on the run from now on."""
        pid, created = this_process()
        self.record(events.Process(pid=pid, pid_created=created))

    def record_end(self, event: events.Event) -> None:
        """Append the last event, which fits on a full disk too, and remove the request to stop."""
        (self.path / "reserve").unlink(missing_ok=True)
        self.record(event)
        self.cancel_stop()

    def journal(self) -> Journal:
        """Read the journal."""
        return read_journal(self.path / "journal.jsonl")

    def status(self) -> Status:
        """Return the state of the run; a process that vanished is noticed."""
        return self.look()[0]

    def look(self) -> tuple[Status, Journal]:
        """Return the state of the run, and the journal that it follows from."""
        journal = self.journal()
        status = status_of(journal)
        if status is Status.died:  # the process may have recorded its end, and ended, since the journal was read
            journal = self.journal()
            status = status_of(journal)
        return status, journal

    def report(self) -> dict[str, Any] | None:
        """Read the final report, None before the run has finished; raises `RunError` if it is damaged."""
        path = self.path / "report.json"
        return read_report(path) if path.exists() else None

    def begin(self) -> None:
        """Record that a process is about to start; raises `RunError` if one works on the run already, or it has finished."""
        status = self.status()
        if status.is_active and status not in (Status.starting, Status.paused):
            raise RunError(f"{self.name} is running already.")
        if status is Status.finished:
            raise RunError(f"{self.name} has finished; start a new run to train further.")
        self.cancel_stop()
        self.record(events.Created())

    def rename(self, name: str) -> Run:
        """Give the run another name; raises `RunError` if the name cannot be used, or the run is active."""
        target = self.path.parent / checked_name(name)
        self._refuse_while_active("renamed")
        if target.exists() and name_key(name) != name_key(self.name):  # else only the case changes
            raise RunError(f"There is a run {name!r} already; choose another name.")
        self.path.rename(target)
        return Run(target)

    def delete(self) -> None:
        """Remove the run with all its files; raises `RunError` if the run is active."""
        self._refuse_while_active("deleted")
        doomed = self.path.with_name(f".{self.name}.{time.time_ns()}.deleted")  # a rename removes it from lists at once
        self.path.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)

    def _refuse_while_active(self, what: str) -> None:
        if self.status().is_active:
            raise RunError(f"{self.name} is running, so it cannot be {what}; stop it first.")


@lru_cache(maxsize=1024)
def _read_description(path: Path, changed_ns: int, inode: int) -> Description:
    """Read ``run.json``; the time of change and the inode tell a new file from the one that was read before."""
    return Description.model_validate_json(path.read_bytes())


def runs_folder() -> Path:
    """Return the folder of runs: GENRE_APP_RUNS, by default ``runs`` in the working folder, or in the storage of a Space."""
    default = SPACE_STORAGE / "runs" if is_kept_by_space() else Path("runs")
    return Path(os.environ.get("GENRE_APP_RUNS") or default).absolute()


def is_kept_by_space() -> bool:
    """Return whether this is a Space whose storage outlives a restart."""
    return bool(os.environ.get("SPACE_ID")) and os.access(SPACE_STORAGE, os.W_OK)


def work_folder() -> Path:
    """Return the folder of mel caches and unpacked archives."""
    return runs_folder() / ".data"


def checked_name(name: str) -> str:
    """Return the name of a run; raises `RunError` if a folder cannot have this name."""
    if not _NAME.fullmatch(name) or ".." in name:
        raise RunError(f"{name[:70]!r} cannot name a run; use up to 64 letters, digits, and . _ + - between them.")
    if is_reserved_name(name):
        raise RunError(f"{name!r} cannot name a run, since Windows reserves or changes this name; choose another one.")
    return name


def new_run(request: Request, name: str | None = None) -> Run:
    """Create a run in the folder of runs, by default named by `free_name`; errors as those of `Run.create`."""
    for _ in range(20):
        try:
            return Run.create(runs_folder() / (name or free_name(request.recipe)), request)
        except RunTakenError:
            if name is not None:
                raise
            # Another process took the name first; the next one is free.
    raise RunError(f"{runs_folder()} has no free name for a run of {Path(request.recipe).stem}; name one with --out.")


def free_name(recipe: str, suffix: str = "") -> str:
    """Return a name for a new run: the name of the recipe, the suffix and the next free number."""
    stem = _UNFIT.sub("-", Path(recipe).stem).strip("._+-")[:_STEM_LETTERS] or "run"
    names = (f"{stem}{suffix}-{number}" for number in count(1))
    return next(name for name in names if not (runs_folder() / name).exists())


def list_runs(folder: Path | None = None, on_damaged: Callable[[RunError], object] = lambda _: None) -> list[Run]:
    """Return all runs of a folder, by default of the folder of runs; the newest first.

    ``on_damaged`` gets the error of each run whose ``run.json`` cannot be read.
    """
    created: dict[Run, float] = {}
    for path in (folder or runs_folder()).glob("*/run.json"):
        if not path.parent.name.startswith("."):  # `Run.delete` is removing it
            run = Run(path.parent)
            try:
                created[run] = run.description().created
            except RunError as error:
                if path.exists():  # else it was deleted or renamed meanwhile
                    on_damaged(error)
    return sorted(created, key=lambda run: (-created[run], run.name))
