"""The command line: one file for each command of ``genre-app``, such as ``classify.py`` with its function ``classify``.

Results go to standard output, everything else to standard error. Exit codes: 0 success; 1 a file or a run failed; 2 wrong
usage, including a checkpoint or a data set that cannot be used.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pkgutil import iter_modules

import typer


def build() -> typer.Typer:
    """Build the command line from the files of this folder; files whose names begin with an underscore are no commands."""
    app = typer.Typer(
        help="Classify the genre of music, measure how well a model does, and train new ones.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for name in sorted(module.name for module in iter_modules(__path__) if not module.name.startswith("_")):
        app.command(name)(getattr(import_module(f"{__name__}.{name}"), name))
    return app


def main() -> None:
    """Run the command line."""
    # A file's name may hold letters that the terminal's encoding lacks; that must not end the command.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    build()()
