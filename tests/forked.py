"""Python programs in forks of a process that has imported torch: each starts in milliseconds instead of five seconds.

`FORKING` takes the place of the module `subprocess` where a test needs a process of its own, but not Python's start.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Sequence
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
    args : sequence of str
        The interpreter, its options and arguments.
    stdout, stderr : file, optional
        Files with a name, which the fork opens itself; without ``stderr``, ``stdout`` gets the errors too.
    cwd, env : optional
        As for `subprocess.Popen`; its other arguments are ignored.

    Attributes
    ----------
    prepare : callable, optional
        Set by a subclass: a function of a module, which the fork calls before it runs MODULE.
    """

    prepare: Callable[[], None] | None = None

    def __init__(
        self, args: Sequence[str], *, stdout: Any = None, stderr: Any = None, cwd: Any = None, env: Any = None, **_: Any
    ) -> None:
        words = [str(word) for word in args]
        module = words.index("-m")
        out = getattr(stdout, "name", None)
        files, place = (out, getattr(stderr, "name", out)), str(cwd or Path.cwd())
        self._process = server.Process(
            target=_run,
            args=(words[module + 1 :], files, place, dict(env or os.environ), type(self).prepare),
            daemon=False,
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


def _fork_workers() -> None:
    subprocess.Popen = Forked  # type: ignore[misc, assignment]


class Launcher(Forked):
    """A fork that starts Python programs as forks too, as a launcher of training processes does."""

    prepare = staticmethod(_fork_workers)


def _run(
    words: list[str],
    files: tuple[str | None, str | None],
    place: str,
    environment: dict[str, str],
    prepare: Callable[[], None] | None,
) -> None:
    global server
    server = multiprocessing.get_context("fork")  # a server of its own would import everything once more
    for stream, name in enumerate(files, 1):
        if name is None:
            continue
        with Path(name).open("ab", buffering=0) as file:
            os.dup2(file.fileno(), stream)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(place)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    sys.argv = words
    if prepare is not None:
        prepare()
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)


FORKING = SimpleNamespace(**(vars(subprocess) | {"Popen": Launcher}))
"""The module `subprocess`, whose `Popen` is `Launcher`."""


def starting(kind: type[Forked] = Forked) -> SimpleNamespace:
    """Return what takes the place of the module `genre_app.child`: its ``start`` makes a fork."""

    def start(module: str, *arguments: str, **options: Any) -> Forked:
        return kind([sys.executable, "-m", module, *arguments], env=dict(os.environ), **options)

    return SimpleNamespace(start=start)
