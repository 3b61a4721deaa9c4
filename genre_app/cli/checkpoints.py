"""genre-app checkpoints: list the bundled checkpoints."""

from __future__ import annotations

import json

from genre_app.cli._shared import ReportFormat, open_checkpoint


def checkpoints(format_: ReportFormat = "table") -> None:
    """List the bundled checkpoints."""
    from genre_app.checkpoint import bundled_checkpoints

    rows = []
    for name in bundled_checkpoints():
        checkpoint = open_checkpoint([name])
        members = [{"model": m.model.name, "features": m.spec.kind, "weight": m.weight} for m in checkpoint.members]
        rows.append({"name": name, "members": members, "genres": list(checkpoint.genres), "metrics": checkpoint.metrics})
        if format_ == "table":
            networks = " + ".join(f"{member['model']} on {member['features']}" for member in members)
            print(f"{name:<20}{networks}: {', '.join(checkpoint.genres)}")
    if format_ == "json":
        print(json.dumps(rows, allow_nan=False))
