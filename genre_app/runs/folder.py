"""What the folders of runs and of searches have in common: a log, and a file that asks the process to stop."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from genre_app.errors import RunError
from genre_app.files import valid_text

_LOG_LINE_BYTES = 400  # of an average line of log.txt, or more
_LONG_LINE_BYTES = 8000  # of the longest line: a failure has up to 1000 letters, and paths besides


@dataclass(frozen=True)
class TaskFolder:
    """The folder of a long task: a run, or a search."""

    path: Path

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.path.name

    def check_name(self, what: str) -> None:
        """Raise `RunError` if the name is not UTF-8, since a browser cannot get it; ``what`` is what the folder holds."""
        if valid_text(self.name) != self.name:
            raise RunError(f"{valid_text(str(self.path))} has a name that is not UTF-8; rename this folder to see its {what}.")

    def log(self, line: str) -> None:
        """Append a line to ``log.txt``."""
        with (self.path / "log.txt").open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")

    def log_tail(self, lines: int = 20) -> str:
        """Return the last lines of ``log.txt``; empty if there is none."""
        try:
            with (self.path / "log.txt").open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - max(_LOG_LINE_BYTES * lines, _LONG_LINE_BYTES)))
                return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-lines:])
        except OSError:
            return ""

    def request_stop(self) -> None:
        """Ask the process to stop soon; its work can be resumed."""
        (self.path / "stop").touch()

    def cancel_stop(self) -> None:
        """Withdraw the request to stop."""
        (self.path / "stop").unlink(missing_ok=True)

    @property
    def should_stop(self) -> bool:
        """Whether somebody asked the process to stop."""
        return (self.path / "stop").exists()
