"""genre-app map: lay out a folder of music on a plane, and list doubtful labels, nearly equal clips and odd ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from genre_app.cli._shared import (
    CheckpointOption,
    ReportFormat,
    ThreadsOption,
    monitored,
    open_checkpoint,
    show,
    stopping_on_errors,
)
from genre_app.progress import usable_cores

if TYPE_CHECKING:
    from genre_app.teaching.data_map import DataMap

_MAX_ROWS = 20  # of each list on the terminal


def map(  # noqa: A001 (the command's name)
    folder: Annotated[Path, typer.Argument(help="Genre folders with music, or a collection of the page.")],
    by: Annotated[
        Literal["embedding", "features"], typer.Option(help="What the networks see, or the 58 summary features.")
    ] = "embedding",
    checkpoint: CheckpointOption = None,
    cache: Annotated[Path | None, typer.Option(help="Folder that keeps embeddings, as for teach.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the map.")] = 0,
    threads: ThreadsOption = None,
    format_: ReportFormat = "table",
) -> None:
    """Lay out labelled music on a plane (t-SNE), and list labels that may be wrong, nearly equal clips and odd clips.

    JSON has the place of each clip. The page shows the map of a collection.
    """
    base = open_checkpoint(checkpoint)
    from genre_app.teaching.data_map import clip_values, data_map
    from genre_app.teaching.examples import cache_of, folder_examples
    from genre_app.teaching.teach import teach

    kept = cache or cache_of(folder)
    with stopping_on_errors(kept):
        examples, _ = folder_examples(folder)
        with monitored() as monitor:
            cores = threads or usable_cores()
            taught = teach(examples, base, cache=kept, prune=cache is None, threads=cores, monitor=monitor)
            values = clip_values(by, taught, monitor)
        found = data_map(values, taught.examples, taught, seed=seed)
    show(found.to_dict(), _table(found), format_)


def _table(found: DataMap) -> str:
    lines = [
        f"{len(found.names)} clips, {len(set(found.genres))} genres",
        f"silhouette of as many K-means clusters  {found.silhouette:.2f}",
        f"silhouette of the genres                {found.genre_silhouette:.2f}",
    ]
    doubtful = [f"{one.name}: {one.answer} rather than {one.genre} ({one.probability:.0%})" for one in found.doubtful]
    for title, rows in (
        ("labels that may be wrong", doubtful),
        ("nearly the same sound", [" = ".join(pair) for pair in found.alike]),
        ("unlike all others", list(found.odd)),
    ):
        lines += ["", f"{title}: {len(rows)}", *(f"  {row}" for row in rows[:_MAX_ROWS])]
        if len(rows) > _MAX_ROWS:
            lines.append(f"  and {len(rows) - _MAX_ROWS} more")
    return "\n".join(lines)
