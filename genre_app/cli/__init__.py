"""The command line: one file a command; ``classify.py`` holds the function ``classify``.

Results go to standard output, everything else to standard error. Exit codes: 0 success; 1 a file or a run failed; 2 wrong
usage, including a checkpoint or a data set that cannot be used; for ``train`` these are 1 too.
"""

import sys
from importlib import import_module
from pkgutil import iter_modules

import typer

from genre_app.files import provide_cache


def build() -> typer.Typer:
    """Build the command line from the files of this folder; a file whose name begins with an underscore is not a command."""
    app = typer.Typer(
        help="Classify the genre of music, evaluate models, and train new ones.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for name in sorted(module.name for module in iter_modules(__path__) if not module.name.startswith("_")):
        app.command(name)(getattr(import_module(f"{__name__}.{name}"), name))
    return app


def main() -> None:
    """Run the command line."""
    provide_cache()
    # The name of a file may hold letters that the encoding of the terminal lacks.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    build()()
