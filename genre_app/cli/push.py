"""genre-app push: upload the checkpoint of a run to the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genre_app.cli._shared import stopping_on_errors


def push(
    run: Annotated[str, typer.Argument(help="Name of a run, or its folder.")],
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="Model repository; created if there is none.")],
    private: Annotated[bool, typer.Option("--private", help="Create a private repository.")] = False,
) -> None:
    """Upload the checkpoint of a run to the Hugging Face hub, with its model card. First log in: hf auth login.

    The model is then used as --checkpoint hub:OWNER/NAME.
    """
    from genre_app.runs import push as hub
    from genre_app.runs.run import Run, runs_folder

    with stopping_on_errors():
        path = Path(run)
        found = Run.open(path if path.is_dir() else runs_folder() / run)
        print(hub.push(found, repository, private=private))
