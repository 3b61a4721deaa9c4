"""genre-app pretrained: download a published network and write it as a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from genre_app.cli._shared import stopping_on_errors


def pretrained(
    network: Annotated[Literal["musicnn"], typer.Argument(help="The published package.")],
    which: Annotated[
        Literal["MSD_musicnn", "MTT_musicnn"], typer.Option(help="Network of the package; MSD and MTT are its training data.")
    ] = "MSD_musicnn",
    out: Annotated[Path | None, typer.Option(help="Checkpoint to write; by default WHICH.safetensors.")] = None,
    wheel: Annotated[Path | None, typer.Option(help="Wheel of the package; by default pip downloads it.")] = None,
) -> None:
    """Write a published network as a checkpoint, with which training can start (genre-app train --init-from)."""
    from genre_app.checkpoint import SUFFIX, save_checkpoint
    from genre_app.pretrained import load_pretrained

    path = out or Path(f"{which}{SUFFIX}")
    with stopping_on_errors(path, unwritten=1):
        save_checkpoint(load_pretrained(which, wheel), path)
    print(path)
