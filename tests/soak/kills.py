"""SIGKILL at random moments of training, preparing, collecting and teaching: everything opens again and goes on.

python -m tests.soak.kills --kills 24 --seconds 220 --seed 0

Each job is also done without a kill; both must give the same. The temporary files that a kill leaves must be gone when the job
has been done an hour later.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests import forked
from tests.soak.core import rounds
from tests.soak.jobs import JOBS, Job, run

_MOST_SECONDS = 120.0  # of a job


class Result(NamedTuple):
    """Kills by job; what was wrong; the temporary files that were left."""

    kills: dict[str, int]
    wrong: list[str]
    left: list[str]


def soak(kills: int, seconds: float, seed: int, jobs: tuple[str, ...] = tuple(JOBS), size: int = 1) -> Result:
    """Kill each job in turn until there are enough kills or the time is over, then let each finish."""
    counts, wrong, left = dict.fromkeys(jobs, 0), [], []
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        killed = {job: _laid_out(job, Path(name) / job, size) for job in jobs}
        whole = {job: _laid_out(job, Path(name) / f"{job}-whole", size) for job in jobs}
        typical = {job: _done(job, whole[job]) for job in jobs}
        for number in rounds(seconds):
            if number >= kills:
                break
            job, random = jobs[number % len(jobs)], np.random.default_rng((seed, number))
            # A killed job has done a part, so the next kill comes early enough to find some work left.
            most = typical[job] * len(jobs) / max(1, kills)
            counts[job] += _killed(job, killed[job], float(random.uniform(0, max(0.02, 1.5 * most))))
            try:
                killed[job].check()
            except Exception as error:  # noqa: BLE001 - this is what the command looks for
                wrong.append(f"seed {seed} kill {number} of {job}: {error!r}")
        for job in jobs:
            try:
                _done(job, killed[job])
                killed[job].check()
                if killed[job].result() != whole[job].result():
                    wrong.append(f"{job}: the result is another one than without kills")
            except Exception as error:  # noqa: BLE001
                wrong.append(f"{job} after its kills: {error!r}")
            left += temporaries(killed[job].folder)
    return Result(counts, wrong, left)


def temporaries(folder: Path) -> list[str]:
    """List the files and folders with temporary names."""
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.suffix in (".tmp", ".part", ".moving")]


def _laid_out(name: str, folder: Path, size: int) -> Job:
    folder.mkdir(parents=True)
    os.environ["GENRE_APP_LOCKS"] = str(folder / "locks")
    job = JOBS[name](folder, size)
    job.lay_out()
    return job


def _begin(name: str, job: Job) -> forked.server.Process:
    (job.folder / "begun").unlink(missing_ok=True)
    process = forked.server.Process(target=run, args=(name, str(job.folder), job.size))
    process.start()
    while not (job.folder / "begun").exists() and process.is_alive():
        time.sleep(0.002)
    return process


def _done(name: str, job: Job) -> float:
    """Do the rest of a job; return the seconds that it took."""
    for path in job.folder.rglob("*.tmp"):
        os.utime(path, (0, 0))  # as if the kills were long ago
    process = _begin(name, job)
    began = time.monotonic()
    process.join(_MOST_SECONDS)
    if process.exitcode != 0:
        process.kill()
        raise RuntimeError(f"{name} ended with {process.exitcode}")
    return time.monotonic() - began


def _killed(name: str, job: Job, seconds: float) -> bool:
    """Begin a job and kill it; return whether it was not done before."""
    process = _begin(name, job)
    process.join(seconds)
    process.kill()
    process.join()
    return process.exitcode != 0


def main() -> bool:
    """Run the command; return whether all is as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=24)
    parser.add_argument("--seconds", type=float, default=220.0, help="most time for the kills")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=1, help="how much each job has to do")
    parser.add_argument("--jobs", nargs="+", choices=list(JOBS), default=list(JOBS))
    given = parser.parse_args()
    found = soak(given.kills, given.seconds, given.seed, tuple(given.jobs), given.size)
    print(*found.wrong, *found.left, sep="\n", end="\n" * bool(found.wrong or found.left))
    words = ", ".join(f"{n} of {job}" for job, n in found.kills.items())
    print(f"{sum(found.kills.values())} kills ({words}); {len(found.wrong)} wrong, {len(found.left)} temporary files left")
    return not found.wrong and not found.left


if __name__ == "__main__":
    raise SystemExit(not main())
