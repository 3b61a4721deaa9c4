"""genre-app remember: let a checkpoint remember its genres, so that new ones can be added to them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genre_app.cli._shared import ThreadsOption, monitored, open_checkpoint, stopping_on_errors
from genre_app.progress import usable_cores


def remember(
    folder: Annotated[Path, typer.Argument(help="Genre folders with the music that trained the checkpoint.")],
    out: Annotated[Path, typer.Option(help="File for the checkpoint with its memory.")],
    checkpoint: Annotated[str, typer.Option(help="A bundled name, a .safetensors file or hub:OWNER/NAME.")] = "default",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulated recordings.")] = 0,
    threads: ThreadsOption = None,
) -> None:
    """Store in a checkpoint what its networks see of each of its genres: means and variances, no music.

    The answers stay as they are. ``genre-app teach --extend`` can then add genres.
    """
    base = open_checkpoint([checkpoint])
    from dataclasses import replace

    import numpy as np

    from genre_app.checkpoint import save_checkpoint
    from genre_app.data.sources.folder import match_genres
    from genre_app.errors import DataError
    from genre_app.teaching.cached import Embeddings
    from genre_app.teaching.examples import folder_examples
    from genre_app.teaching.memory import remember as describe

    with stopping_on_errors(out):
        examples, _ = folder_examples(folder)
        index = match_genres((example.genre for example in examples), base.genres, folder)
        missing = sorted(set(base.genres) - {base.genres[place] for place in index.values()})
        if missing:
            raise DataError(f"{folder} has no music of {', '.join(missing)}, so these genres could not be kept; add it.")
        with monitored() as monitor:
            store = Embeddings(base, seed=seed, threads=threads or usable_cores())
            found, failed = store.of_files([example.path for example in examples], monitor)
        if failed:
            raise DataError(f"{failed[0][1]}; remove or replace this file.")
        labels = np.array([index[example.genre] for example in examples])
        memory = describe([versions for versions in found if versions is not None], labels, base, len(base.genres))
        save_checkpoint(replace(base, memory=memory), out)
