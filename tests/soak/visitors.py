"""Many visitors at once, each with a clip of their own: each gets the answer to that clip, in bounded time and memory.

python -m tests.soak.visitors --visitors 50 --bursts 10 --seed 0
python -m tests.soak.visitors --beside batch --seconds 60
python -m tests.soak.visitors --beside training --seconds 60

The answers are compared with those that this process computes from the same files. Each visitor uses gradio_client with its
default timeouts.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any, NamedTuple

import numpy as np
import soundfile
import torch
from gradio_client import Client, handle_file

from genre_app import classify, load_checkpoint, load_clip
from genre_app.audio.synth import STYLES, music
from genre_app.checkpoint import Checkpoint
from genre_app.runs import launch
from genre_app.runs.events import Started
from genre_app.runs.request import Request
from genre_app.runs.run import Run
from genre_app.runs.status import Status
from tests.soak.core import rounds
from tests.soak.server import Server, served

RATE = 22050
_CLIP_SECONDS = 10.0
_MOST_SECONDS = {"nothing": 10.0, "batch": 3.0, "training": 3.0}  # 95 of 100 answers take no longer
_MOST_MB = 1200.0
_BATCH = 100  # files


class Song(NamedTuple):
    """A file, and the answer to it."""

    path: str
    answer: dict[str, Any]


class Answered(NamedTuple):
    """What a visitor got: seconds to connect, seconds from the upload to the answer, and what was wrong."""

    connect_seconds: float
    seconds: float
    wrong: str


def songs(folder: Path, n: int, seed: int, checkpoint: Checkpoint, seconds: float = _CLIP_SECONDS) -> list[Song]:
    """Make files with answers that differ from one another."""
    made = []
    for number in range(n):
        path = folder / f"song-{number:03d}.wav"
        clip = music(STYLES[number % len(STYLES)], seconds, RATE, seed + number)
        soundfile.write(path, np.clip(clip, -1, 1), RATE)
        made.append(Song(str(path), classify(load_clip(path), checkpoint).to_dict()))
    answers = [tuple(song.answer["probabilities"].values()) for song in made]
    if len(set(answers)) < n:
        raise RuntimeError(f"two of the {n} clips have the same answer; choose another seed")
    return made


def burst(address: str, chosen: Sequence[Song]) -> list[Answered]:
    """Let a visitor come with each song, all at the same time."""
    with ThreadPoolExecutor(len(chosen)) as pool:
        return list(pool.map(lambda song: visit(address, song), chosen))


def visit(address: str, song: Song) -> Answered:
    """Connect as a new visitor, and ask for the answer to a song."""
    began = connected = time.monotonic()
    wrong = ""
    try:
        # The address is plain http; else each request would load the certificates anew, which takes longer than the request.
        client = Client(address, verbose=False, analytics_enabled=False, ssl_verify=False)
        connected = time.monotonic()
        found = client.predict(handle_file(song.path), api_name="/classify")
        if {**found, "checkpoint": ""} != {**song.answer, "checkpoint": ""}:
            wrong = f"{Path(song.path).name}: the answer to {found.get('file')}, {found.get('genre')}"
        client.close()
    except Exception as error:  # noqa: BLE001 - this is what the command looks for
        wrong = f"{Path(song.path).name}: {error!r}"
    return Answered(connected - began, time.monotonic() - connected, wrong)


def one_by_one(address: str, chosen: Sequence[Song], seconds: float) -> list[Answered]:
    """Let one visitor follow the other until the time is over."""
    return [visit(address, chosen[number % len(chosen)]) for number in rounds(seconds)]


@contextmanager
def beside(what: str, server: Server, chosen: Sequence[Song]) -> Iterator[None]:
    """Keep the server busy with batches or a training run, or with nothing."""
    over = Event()
    if what == "batch":
        client = Client(server.address, verbose=False, analytics_enabled=False, ssl_verify=False)
        files = [handle_file(chosen[number % len(chosen)].path) for number in range(_BATCH)]

        def ask() -> None:
            with suppress(CancelledError):  # the server ends before the last batch
                while not over.is_set():
                    client.predict(files, api_name="/classify_batch")

        Thread(target=ask, daemon=True).start()
        yield
        over.set()
    elif what == "training":
        with training(server.folder):
            yield
    else:
        yield


@contextmanager
def training(folder: Path) -> Iterator[None]:
    """Train on synthesised music, as the page does, in a process of its own."""
    data = folder / "data"
    for style in STYLES[:4]:
        for number in range(8):
            path = data / style / f"{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, np.clip(music(style, _CLIP_SECONDS, RATE, number), -1, 1), RATE)
    os.environ["GENRE_APP_LOCKS"] = str(folder / "locks")  # no run of others is to hold the device
    run = Run.create(folder / "runs" / "beside", Request(recipe="default", data=str(data), settings={"epochs": 500}))
    launch.start(run)
    while run.journal().last(Started) is None:
        if run.status() is Status.failed:
            raise RuntimeError(run.log_tail())
        time.sleep(0.5)
    yield
    run.request_stop()
    while run.status().is_active:
        time.sleep(0.5)


def tell(answers: Sequence[Answered]) -> tuple[str, float]:
    """Return the line about answers, and the seconds within which 95 of 100 came."""
    right = [answer for answer in answers if not answer.wrong]
    if not right:
        return f"0 of {len(answers)} right", float("inf")
    median, late = np.percentile([answer.seconds for answer in right], [50, 95])
    connect = np.percentile([answer.connect_seconds for answer in right], 95)
    return (
        f"{len(right)} of {len(answers)} right; median {median:.1f} s, p95 {late:.1f} s; p95 to connect {connect:.1f} s",
        late,
    )


def main() -> bool:
    """Run the command; return whether all is as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--visitors", type=int, default=50, help="at once, or songs that visitors bring one after the other")
    parser.add_argument("--bursts", type=int, default=10)
    parser.add_argument("--beside", choices=list(_MOST_SECONDS), default="nothing", help="what else the server does meanwhile")
    parser.add_argument("--seconds", type=float, default=60.0, help="time for visitors one after the other, with --beside")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder, served() as server:
        alone = given.beside == "nothing"
        n = given.visitors if alone else min(given.visitors, 10)
        chosen = songs(Path(folder), n, given.seed, load_checkpoint())
        answers: list[Answered] = []
        full = 0
        with beside(given.beside, server, chosen):
            for _ in range(given.bursts if alone else 1):
                found = burst(server.address, chosen) if alone else one_by_one(server.address, chosen, given.seconds)
                full += not any(answer.wrong for answer in found)
                answers += found
                print(*(answer.wrong for answer in found if answer.wrong), sep="\n", end="\n" * any(a.wrong for a in found))
        words, late = tell(answers)
        per_answer = server.cpu_seconds() / len(answers)
        what = f"{full} of {given.bursts} bursts of {n} whole" if alone else f"one by one beside {given.beside}"
        print(f"{what}; {words}; {per_answer:.2f} s of the server's CPU an answer; peak memory {server.peak_mb:.0f} MB")
        return full == (given.bursts if alone else 1) and late <= _MOST_SECONDS[given.beside] and server.peak_mb <= _MOST_MB


if __name__ == "__main__":
    raise SystemExit(not main())
