"""The jobs that `tests.soak.kills` kills: each works in a folder, can be begun again, and can be checked at any time."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from genre_app.audio.synth import STYLES, music
from genre_app.checkpoint import load_checkpoint, save_checkpoint
from genre_app.data.cache.build import open_store
from genre_app.data.cache.mel_cache import MelCache
from genre_app.data.cache.prepare import prepare
from genre_app.data.collection import Collection
from genre_app.data.sources.folder import AudioFolder
from genre_app.features import FeatureSpec
from genre_app.files import write_whole
from genre_app.runs import executor
from genre_app.runs.request import Request
from genre_app.runs.run import Run
from genre_app.runs.status import Status
from genre_app.teaching.examples import CACHE, folder_examples
from genre_app.teaching.teach import teach
from tests.runs.conftest import RECIPE
from tests.two_beats import write_cache

RATE = 22050
_SPEC = FeatureSpec(n_mels=32)
_SONG_SECONDS = 3.2


class Job:
    """Work that may be killed at any moment.

    Parameters
    ----------
    folder : pathlib.Path
    size : int
        How much there is to do; 0 for a moment.
    """

    def __init__(self, folder: Path, size: int = 1) -> None:
        self.folder, self.size = folder, size

    def lay_out(self) -> None:
        """Make what the job needs; it is called once, and not killed."""

    def work(self) -> None:
        """Do the rest of the work."""

    def check(self) -> None:
        """Raise an error unless everything that is there opens and is whole."""

    def result(self) -> Any:
        """Return what the finished job has made, to compare it with that of a job that was not killed."""


class Training(Job):
    """A run of a small network."""

    def lay_out(self) -> None:
        (self.folder / "beats").mkdir()
        (self.folder / "beat.toml").write_text(RECIPE)
        request = Request(
            recipe=str(self.folder / "beat.toml"),
            data=str(write_cache(self.folder / "beats")),
            settings={"epochs": 40 * self.size, "validate_every": 1},
            threads=1,
        )
        Run.create(self.folder / "runs" / "run", request)

    def work(self) -> None:
        executor.work(Run(self.folder / "runs" / "run"), say=lambda _: None)

    def check(self) -> None:
        run = Run.open(self.folder / "runs" / "run")
        if run.status() in (Status.queued, Status.running, Status.preparing, Status.failed):
            raise AssertionError(f"the run is {run.status()}")
        if run.best.exists():
            load_checkpoint(run.best)

    def result(self) -> Any:
        members = load_checkpoint(Run(self.folder / "runs" / "run").best).members
        return _digest(*(tensor.numpy() for member in members for tensor in member.model.state_dict().values()))


class Preparing(Job):
    """A mel cache of a folder of songs."""

    def lay_out(self) -> None:
        _write_songs(self.folder / "music", max(2, 20 * self.size))

    def _prepare(self) -> MelCache:
        found = AudioFolder.find(self.folder / "music")
        store = prepare(found.path, found.tracks, _SPEC, self.folder / "work", processes=1).store
        assert isinstance(store, MelCache)
        return store

    def work(self) -> None:
        self._prepare()

    def check(self) -> None:
        for cache in (self.folder / "work").glob("mel-*-*"):
            if cache.is_dir():
                open_store(cache, _SPEC)

    def result(self) -> Any:
        store = self._prepare()
        return {track.track_id: _digest(store.rows_as_stored(track)) for track in store.tracks}


class Collecting(Job):
    """A collection to which songs are added."""

    def lay_out(self) -> None:
        _write_songs(self.folder / "music", max(2, 20 * self.size))

    def work(self) -> None:
        collection = Collection(self.folder / "mine")
        songs = sorted((self.folder / "music").rglob("*.wav"))
        for song in songs[len(collection.read().clips) :]:
            collection.add(song.parent.name, song, origin="file")
        collection.mark_none_of_these(songs[0].parent.name, False)

    def check(self) -> None:
        collection = Collection(self.folder / "mine")
        if not collection.folder.exists():
            return
        for clip in collection.read().clips:
            samples, _ = soundfile.read(collection.path(clip.id))
            if abs(len(samples) / RATE - clip.seconds) > 0.01:
                raise AssertionError(f"{clip.file} lasts {len(samples) / RATE} s, not {clip.seconds} s")

    def result(self) -> Any:
        clips = Collection(self.folder / "mine").read().clips
        return sorted((clip.file, clip.source, clip.source_sha256, clip.seconds) for clip in clips)


class Teaching(Job):
    """A model that is taught from songs."""

    def lay_out(self) -> None:
        _write_songs(self.folder / "music", 4 * self.size)

    def work(self) -> None:
        examples, _ = folder_examples(self.folder / "music")
        taught = teach(examples, load_checkpoint("fast"), n_recordings=1, cache=self.folder / CACHE, threads=1)
        save_checkpoint(taught.checkpoint, self.folder / "taught.safetensors")

    def check(self) -> None:
        if (self.folder / "taught.safetensors").exists():
            load_checkpoint(self.folder / "taught.safetensors")

    def result(self) -> Any:
        members = load_checkpoint(self.folder / "taught.safetensors").members
        return _digest(*(tensor.numpy() for member in members for tensor in member.model.state_dict().values()))


JOBS: dict[str, type[Job]] = {
    "training": Training,
    "preparing": Preparing,
    "collecting": Collecting,
    "teaching": Teaching,
}


def run(name: str, folder: str, size: int) -> None:
    """Do a job in a process of its own."""
    torch.set_num_threads(1)
    executor.prepare_process = lambda threads: None
    os.environ["GENRE_APP_LOCKS"] = f"{folder}/locks"
    write_whole(Path(folder) / "begun", b"")
    JOBS[name](Path(folder), size).work()


def _write_songs(folder: Path, n: int) -> None:
    for number in range(n):
        path = folder / STYLES[number % 2] / f"{number:02d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.clip(music(STYLES[number % 2], _SONG_SECONDS, RATE, number), -1, 1), RATE)


def _digest(*arrays: np.ndarray) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()
