"""Embeddings of clips and of simulated recordings of them, computed once and kept in files."""

from __future__ import annotations

import hashlib
import time
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from genre_app.audio import Clip, load_clip
from genre_app.augment.config import WaveformConfig
from genre_app.augment.waveform import augment_waveform
from genre_app.checkpoint import Checkpoint
from genre_app.data.collection.collection import MAX_CLIP_SECONDS, MAX_FILE_SECONDS
from genre_app.errors import AudioError
from genre_app.files import remove_abandoned, write_whole
from genre_app.members import SILENT_PEAK
from genre_app.progress import Meter, Monitor
from genre_app.teaching.embedding import Embedder, Embedding, MemberEmbedding, networks_digest

RECORDING = WaveformConfig(
    codec_probability=0.3,
    clip_probability=0.15,
    room_probability=0.6,
    response_probability=0.6,
    coloured_noise_probability=0.6,
    coloured_noise_snr_db=(0.0, 35.0),
    gain_probability=0.5,
    gain_control_probability=0.35,
    suppress_probability=0.4,
    limit_probability=0.2,
)
"""The simulated recordings: the waveform chain of the recipe ``transfer``, without changes of pitch."""

_VERSION = 1  # of the files
_QUIET_PEAK = 10 * SILENT_PEAK  # a simulated recording is made as loud as this, if it is quieter


class Embeddings:
    """Compute the embeddings of clips, or read those that an earlier call has computed.

    Parameters
    ----------
    checkpoint : Checkpoint
    n_recordings : int
        Simulated recordings of each clip.
    seed : int
        Of the simulated recordings; that of each also depends on the sound of the clip.
    folder : pathlib.Path, optional
        Where the embeddings are kept; without it they are not.
    threads : int
    """

    def __init__(
        self, checkpoint: Checkpoint, *, n_recordings: int = 2, seed: int = 0, folder: Path | None = None, threads: int = 1
    ) -> None:
        self._checkpoint, self._n_recordings, self._seed, self._threads = checkpoint, n_recordings, seed, threads
        what = (
            f"{_VERSION} {networks_digest(checkpoint)} {RECORDING.model_dump_json()} {n_recordings} {seed} {MAX_CLIP_SECONDS}"
        )
        self._folder = folder / hashlib.sha256(what.encode()).hexdigest()[:16] if folder else None
        self._began, self._used = time.time(), set[str]()
        if self._folder is not None:
            remove_abandoned(self._folder)
        self._embedders: SimpleQueue[Embedder] = SimpleQueue()
        for _ in range(threads):
            self._embedders.put(Embedder(checkpoint))

    def of_files(self, paths: Sequence[Path], monitor: Monitor) -> tuple[list[list[Embedding] | None], list[tuple[Path, str]]]:
        """Return ``[clip][version]``, the clip itself first, with None for a file that cannot be used, and why it cannot.

        Raises
        ------
        StoppedError
            If ``monitor`` says so; what is computed is kept.
        """
        meter = Meter("listening to clips", len(paths), float(len(paths)), monitor)
        found: list[list[Embedding] | None] = [None] * len(paths)
        failed = []
        with ThreadPoolExecutor(self._threads) as pool:
            jobs = {pool.submit(self._of_file, path): place for place, path in enumerate(paths)}
            try:
                for job in as_completed(jobs):
                    try:
                        found[jobs[job]] = job.result()
                    except AudioError as error:
                        failed.append((paths[jobs[job]], str(error)))
                    meter.advance(1, 1.0)
            finally:
                pool.shutdown(cancel_futures=True)
        return found, failed

    def prune(self) -> None:
        """Delete the kept embeddings, those of other checkpoints too, of sounds that `of_files` has not met.

        Files that were written since this object was made stay: another process may teach clips that were added meanwhile.
        """
        for path in self._folder.parent.glob("*/*.safetensors") if self._folder else ():
            with suppress(OSError):
                if path.name not in self._used and path.stat().st_mtime < self._began:
                    path.unlink()

    def _of_file(self, path: Path) -> list[Embedding]:
        clip = read_middle(path, self._checkpoint.sample_rate)
        sound = clip.samples.tobytes()
        kept = self._folder / f"{hashlib.sha256(sound).hexdigest()[:24]}.safetensors" if self._folder else None
        if kept:
            self._used.add(kept.name)
        known = _read(kept, self._checkpoint, 1 + self._n_recordings) if kept else None
        if known is not None:
            return known
        checksum = zlib.crc32(sound)
        seeds = [zlib.crc32(f"{self._seed} {version}".encode(), checksum) for version in range(self._n_recordings)]
        versions = [clip, *(_recorded(clip, seed) for seed in seeds)]
        embedder = self._embedders.get()
        try:
            embeddings = [embedder.embed(version) for version in versions]
        finally:
            self._embedders.put(embedder)
        if kept:
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_whole(kept, _bytes(embeddings))
        return embeddings


def read_middle(path: Path, sample_rate: int) -> Clip:
    """Return the middle 30 s of a file; raises `AudioError` as `genre_app.audio.load_clip`, and for more than half an hour."""
    return load_clip(path, sample_rate=sample_rate, max_seconds=MAX_FILE_SECONDS).middle(MAX_CLIP_SECONDS)


def _recorded(clip: Clip, seed: int) -> Clip:
    samples = augment_waveform(clip.samples, clip.sample_rate, RECORDING, seed)
    peak = float(np.abs(samples).max())
    if peak < _QUIET_PEAK:  # some chains leave so little of a clip that it would be refused as silent
        samples = samples * np.float32(_QUIET_PEAK / peak) if peak else clip.samples
    return Clip(samples, clip.sample_rate, clip.name)


def _bytes(embeddings: list[Embedding]) -> bytes:
    tensors: dict[str, NDArray[np.generic]] = {}
    for version, embedding in enumerate(embeddings):
        tensors[f"{version}.sounds"] = embedding.sounds
        for index, member in enumerate(embedding.members):
            tensors[f"{version}.{index}.places"] = member.places.astype(np.int32)
            tensors[f"{version}.{index}.probabilities"] = member.probabilities
            for head, values in enumerate(member.of_heads):
                tensors[f"{version}.{index}.{head}"] = values
    return save(tensors)


def _read(path: Path, checkpoint: Checkpoint, n_versions: int) -> list[Embedding] | None:
    """Return the embeddings of a file; None if there is no such file, or another program has written it."""
    try:
        tensors = load(path.read_bytes())
        versions = []
        for version in range(n_versions):
            members = []
            for index, member in enumerate(checkpoint.members):
                heads = tuple(tensors[f"{version}.{index}.{head}"] for head in range(len(member.model.heads())))
                answers = tensors[f"{version}.{index}.probabilities"], tensors[f"{version}.{index}.places"].astype(np.intp)
                members.append(MemberEmbedding(heads, *answers))
            versions.append(Embedding(tuple(members), tensors[f"{version}.sounds"]))
        return versions
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
