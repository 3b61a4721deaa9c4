"""Thousands of requests, each from a new visitor: memory, open files and files on the disk stay constant.

python -m tests.soak.requests --number 2000 --seconds 200 --seed 0

Half of the requests call the API as a program does, half send what a browser sends when a file is dropped. The server deletes
uploads after `_SWEEP_SECONDS` instead of an hour, and keeps the state of fewer visits, so that the command can see both go.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import soundfile

from genre_app.audio.synth import STYLES, music
from tests.soak.core import rounds
from tests.soak.server import Server, config_of, served

RATE = 22050
_CLIP_SECONDS = 1.5
_SWEEP_SECONDS = 20.0
_VISITS = 50
_WARM_SHARE = 0.5  # of the requests; after it, the server should take no more
_TIMEOUT = 60.0
_MOST_MB, _MOST_FILES = 40.0, 3  # growth in the second half


class Result(NamedTuple):
    """What was asked, and what grew from the middle to the end."""

    n: int
    wrong: list[str]
    grown_mb: float
    left_open: int
    most_on_disk: int
    left_on_disk: int


class Visitor:
    """Asks for answers as a program and as the page in a browser do, without the weight of a client."""

    def __init__(self, address: str, checkpoint: str = "fast") -> None:
        self._http = httpx.Client(base_url=f"{address}/gradio_api", timeout=_TIMEOUT)
        self._checkpoint = checkpoint
        config = config_of(address)
        parts = {part["id"]: part for part in config["components"]}
        music = next(part["id"] for part in parts.values() if part["props"].get("elem_id") == "music")
        self._dropped = next(event for event in config["dependencies"] if [music, "upload"] in event["targets"])
        self._values = [parts[number]["props"].get("value") for number in self._dropped["inputs"]]

    def __enter__(self) -> Visitor:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def call(self, path: Path) -> dict[str, Any]:
        """Return the API's answer."""
        answer = self._http.post("/call/classify", json={"data": [self._uploaded(path), self._checkpoint, "mean", None]})
        event = answer.raise_for_status().json()["event_id"]
        with self._http.stream("GET", f"/call/classify/{event}") as lines:
            found = [line for line in lines.iter_lines() if line.startswith("data: ")]
        return json.loads(found[-1].removeprefix("data: "))[0]

    def drop(self, path: Path) -> str:
        """Return the card that the page shows of a dropped file."""
        session = uuid.uuid4().hex
        values = [self._uploaded(path), [self._checkpoint], *self._values[2:]]
        body = {"data": values, "fn_index": self._dropped["id"], "session_hash": session, "trigger_id": None}
        self._http.post("/queue/join", json=body).raise_for_status()
        shown = ""
        with self._http.stream("GET", "/queue/data", params={"session_hash": session}) as lines:
            for line in lines.iter_lines():
                message = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {}
                shown += json.dumps(message.get("output", {}).get("data"))
                if message.get("msg") == "close_stream":
                    break
        return shown

    def _uploaded(self, path: Path) -> dict[str, Any]:
        answer = self._http.post("/upload", files={"files": (path.name, path.read_bytes())}).raise_for_status()
        return {"path": answer.json()[0], "meta": {"_type": "gradio.FileData"}, "orig_name": path.name}


def soak(server: Server, n: int, seconds: float, seed: int, checkpoint: str = "fast") -> Result:
    """Send requests one after the other until there are ``n``, or the time is over."""
    wrong: list[str] = []
    began, n_asked, on_disk = time.monotonic(), 0, 0
    middle: tuple[float, int] | None = None
    with tempfile.TemporaryDirectory() as folder, Visitor(server.address, checkpoint) as visitor:
        for number in rounds(seconds):
            if number == n:
                break
            n_asked += 1
            name = f"{number:05d}.wav"
            # Each file is another one: gradio stores equal files once.
            clip = music(STYLES[number % len(STYLES)], _CLIP_SECONDS, RATE, seed + number)
            soundfile.write(Path(folder) / name, np.clip(clip, -1, 1), RATE)
            try:
                found = visitor.call(Path(folder) / name)["file"] if number % 2 else visitor.drop(Path(folder) / name)
                if name not in found:
                    wrong.append(f"{name}: the answer is not about it: {found[:200]}")
            except Exception as error:  # noqa: BLE001 - this is what the command looks for
                wrong.append(f"{name}: {error!r}")
            (Path(folder) / name).unlink()
            share = max(number / n, (time.monotonic() - began) / seconds)
            if middle is None and share > _WARM_SHARE:
                middle = server.memory_mb(), server.open_files()
            if number % 50 == 0:
                on_disk = max(on_disk, len(server.files()))
    memory, files = middle or (server.memory_mb(), server.open_files())
    grown, left = server.memory_mb() - memory, server.open_files() - files
    return Result(n_asked, wrong, grown, left, on_disk, len(server.files()))


def main() -> bool:
    """Run the command; return whether all is as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=2000, help="of requests")
    parser.add_argument("--seconds", type=float, default=200.0, help="most time to spend")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with served(_SWEEP_SECONDS, _VISITS) as server:
        found = soak(server, given.number, given.seconds, given.seed)
        time.sleep(2.6 * _SWEEP_SECONDS)  # gradio looks every half of it, then this app does
        left = server.files()
        print(*found.wrong, sep="\n", end="\n" * bool(found.wrong))
        print(
            f"{found.n} requests, {len(found.wrong)} wrong; in the second half, memory {found.grown_mb:+.0f} MB, "
            f"{found.left_open:+d} open files; on the disk at most {found.most_on_disk} files and folders, "
            f"{len(left)} left; peak memory {server.peak_mb:.0f} MB"
        )
    return not found.wrong and found.grown_mb <= _MOST_MB and found.left_open <= _MOST_FILES and len(left) <= _MOST_FILES


if __name__ == "__main__":
    raise SystemExit(not main())
