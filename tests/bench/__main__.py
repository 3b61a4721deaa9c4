"""How fast the project is, as one table: python -m tests.bench [--quick] [--only ROW] [--checkpoint NAME_OR_PATH].

Audio is synthesised into a temporary folder. What is said to run on one thread does so in a process of its own, see
tests.bench.core. Medians, and ratios of interleaved repetitions; a bound that does not hold is called "over", and below the
table stands how busy the machine was.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import statistics
import sys
import tempfile
from pathlib import Path

from tests.bench.measurements import Bench, Skipped, say
from tests.bench.rows import INFINITE, ROWS


def _load() -> float:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")  # Windows has none


def _line(name: str, bench: Bench) -> str:
    row = ROWS[name]
    command = f"`python -m tests.bench --only {name}`"
    bound = "" if row.bound is None else " to ".join(f"{end:g}" for end in row.bound)
    if row.bound and row.bound[0] == 0:
        bound = f"≤ {row.bound[1]:g}"
    elif row.bound and row.bound[1] == INFINITE:
        bound = f"≥ {row.bound[0]:g}"
    try:
        values = row.measure(bench)
    except Skipped as reason:
        return f"| {row.what} | | | | {bound} | skipped: {reason} | {command} |"
    median = statistics.median(values)
    verdict = "" if row.bound is None else "ok" if row.bound[0] <= median <= row.bound[1] else "**over**"
    spread = f"{min(values):.3g} to {max(values):.3g}" if len(values) > 1 else ""
    return f"| {row.what} | {median:.3g} {row.unit} | {len(values)} | {spread} | {bound} | {verdict} | {command} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure the project's speed.")
    parser.add_argument("--only", nargs="+", choices=ROWS, metavar="ROW", help=f"measure these rows: {', '.join(ROWS)}")
    parser.add_argument("--checkpoint", default="default", help="bundled name or file; the page's rows take the default one")
    parser.add_argument("--quick", action="store_true", help="few repetitions and nothing of 3 h: a trial, not a result")
    arguments = parser.parse_args()
    names = [name for name in ROWS if name in (arguments.only or ROWS)]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # by an exception, so that processes and files go too
    load = _load()
    with tempfile.TemporaryDirectory(prefix="genre-app-bench-") as folder:
        os.environ["TMPDIR"] = folder  # for what the servers and Chromium would leave
        bench = Bench(
            Path(folder), arguments.checkpoint, arguments.quick, {need for name in names for need in ROWS[name].needs}
        )
        print("| what | median | n | from to | bound | | command |\n|---|---|---|---|---|---|---|")
        for name in names:
            say(name)
            print(_line(name, bench), flush=True)
    print(f"\n{'A trial with --quick. ' if arguments.quick else ''}Checkpoint {arguments.checkpoint}; Python", end=" ")
    print(f"{platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores", end="; ")
    print(f"load average {load:.1f} when the bench began, {_load():.1f} at its end.")


if __name__ == "__main__":
    main()
