"""The results as one JSON file and one Markdown table, each there whole at any time."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from genre_app.files import write_whole
from tests.bench.gpu.bench import Row

BEGIN, END = "<!-- gpu: python -m tests.bench.gpu -->", "<!-- end of gpu -->"
JSON_NAME, TABLE_NAME = "gpu.json", "gpu.md"


def read(folder: Path) -> dict[str, Any]:
    """Return the rows that an earlier call left in a folder."""
    path = folder / JSON_NAME
    rows: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else {}
    return rows


def write(folder: Path, rows: dict[str, Any], described: dict[str, Row]) -> None:
    """Write the JSON file and the Markdown table."""
    ordered = {name: rows[name] for name in described if name in rows}
    write_whole(folder / JSON_NAME, json.dumps({"rows": ordered}, indent=1).encode())
    write_whole(folder / TABLE_NAME, (markdown(ordered, described) + "\n").encode())


def markdown(rows: dict[str, Any], described: dict[str, Row]) -> str:
    """Return the table, and below it the machines that measured it."""
    lines = ["| what | result | goal | | command |", "|---|---|---|---|---|"]
    for name, row in rows.items():
        cells = [described[name].what, row["text"], described[name].goal, row["verdict"]]
        cells = [re.sub(r"\s+", " ", cell).replace("|", "\\|") for cell in cells]
        lines.append(f"| {' | '.join(cells)} | `python -m tests.bench.gpu DATA --only {name}` |")
    machines = dict.fromkeys(row["machine"] for row in rows.values())
    return "\n".join([*lines, "", *(f"Measured on {machine}." for machine in machines)])


def put_into_readme(readme: Path, table: str) -> None:
    """Replace what stands between the two markers.

    Raises
    ------
    ValueError
        If a marker is missing.
    """
    text = readme.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise ValueError(f"{readme} has no lines {BEGIN} and {END}; put them where the table is to stand")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    write_whole(readme, f"{before}{BEGIN}\n{table.strip()}\n{END}{after}".encode())
