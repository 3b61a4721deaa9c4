"""The page in a process of its own, for the commands that load it: python -m tests.soak.server --sweep 1800.

With a small ``--sweep``, gradio deletes uploads after that many seconds instead of an hour. With ``--visits``, it keeps the
state of fewer visits.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

_START_SECONDS = 120.0
_LOOK_SECONDS = 0.2


class Server:
    """A served page, and what it takes of this machine."""

    def __init__(self, address: str, process: psutil.Process, folder: Path) -> None:
        self.address, self.process, self.folder = address, process, folder
        self.peak_mb = 0.0

    def family(self) -> list[psutil.Process]:
        """Return the server and the processes that it has started."""
        return [self.process, *self.process.children(recursive=True)]

    def memory_mb(self) -> float:
        """Return the memory of the server and its processes; on Linux, pages that they share count once."""
        total = 0.0
        for process in self.family():
            with suppress(psutil.Error):
                memory = process.memory_full_info()
                total += getattr(memory, "pss", memory.rss) / 1e6
        return total

    def cpu_seconds(self) -> float:
        """Return the CPU time that the server itself has used."""
        return sum(self.process.cpu_times()[:2])

    def open_files(self) -> int:
        """Return the files and sockets that the server itself holds open."""
        return self.process.num_fds()

    def files(self) -> list[Path]:
        """List files and folders in the folder of uploads."""
        walk = os.walk(self.uploads)  # it passes over folders that are deleted meanwhile
        return [Path(folder) / name for folder, folders, files in walk for name in (*folders, *files)]

    @property
    def uploads(self) -> Path:
        return self.folder / "uploads"

    def watch(self, over: threading.Event) -> None:
        """Follow the memory until ``over``."""
        while not over.wait(_LOOK_SECONDS):
            with suppress(psutil.Error):
                self.peak_mb = max(self.peak_mb, self.memory_mb())


@contextmanager
def served(sweep: float = 3600.0, visits: int = 0) -> Iterator[Server]:
    """Serve the page of this checkout, with all that it writes in a folder that is deleted in the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    root = Path(__file__).parents[2]
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        folder, over = Path(name), threading.Event()
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.soak.server", "--sweep", str(sweep), "--visits", str(visits)],
            cwd=root,
            env=_environment(folder, port) | {"PYTHONPATH": str(root)},
            stdout=subprocess.DEVNULL,
            stderr=(folder / "errors.txt").open("wb"),
        )
        try:
            server = Server(f"http://127.0.0.1:{port}", psutil.Process(process.pid), folder)
            _wait(server, process)
            threading.Thread(target=server.watch, args=(over,), daemon=True).start()
            yield server
        finally:
            over.set()
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
            process.wait()


def _environment(folder: Path, port: int) -> dict[str, str]:
    places = {
        "GRADIO_TEMP_DIR": "uploads",
        "GENRE_APP_RUNS": "runs",
        "GENRE_APP_LOCKS": "locks",
        "GENRE_APP_COLLECTIONS": "mine",
    }
    served = {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False"}
    return {**os.environ, **served, **{key: str(folder / name) for key, name in places.items()}}


def _wait(server: Server, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError):
            urllib.request.urlopen(f"{server.address}/config", timeout=10).close()
            return
        time.sleep(0.2)
    raise RuntimeError(f"the page did not start: {(server.folder / 'errors.txt').read_text()[-2000:]}")


def config_of(address: str) -> dict:
    """Return gradio's description of the page."""
    with urllib.request.urlopen(f"{address}/config", timeout=60) as answer:
        return json.load(answer)


if __name__ == "__main__":
    from genre_app.ui import page

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweep", type=float, default=3600.0)
    parser.add_argument("--visits", type=int, default=0)
    given = parser.parse_args()
    page._SWEEP = (max(1, round(given.sweep / 2)), round(given.sweep))
    page.visits._SWEEP_SECONDS = given.sweep / 2
    page.visits.MAX_VISITS = given.visits or page.visits.MAX_VISITS
    page.serve()
