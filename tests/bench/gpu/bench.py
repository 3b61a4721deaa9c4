"""What the rows share: the settings of a call, processes with a time limit, and runs of ``python -m train``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from genre_app.runs.run import Run
from genre_app.runs.status import Status

ROOT = Path(__file__).parents[3]
_POLL_SECONDS = 0.01
_KEPT_LINES = 60  # of the log of a process that failed


class RowError(Exception):
    """A row could not be measured; the message is one line that says why."""


class Skipped(RowError):  # noqa: N818 - not an error
    """A row cannot be measured here; the message says what is missing."""


@dataclass(frozen=True)
class Finding:
    """What a row found.

    Attributes
    ----------
    text : str
        One line.
    missed : tuple of str
        Goals that were not reached.
    values : dict
        Every number, for the JSON file.
    """

    text: str
    missed: tuple[str, ...] = ()
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes
    ----------
    what, goal : str
    measure : callable
        Returns a `Finding` or raises.
    needs : float
        Seconds; with less left the row is left out.
    alone : bool
        Whether it measures time, so that nothing else may run beside it.
    """

    what: str
    goal: str
    measure: Callable[[Bench], Finding]
    needs: float
    alone: bool = True


@dataclass
class Bench:
    """The settings of one call.

    Attributes
    ----------
    data : Path
        A mel cache.
    recipe : str
    out, work : Path
        Where results stay, and where runs and logs lie.
    device : {"cuda", "cpu"}
    quick : bool
    deadline : float
        Of `time.monotonic`; no process of a row outlives it.
    """

    data: Path
    recipe: str
    out: Path
    work: Path
    device: str
    quick: bool
    deadline: float

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.monotonic()

    def train_arguments(self, name: str, *settings: str) -> list[str]:
        """Return the arguments of ``python -m train`` for a run in the work folder."""
        sets = [part for setting in settings for part in ("--set", setting)]
        threads = ["--threads", "1"] if self.quick else []
        data, out = str(self.data), str(self.run(name).path)
        return [self.recipe, "--data", data, "--columns", "data", "--out", out, *threads, *sets]

    def run(self, name: str) -> Run:
        """Return a run by the name it has in the work folder."""
        return Run(self.work / "runs" / name)

    def train(self, name: str, *settings: str) -> Run:
        """Train from start to end in a process of its own."""
        self.python(name, "-m", "train", *self.train_arguments(name, *settings))
        return self.finished(name)

    def finished(self, name: str) -> Run:
        """Return a run, which must have finished."""
        run = self.run(name)
        if run.status() is not Status.finished:
            raise RowError(f"the run {name} is {run.status()} and not finished")
        return run

    def inside(self, what: str, *arguments: str) -> dict[str, Any]:
        """Run a function of `tests.bench.gpu.inside` in a process of its own; return what it found."""
        path = self.work / f"{what}.json"
        self.python(what, "-m", "tests.bench.gpu.inside", what, str(path), self.device, *arguments)
        found: dict[str, Any] = json.loads(path.read_text())
        if "skipped" in found:
            raise Skipped(found["skipped"])
        return found

    def python(self, name: str, *arguments: str) -> None:
        """Run Python until it ends; a RowError has the last line that it printed."""
        with self.process(name, *arguments) as process:
            self.end(process, name)

    def end(self, process: subprocess.Popen, name: str) -> None:
        """Wait until a process ends; raise a RowError if it fails or takes too long."""
        try:
            code = process.wait(timeout=max(0.1, self.left))
        except subprocess.TimeoutExpired:
            raise self.failure(name, f"{name} was not done when the budget was used up") from None
        if code:
            raise self.failure(name, f"{name} ended with code {code}: {self.last_line(name)}")

    @contextmanager
    def process(self, name: str, *arguments: str) -> Iterator[subprocess.Popen]:
        """Start Python with a log in the work folder; end it, and what it started, if it still runs at the end."""
        (self.work / "locks" / name).mkdir(parents=True, exist_ok=True)
        paths = [str(ROOT), os.environ.get("PYTHONPATH")]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "PYTHONUNBUFFERED": "1",
            "GENRE_APP_RUNS": str(self.work / "runs"),
            "GENRE_APP_LOCKS": str(self.work / "locks" / name),  # its own: runs of different rows may share the GPU
            "GRADIO_ANALYTICS_ENABLED": "False",
        }
        if self.device == "cpu":
            environment["CUDA_VISIBLE_DEVICES"] = ""
        if self.quick:  # threads of several small runs would wait for each other
            environment["OMP_NUM_THREADS"] = "1"
        with (self.work / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *arguments], cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        try:
            yield process
        finally:
            end_tree(process)

    def wait_for(self, run: Run, process: subprocess.Popen, condition: Callable[[], bool]) -> None:
        """Wait until something is true of a run that a process works on."""
        while not condition():
            if process.poll() is not None:
                raise self.failure(run.name, f"{run.name} ended with code {process.returncode}: {self.last_line(run.name)}")
            if self.left < 0:
                raise self.failure(run.name, f"{run.name} was not far enough when the budget was used up")
            time.sleep(_POLL_SECONDS)

    def last_line(self, name: str) -> str:
        """Return the last line of a log that says anything."""
        return next((line.strip() for line in reversed(self._log(name)) if line.strip()), "it printed nothing")

    def failure(self, name: str, reason: str) -> RowError:
        """Return the error of a process, after keeping the end of its log in ``failed.log``."""
        with (self.out / "failed.log").open("a") as file:
            file.write("\n".join([f"== {reason}", *self._log(name)[-_KEPT_LINES:], ""]))
        return RowError(reason)

    def _log(self, name: str) -> list[str]:
        path = self.work / f"{name}.log"
        return path.read_text(errors="replace").splitlines() if path.exists() else []


def end_tree(process: subprocess.Popen) -> None:
    """Kill a process and those that it started, which may have sessions of their own."""
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                child.kill()
    process.kill()
    process.wait()
