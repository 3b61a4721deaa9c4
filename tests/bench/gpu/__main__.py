"""Measure what only a GPU can show: python -m tests.bench.gpu DATA [--out FOLDER] [--budget SECONDS] [--only ROW ...].

DATA is a mel cache. Each row is printed as soon as it is known, and the JSON file and the Markdown table in FOLDER are written
again. A row that fails is one line with the reason. Rows that measure time run alone, first; the others run at the same time.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from tests.bench.gpu import table
from tests.bench.gpu.bench import ROOT, Bench, Row, RowError, Skipped
from tests.bench.gpu.rows import ROWS
from tests.bench.gpu.usage import gpu_name
from tests.two_beats import write_cache

_README = ROOT / "tests" / "bench" / "README.md"
_QUICK_RECIPE = """
# Tells two beats apart within seconds
epochs = 4
segments_per_track = 3
batch_size = 16
learning_rate = 0.01
validate_every = 2
model_settings = { channels = [8, 16], pools = [[4, 2], [4, 4]] }
spec = { n_mels = 32, segment_seconds = 2.0, segment_hop_seconds = 1.0 }
"""


class Report:
    """The rows so far, printed and written as they come."""

    def __init__(self, out: Path, machine: str, rows: dict[str, Row], keep: bool) -> None:
        self.out, self.machine, self.described = out, machine, rows
        self.rows: dict[str, Any] = table.read(out) if keep else {}
        self._lock = threading.Lock()
        self.began = time.monotonic()

    def add(self, name: str, text: str, verdict: str, values: dict[str, Any] | None = None, seconds: float = 0.0) -> None:
        """Print a row and write everything again."""
        row = {"text": text, "verdict": verdict, "seconds": round(seconds, 1), "machine": self.machine, "values": values or {}}
        with self._lock:
            self.rows[name] = row
            print(f"[{time.monotonic() - self.began:5.0f} s] {name}: {text}{f' [{verdict}]' if verdict else ''}", flush=True)
            table.write(self.out, self.rows, self.described)


def measure(name: str, row: Row, bench: Bench, report: Report) -> None:
    """Measure a row if there is time for it; whatever goes wrong becomes its result."""
    if bench.left < row.needs:
        report.add(name, f"left out: it takes about {row.needs:.0f} s, and {max(0.0, bench.left):.0f} s were left", "left out")
        return
    began = time.monotonic()
    try:
        found = row.measure(bench)
    except Skipped as reason:
        report.add(name, f"skipped: {reason}", "skipped")
    except RowError as reason:
        report.add(name, f"failed: {reason}", "**failed**", seconds=time.monotonic() - began)
    except Exception as error:  # noqa: BLE001 - no row may take the others with it
        report.add(name, f"failed: {type(error).__name__}: {error}", "**failed**", seconds=time.monotonic() - began)
    else:
        verdict = f"**missed: {', '.join(found.missed)}**" if found.missed else "ok" if row.goal else ""
        report.add(name, found.text, verdict, found.values, time.monotonic() - began)


def main(arguments: list[str] | None = None, rows: dict[str, Row] = ROWS) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gpu", description="Measure what only a GPU can show.")
    parser.add_argument("data", nargs="?", type=Path, help="a mel cache; with --quick a tiny one is made")
    parser.add_argument("--out", type=Path, default=Path("runs/gpu-bench"), help="folder of gpu.json and gpu.md")
    parser.add_argument("--budget", type=float, default=360.0, metavar="SECONDS", help="time for all rows (default: 360)")
    parser.add_argument("--only", nargs="+", choices=rows, metavar="ROW", help=f"measure again: {', '.join(rows)}")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: a trial of the bench itself")
    parser.add_argument("--quick", action="store_true", help="a tiny recipe and few repetitions: a trial, not a result")
    parser.add_argument("--readme", action="store_true", help="put the table of --out into tests/bench/README.md and stop")
    given = parser.parse_args(arguments)
    if given.readme:
        if not (given.out / table.TABLE_NAME).exists():
            parser.error(f"{given.out} has no {table.TABLE_NAME}; measure first")
        table.put_into_readme(_README, (given.out / table.TABLE_NAME).read_text(encoding="utf-8"))
        return
    if given.data is None and not given.quick:
        parser.error("name DATA, a mel cache")
    if given.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch finds no CUDA GPU here; --device cpu --quick tries the bench without one")
    given.out.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + given.budget
    with tempfile.TemporaryDirectory(prefix="genre-app-gpu-bench-") as folder:
        work, recipe, data = Path(folder), "default", given.data
        if given.quick:
            (work / "quick.toml").write_text(_QUICK_RECIPE)
            recipe = str(work / "quick.toml")
            if data is None:
                (work / "beats").mkdir()
                data = write_cache(work / "beats")
        bench = Bench(data.absolute(), recipe, given.out.absolute(), work, given.device, given.quick, deadline)
        report = Report(given.out, machine(given.device, given.quick), rows, keep=bool(given.only))
        names = given.only or list(rows)
        for name in names:
            if rows[name].alone:
                measure(name, rows[name], bench, report)
        together = [name for name in names if not rows[name].alone]
        with ThreadPoolExecutor(max(1, len(together))) as threads:
            list(threads.map(lambda name: measure(name, rows[name], bench, report), together))


def machine(device: str, quick: bool) -> str:
    """Describe what measures."""
    name = gpu_name() if device == "cuda" else "no GPU, the processor"
    trial = ", a trial with --quick" if quick else ""
    return f"{name}, {os.cpu_count()} cores, Python {platform.python_version()}, torch {torch.__version__}{trial}"


if __name__ == "__main__":
    sys.exit(main())
