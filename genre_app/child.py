"""Start a module of this package in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def start(module: str, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    """Run ``python -m module`` with this Python and this copy of the package.

    Parameters
    ----------
    module : str
    *arguments : str
    **options
        Of `subprocess.Popen`.
    """
    root = str(Path(__file__).parents[1])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    # -P: the working folder is not searched for modules, so that a file there cannot take the place of one of ours.
    command = [sys.executable, "-P", "-m", module, *arguments]
    # What it prints is read as UTF-8; Windows and old locales have other encodings for files and pipes.
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"}
    return subprocess.Popen(command, env=environment, **options)  # noqa: S603 - no shell
