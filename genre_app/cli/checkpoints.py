"""genre-app checkpoints: list the bundled checkpoints."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from genre_app.cli._shared import ReportFormat


def checkpoints(format_: Annotated[ReportFormat, typer.Option("--format")] = ReportFormat.table) -> None:
    """List the bundled checkpoints."""
    from genre_app.checkpoint import bundled_checkpoints, load_checkpoint

    rows = []
    for name in bundled_checkpoints():
        checkpoint = load_checkpoint(name)
        rows.append(
            {
                "name": name,
                "model": checkpoint.model.name,
                "features": checkpoint.spec.kind,
                "genres": list(checkpoint.genres),
                "metrics": checkpoint.metrics,
            }
        )
    if format_ is ReportFormat.json:
        print(json.dumps(rows, allow_nan=False))
    else:
        for row in rows:
            print(f"{row['name']:<20}{row['model']} on {row['features']}: {', '.join(row['genres'])}")
