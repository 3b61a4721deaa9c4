"""genre-app checkpoints: list the bundled checkpoints."""

from __future__ import annotations

import json

from genre_app.cli._shared import ReportFormat


def checkpoints(format_: ReportFormat = "table") -> None:
    """List the bundled checkpoints."""
    from genre_app.checkpoint import bundled_checkpoints, load_checkpoint

    rows = []
    for name in bundled_checkpoints():
        checkpoint = load_checkpoint(name)
        model, features, genres = checkpoint.model.name, checkpoint.spec.kind, list(checkpoint.genres)
        rows.append({"name": name, "model": model, "features": features, "genres": genres, "metrics": checkpoint.metrics})
        if format_ == "table":
            print(f"{name:<20}{model} on {features}: {', '.join(genres)}")
    if format_ == "json":
        print(json.dumps(rows, allow_nan=False))
