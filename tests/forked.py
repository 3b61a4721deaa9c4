"""Python programs in forks of a process that has imported torch: each starts in milliseconds instead of five seconds.

`FORKING` takes the place of the module `subprocess` where a test needs a process of its own, but not Python's start.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

server = multiprocessing.get_context("forkserver")
"""Starts processes of functions: ``server.Process(target=...)``. The first one waits for the imports, the others do not."""

# torch imports torch._dynamo when it makes an optimiser, and librosa its filters when they are used: 2 s of CPU in each fork.
server.set_forkserver_preload(
    [
        "genre_app.runs.executor",
        "genre_app.cli",
        "genre_app.runs.search.loop",
        "tests.runs.beats",
        "torch._dynamo",
        "librosa.filters",
    ]
)


class Forked:
    """Run ``python [-P] -m MODULE ARGUMENT ...`` in a fork; has the methods of `subprocess.Popen` that the tests need.

    Parameters
    ----------
    command : list of str
        The interpreter, its options and arguments.
    stdout : file
        An open file with a name; it gets the output and the errors.
    cwd, env : optional
        As for `subprocess.Popen`; its other arguments are ignored.
    """

    def __init__(self, command: list[str], *, stdout: Any, cwd: Any = None, env: Any = None, **_: Any) -> None:
        words = [str(word) for word in command]
        module = words.index("-m")
        place = str(cwd or Path.cwd())
        self._process = server.Process(
            target=_run, args=(words[module + 1 :], stdout.name, place, dict(env or os.environ)), daemon=False
        )
        self._process.start()
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("a fork", timeout or 0.0)
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()


def _run(words: list[str], log: str, place: str, environment: dict[str, str]) -> None:
    # At a low priority a run would wait for the tests beside it.
    from genre_app.runs import host

    host.be_nice = lambda: None
    with Path(log).open("ab", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(place)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    sys.argv = words
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)


FORKING = SimpleNamespace(**(vars(subprocess) | {"Popen": Forked}))
"""The module `subprocess`, whose `Popen` is `Forked`."""
