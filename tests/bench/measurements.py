"""The measurements of tests.bench, each made at most once."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from playwright.sync_api import sync_playwright

from genre_app.audio.synth import STYLES, music
from genre_app.checkpoint import Checkpoint, save_checkpoint
from genre_app.models import create_model
from genre_app.pretrained.musicnn import SPEC
from genre_app.runs.events import Stepped
from genre_app.runs.run import Run
from tests import chromium
from tests.bench.page import drop_to_paint, served

_ROOT = Path(__file__).parents[2]
_RATE = 44100  # Hz, of the files
_ONE_THREAD = {f"{of}_NUM_THREADS": "1" for of in ("OMP", "OPENBLAS", "MKL", "NUMBA")}
LENGTHS = {"30s": 30, "30min": 1800, "3h": 10800}  # seconds
_WAYS = ("soundfile", "decode", "vote", "fast", "transfer", "decode-mono", "fast-mono", "usual")


def say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


class Skipped(Exception):  # noqa: N818 - not an error
    """A row cannot be measured here; the message says why."""


class Bench:
    """Everything that is measured, each thing at most once."""

    def __init__(self, folder: Path, checkpoint: str, quick: bool, wanted: set[str]) -> None:
        self.folder, self.checkpoint, self.quick, self.wanted = folder, checkpoint, quick, wanted

    def ratio(self, one: str, other: str) -> list[float]:
        return [a / b for a, b in zip(self.ways[one], self.ways[other], strict=True)]

    @cached_property
    def ways(self) -> dict[str, list[float]]:
        names = [way for way in _WAYS if way in self.wanted]
        return self._core("ways", self.stereo, self.song("30s"), "5" if self.quick else "21", *names)

    @cached_property
    def reasons(self) -> dict[str, list[float]]:
        return self._core("reasons", self.stereo, "3" if self.quick else "9")

    def stream(self, length: str, what: str) -> list[float]:
        if not Path("/proc/self/status").exists():
            raise Skipped("memory is read from Linux's /proc")
        if self.quick and length == "3h":
            raise Skipped("not with --quick")
        return [run[what] for run in self._streams[length]]

    def linear(self) -> list[float]:
        pairs = zip(self.stream("3h", "seconds"), self.stream("30min", "seconds"), strict=True)
        return [long / short for long, short in pairs]

    def page(self, place: int) -> list[float]:
        self._needs_default()
        if chromium.executable() is None:
            raise Skipped("no Chromium here")
        return [times[place] for times in self._page]

    def prepare(self) -> list[float]:
        files = "60" if self.quick else "300"
        text = self._script("tests.bench.prepare", "--files", files, "--processes", "2")
        return [float(re.search(r"cold: .*, ([\d.]+) s per 1000", text)[1])]

    def epoch(self, what: str) -> list[float]:
        found = self._epochs["mp3" if what.endswith("mp3") else "wav"]
        if what == "ours":
            return found["ours"]
        return [plain / ours for plain, ours in zip(found["plain"], found["ours"], strict=True)]

    def pool(self) -> list[float]:
        text = self._script("tests.bench.pool", *(["--tracks", "30", "--rounds", "1"] if self.quick else []))
        return [float(re.search(r"with the pool .*\((\d+)%\)", text)[1])]

    def page_training(self) -> list[float]:
        self._needs_default()
        if chromium.executable() is None:
            raise Skipped("no Chromium here")
        run = self.folder / "runs" / "busy"
        command = ["-m", "train", "default", "--data", str(self._songs["wav"]), "--out", str(run), "--set", "epochs=10000"]
        with self._training(command) as still_runs:
            while still_runs() and Run(run).journal().last(Stepped) is None:
                time.sleep(0.5)
            return [painted for painted, _, _ in self._drops()]

    @contextmanager
    def _training(self, command: list[str]) -> Iterator[Callable[[], bool]]:
        """Start Python with a command that trains; give a function that returns True, and exits if the training has ended."""
        # A queue of its own: the run waits for no other run of this machine.
        environment = {**os.environ, "GENRE_APP_LOCKS": str(self.folder), "GENRE_APP_RUNS": str(self.folder / "runs")}
        training = subprocess.Popen([sys.executable, *command], env=environment, stdout=subprocess.DEVNULL)

        def still_runs() -> bool:
            if training.poll() is not None:
                sys.exit(f"{' '.join(command)} ended, see above")
            return True

        try:
            yield still_runs
        finally:
            training.terminate()
            training.wait(timeout=60)

    def train_transfer(self) -> list[float]:
        """Seconds until a run of `transfer` writes its first checkpoint. Random initial weights take the same time."""
        torch.manual_seed(0)
        model = create_model("musicnn", n_bins=SPEC.n_bins, n_frames=SPEC.segment_frames, n_genres=50)
        initial, run = self.folder / "initial.safetensors", self.folder / "runs" / "transfer"
        save_checkpoint(Checkpoint.single(model, SPEC, tuple(f"tag {number}" for number in range(50))), initial)
        songs = self._synthesised("songs-transfer", 20, ("wav", 22050))
        command = ["-m", "train", "transfer", "--data", str(songs["wav"]), "--init-from", str(initial), "--out", str(run)]
        quick = ["--set", "validate_every=1"] if self.quick else []
        begun = time.perf_counter()
        with self._training(command + quick) as still_runs:
            while still_runs() and not (run / "best.safetensors").exists():
                time.sleep(0.1)
            return [time.perf_counter() - begun]

    def teach(self) -> list[float]:
        """Seconds of ``genre-app teach``, from the command to the file."""
        clips = self._synthesised("clips-teach", 10, ("wav", 22050), seconds=10.0)["wav"]
        begun = time.perf_counter()
        out = self.folder / "taught.safetensors"
        self._script("genre_app", "teach", str(clips), "--checkpoint", self.checkpoint, "--out", str(out))
        return [time.perf_counter() - begun]

    def start(self) -> list[float]:
        seconds = []
        for _ in range(1 if self.quick else 5):
            with served() as (address, listening):
                begun = time.perf_counter()
                with urllib.request.urlopen(address, timeout=60) as answer:
                    if answer.status != 200 or b"gradio" not in answer.read():
                        raise RuntimeError(f"{address} does not serve the page")
                seconds.append(listening + time.perf_counter() - begun)
        return seconds

    def help(self) -> list[float]:
        command = shutil.which("genre-app", path=str(Path(sys.executable).parent))
        start = [command] if command else [sys.executable, "-m", "genre_app"]
        seconds = []
        for _ in range(1 + (3 if self.quick else 9)):
            begun = time.perf_counter()
            subprocess.run([*start, "--help"], check=True, stdout=subprocess.DEVNULL)
            seconds.append(time.perf_counter() - begun)
        return seconds[1:]  # the first one warms the disk's cache

    def song(self, length: str) -> str:
        """A mono MP3 of a length, music of 30 s over and over, written block by block."""
        path = self.folder / f"{length}.mp3"
        if not path.exists():
            say(f"synthesising {path.name}")
            with soundfile.SoundFile(path, "w", _RATE, 1) as file:
                for _ in range(LENGTHS[length] // 30):
                    file.write(self._music)
        return str(path)

    @cached_property
    def stereo(self) -> str:
        path = self.folder / "stereo.mp3"
        side = 0.2 * music("disco", 30.0, _RATE)
        soundfile.write(path, np.stack([self._music + side, self._music - side], axis=1), _RATE)
        return str(path)

    @cached_property
    def _music(self) -> np.ndarray:
        return 0.8 * music("blues", 30.0, _RATE)

    @cached_property
    def _streams(self) -> dict[str, list[dict[str, float]]]:
        lengths = [of for of in LENGTHS if of in self.wanted and not (self.quick and of == "3h")]
        songs = {of: self.song(of) for of in lengths}
        short = self.song("30s")
        rounds = [{of: self._core("stream", short, songs[of]) for of in lengths} for _ in range(1 if self.quick else 3)]
        return {of: [once[of] for once in rounds] for of in lengths}

    @cached_property
    def _songs(self) -> dict[str, Path]:
        return self._synthesised("songs", 4 if self.quick else 16, ("wav", 22050), ("mp3", _RATE))

    def _synthesised(self, name: str, n_tracks: int, *formats: tuple[str, int], seconds: float = 30.0) -> dict[str, Path]:
        """Write tracks of each style in formats with their rates in Hz; return the folder of each format."""
        songs = {of: self.folder / f"{name}-{of}" for of, _ in formats}
        for style in STYLES:
            for number in range(n_tracks):
                samples = 0.5 * music(style, seconds, _RATE, number)
                for of, rate in formats:
                    path = songs[of] / style / f"{number}.{of}"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    soundfile.write(path, soxr.resample(samples, _RATE, rate), rate)
        return songs

    @cached_property
    def _epochs(self) -> dict[str, dict[str, list[float]]]:
        return {of: json.loads(self._script("tests.bench.epoch", str(folder))) for of, folder in self._songs.items()}

    def _script(self, module: str, *arguments: str) -> str:
        run = subprocess.run([sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, text=True)
        if run.returncode:
            sys.exit(f"python -m {module} failed, see above")
        return run.stdout

    @cached_property
    def _page(self) -> list[tuple[float, float, float]]:
        return self._drops()

    def _drops(self) -> list[tuple[float, float, float]]:
        song = self.stereo
        with served() as (address, _), sync_playwright() as playwright:
            browser = chromium.launch(playwright)
            drop_to_paint(browser, address, song)  # the server's first answer, and Chromium's caches
            times = [drop_to_paint(browser, address, song) for _ in range(3 if self.quick else 15)]
            browser.close()
        return times

    def _needs_default(self) -> None:
        if not (_ROOT / "checkpoints" / "default.safetensors").exists():
            raise Skipped("the page takes bundled checkpoints, and there is no default one yet")

    def _core(self, what: str, *arguments: str) -> dict:
        command = [sys.executable, "-m", "tests.bench.core", what, self.checkpoint, *arguments]
        run = subprocess.run(command, env={**os.environ, **_ONE_THREAD}, stdout=subprocess.PIPE, text=True)
        if run.returncode:
            sys.exit(f"{' '.join(command[:4])} failed, see above")
        return json.loads(run.stdout)
