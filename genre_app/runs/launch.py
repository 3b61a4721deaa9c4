"""Start a run or a search in a process of its own, as the page does."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from genre_app import child
from genre_app.runs.run import Run

# The process gets a group of its own, so that Ctrl-C in the terminal of the server does not reach it. It stays in the server's
# session: Linux shares the CPU evenly between sessions, so in a session of its own it would slow the page down. On Windows, it
# gets a console without a window: in the server's console, it would end when the user closes that window.
_OWN_GROUP: dict[str, Any] = (
    {"creationflags": getattr(subprocess, "CREATE_NO_WINDOW", 0)} if sys.platform == "win32" else {"process_group": 0}
)


def start(run: Run) -> None:
    """Start or resume a run in a process that outlives this one.

    Raises
    ------
    RunError
        If the run is running already, or has finished.
    """
    run.begin()
    resume(run.path)


def resume(folder: Path) -> None:
    """Resume the run or the search in a folder, in a process that outlives this one; its output goes to ``log.txt`` there."""
    with (folder / "log.txt").open("ab") as log:
        streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": subprocess.STDOUT}
        process = child.start("genre_app", "train", "--resume", str(folder), **streams, **_OWN_GROUP)
    threading.Thread(target=process.wait, daemon=True).start()  # else the process would stay a zombie when it ends
