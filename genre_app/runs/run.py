"""Runs: folders in which training leaves its settings, its journal, its checkpoints and its report.

Format
------
``run.json``
    What was asked (`Request`), the settings that follow from it (`TrainConfig`), and when.
``journal.jsonl``
    One JSON object a line, each with ``time`` (seconds since 1970) and ``event``; `Run.status` and the page read nothing else.
``best.safetensors``, ``last.state``
    The checkpoint to use, and the state to go on from (also a safetensors file).
``report.json``, ``card.md``
    Metrics, and the model card; there when the run has finished.
``log.txt``
    What the process printed, if the page started it.
``stop``
    There while somebody asks the run to stop.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from genre_app.errors import RunError, RunTakenError
from genre_app.files import write_whole
from genre_app.runs.journal import read_journal
from genre_app.runs.request import Request
from genre_app.training.config import TrainConfig

FORMAT_VERSION: Literal[1] = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_START_SECONDS = 120.0  # within which a process that was started must have said something
_RESERVE_BYTES = 65536  # of the disk, given back to tell that it is full


class Status(StrEnum):
    """Where a run stands."""

    starting = "starting"
    queued = "queued"
    preparing = "preparing"
    running = "running"
    paused = "paused"
    stopped = "stopped"
    finished = "finished"
    failed = "failed"
    died = "died"

    @property
    def is_active(self) -> bool:
        """Whether a process is at work on the run, or will be."""
        return self in (Status.starting, Status.queued, Status.preparing, Status.running, Status.paused)


class Description(BaseModel):
    """What ``run.json`` holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1] = FORMAT_VERSION
    request: Request
    config: TrainConfig
    created: float


@dataclass(frozen=True)
class Run:
    """A run, by its folder."""

    path: Path

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def best(self) -> Path:
        """The checkpoint to use; it may not be there yet."""
        return self.path / "best.safetensors"

    @property
    def state(self) -> Path:
        """The state to go on from."""
        return self.path / "last.state"

    @classmethod
    def create(cls, path: Path, request: Request) -> Run:
        """Make the folder of a new run.

        Raises
        ------
        RunTakenError
            If there is something already.
        RunError
            If it cannot be made.
        ValueError
            If the recipe or a setting is wrong.
        """
        config = request.config()
        try:
            path.mkdir(parents=True, exist_ok=True)
            if any(path.iterdir()):
                raise FileExistsError
            with (path / "reserve").open("xb") as file:  # of two that come at once, one is refused
                file.write(bytes(_RESERVE_BYTES))
            described = Description(request=request, config=config, created=time.time())
            write_whole(path / "run.json", described.model_dump_json(indent=1).encode())
        except FileExistsError as error:
            raise RunTakenError(f"{path} is not empty; name another --out, or go on with it by --resume.") from error
        except OSError as error:
            raise RunError(f"{path} cannot be made: {error.strerror or error}; name another --out.") from error
        run = cls(path)
        run.record("created")
        return run

    @classmethod
    def open(cls, path: Path) -> Run:
        """Open the folder of a run.

        Raises
        ------
        RunError
            If it is none.
        """
        run = cls(path)
        run.description()
        return run

    def description(self) -> Description:
        """Read what was asked.

        Raises
        ------
        RunError
            If ``run.json`` is missing or damaged.
        """
        try:
            return Description.model_validate_json((self.path / "run.json").read_bytes())
        except OSError as error:
            raise RunError(f"{self.path} is not the folder of a run: it has no readable run.json.") from error
        except ValidationError as error:
            place = ".".join(map(str, error.errors()[0]["loc"]))
            raise RunError(f"{self.path / 'run.json'} is damaged or of another version ({place}); start a new run.") from error

    def record(self, event: str, **values: Any) -> None:
        """Add a line to the journal."""
        line = json.dumps({"time": round(time.time(), 3), "event": event, **values}, allow_nan=False)
        with (self.path / "journal.jsonl").open("ab+") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
            torn = file.read(1) not in (b"", b"\n")  # a crash cut the last line off; this one must not be lost with it
            file.write((b"\n" if torn else b"") + line.encode() + b"\n")

    def record_end(self, event: str, **values: Any) -> None:
        """Add the last line, for which there is room on a full disk too."""
        (self.path / "reserve").unlink(missing_ok=True)
        self.record(event, **values)

    def journal(self) -> list[dict[str, Any]]:
        """Read the journal; a last line that was cut off by a crash is passed over."""
        return read_journal(self.path / "journal.jsonl")

    def epochs(self, journal: list[dict[str, Any]] | None = None) -> list[dict[str, Any]]:
        """Return the journal's epochs in order; those that a resumed run did again stand there once."""
        found: dict[int, dict[str, Any]] = {}
        for event in self.journal() if journal is None else journal:
            if event["event"] == "started":
                found = {epoch: kept for epoch, kept in found.items() if epoch <= event.get("epoch", 0)}
            elif event["event"] == "epoch":
                found[event["epoch"]] = event
        return [found[epoch] for epoch in sorted(found)]

    def status(self, journal: list[dict[str, Any]] | None = None) -> Status:
        """Say where the run stands; a process that vanished is noticed."""
        journal = self.journal() if journal is None else journal
        last = next((event for event in reversed(journal) if event["event"] in _MEANING), None)
        if last is None:
            return Status.died
        status = _MEANING[last["event"]]
        if status is Status.starting and last["event"] == "created":
            return status if time.time() - last["time"] < _START_SECONDS else Status.died
        if not status.is_active or status is Status.paused:
            return status
        process = next((event for event in reversed(journal) if event["event"] == "process"), None)
        return status if process and _is_alive(process["pid"], process["pid_created"]) else Status.died

    def report(self) -> dict[str, Any] | None:
        """Read the final report, None before the run has finished."""
        try:
            report: dict[str, Any] = json.loads((self.path / "report.json").read_bytes())
        except (OSError, ValueError):
            return None
        return report

    def log_tail(self, lines: int = 20) -> str:
        """Return the last lines that the process printed."""
        try:
            with (self.path / "log.txt").open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 400 * lines))
                return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-lines:])
        except OSError:
            return ""

    def request_stop(self) -> None:
        """Ask the run to stop; it does so after the step under way, and can be resumed."""
        (self.path / "stop").touch()

    @property
    def should_stop(self) -> bool:
        """Whether somebody asked the run to stop."""
        return (self.path / "stop").exists()

    def rename(self, name: str) -> Run:
        """Give the run another name.

        Raises
        ------
        RunError
            If the name cannot be used, or the run is at work.
        """
        target = self.path.parent / checked_name(name)
        self._refuse_while_active("renamed")
        if target.exists():
            raise RunError(f"There is a run {name!r} already; choose another name.")
        self.path.rename(target)
        return Run(target)

    def delete(self) -> None:
        """Remove the run with everything in it.

        Raises
        ------
        RunError
            If the run is at work.
        """
        self._refuse_while_active("deleted")
        doomed = self.path.with_name(f".{self.name}.{time.time_ns()}.deleted")  # so that it is gone at once
        self.path.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)

    def _refuse_while_active(self, what: str) -> None:
        if self.status().is_active:
            raise RunError(f"{self.name} is at work, so it cannot be {what}; stop it first.")


_MEANING = {
    "created": Status.starting,
    "process": Status.starting,
    "queued": Status.queued,
    "preparing": Status.preparing,
    "started": Status.running,
    "paused": Status.paused,
    "stopped": Status.stopped,
    "finished": Status.finished,
    "failed": Status.failed,
}


def runs_folder() -> Path:
    """Where runs go unless told otherwise: GENRE_APP_RUNS, or ``runs`` in the working folder."""
    return Path(os.environ.get("GENRE_APP_RUNS") or "runs").absolute()


def work_folder() -> Path:
    """Where mel caches and unpacked archives are kept, so that they are made once."""
    return runs_folder() / ".data"


def checked_name(name: str) -> str:
    """Return a run's name if a folder may be called so.

    Raises
    ------
    RunError
        If not.
    """
    if not _NAME.fullmatch(name) or ".." in name:
        raise RunError(f"{name[:70]!r} cannot name a run; use up to 64 letters, digits, and . _ + - between them.")
    return name


def new_run(request: Request, name: str | None = None) -> Run:
    """Make a run where runs go, by default called by `free_name`.

    Raises
    ------
    RunError, ValueError
        As `Run.create` does.
    """
    for _ in range(20):
        try:
            return Run.create(runs_folder() / (name or free_name(request.recipe)), request)
        except RunTakenError:
            if name is not None:
                raise
            # Another process was quicker; the next name is free.
    raise RunError(f"{runs_folder()} has no room for another run of {Path(request.recipe).stem}; name one with --out.")


def free_name(recipe: str, folder: Path | None = None) -> str:
    """Return a name for a new run: the recipe's with the next number."""
    folder = folder or runs_folder()
    stem = Path(recipe).stem
    number = 1
    while (folder / f"{stem}-{number}").exists():
        number += 1
    return f"{stem}-{number}"


def list_runs(folder: Path | None = None) -> list[Run]:
    """Return all runs, the newest first."""
    runs = []
    for path in (folder or runs_folder()).glob("*/run.json"):
        if path.parent.name.startswith("."):  # on its way out, see `Run.delete`
            continue
        run = Run(path.parent)
        try:
            runs.append((run.description().created, run))
        except RunError:
            continue
    return [run for _, run in sorted(runs, key=lambda pair: (-pair[0], pair[1].name))]


def _is_alive(pid: int, created: float) -> bool:
    try:
        process = psutil.Process(pid)
        # Numbers of processes are used again, so the time must fit too.
        return bool(abs(process.create_time() - created) < 1.0 and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
