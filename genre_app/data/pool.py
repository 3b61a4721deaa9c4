"""Training tracks with changed waveforms, computed by worker processes during training."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genre_app.audio import load_clip
from genre_app.augment.config import WaveformConfig
from genre_app.augment.waveform import augment_waveform, background_files, room_files
from genre_app.data.cache.rows import MAX_SECONDS, log_mel_columns
from genre_app.data.cache.workers import n_workers, start_worker, worker_stops
from genre_app.errors import DataError, first_line
from genre_app.features import FeatureSpec
from genre_app.progress import QUIET, Monitor, StoppedError

_POLL_SECONDS = 0.2

Columns = NDArray[np.float16]


class WavePool:
    """Log-mel columns of tracks whose waveforms were changed.

    In each epoch only a part of the tracks is changed again, so that a few processes can supply a fast device: track ``i`` in
    the epochs in which ``epoch + i`` is a multiple of ``config.refresh_epochs``. The change depends only on the seed, ``i`` and
    the epoch, so a resumed run gets the same columns.

    Parameters
    ----------
    paths : sequence of pathlib.Path
        Audio files.
    spec : FeatureSpec
    config : WaveformConfig
    seed : int
    processes : int, optional
        Number of workers; by default one per core, fewer for few files, minus one core for training.

    Raises
    ------
    DataError
        If the background or the room folder cannot be used, or the features are not computed from log-mel columns.
    """

    def __init__(
        self, paths: Sequence[Path], spec: FeatureSpec, config: WaveformConfig, *, seed: int, processes: int | None = None
    ) -> None:
        if spec.kind == "summary":
            raise DataError("Waveforms can be changed only for log-mel spectrograms and MFCC; choose another augmentation.")
        try:  # now, rather than in a worker during training
            if config.background_probability > 0 and config.background_folder is not None:
                background_files(config.background_folder)
            if config.room_probability > 0 and config.room_folder is not None:
                room_files(config.room_folder)
        except ValueError as error:
            raise DataError(f"{error}.") from error
        self.paths, self.spec, self.config, self.seed = tuple(paths), spec, config, seed
        self._held: dict[int, tuple[int, Columns]] = {}  # track -> version and columns
        self._asked: dict[tuple[int, int], Future[Columns | str]] = {}  # track and version -> columns, or why there are none
        context = get_context("spawn")
        self._stop = context.Event()
        if processes is None:
            processes = n_workers(len(self.paths), spec) - 1
        self.processes = max(1, min(processes, len(self.paths)))
        self._workers = ProcessPoolExecutor(
            self.processes, mp_context=context, initializer=start_worker, initargs=(self._stop,)
        )

    def begin(self, epoch: int) -> None:
        """Let the workers compute the missing tracks of an epoch, without waiting for them.

        Raises
        ------
        DataError
            If a worker died.
        """
        for track, path in enumerate(self.paths):
            version = self._version(track, epoch)
            if self._held.get(track, (None,))[0] != version and (track, version) not in self._asked:
                seeds = np.random.SeedSequence((self.seed, track, version + self.config.refresh_epochs))
                seed = int(seeds.generate_state(1)[0])
                try:
                    future = self._workers.submit(_changed_columns, path, self.spec, self.config, seed)
                except BrokenProcessPool as error:
                    raise _died() from error
                self._asked[track, version] = future

    def collect(self, epoch: int, monitor: Monitor = QUIET) -> list[Columns]:
        """Wait for the tracks of an epoch.

        Returns
        -------
        list of numpy.ndarray, float16 [frames, n_mels]
            dB re 1.0, one array for each path.

        Raises
        ------
        DataError
            If a file can no longer be used, or a worker died; one sentence.
        StoppedError
            If ``monitor`` says so.
        """
        self.begin(epoch)
        wanted = [(track, self._version(track, epoch)) for track in range(len(self.paths))]
        flying = {self._asked.pop(key): key for key in wanted if key in self._asked}
        while flying:
            done, _ = wait(flying, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
            for future in done:
                track, version = flying.pop(future)
                try:
                    result = future.result()
                except BrokenProcessPool as error:
                    raise _died() from error
                if isinstance(result, str):
                    raise DataError(f"A training track cannot be changed: {result}.")
                self._held[track] = version, result
            if flying and monitor.should_stop():
                self._asked.update({key: future for future, key in flying.items()})
                raise StoppedError("stopped while tracks were changed")
        return [self._held[track][1] for track in range(len(self.paths))]

    def close(self) -> None:
        """End the workers without waiting for the tracks that they are changing."""
        self._stop.set()
        self._workers.shutdown(wait=True, cancel_futures=True)

    def _version(self, track: int, epoch: int) -> int:
        """Return the last epoch up to ``epoch`` in which the track is changed; 0 or less if that lies before training."""
        return epoch - (epoch + track) % self.config.refresh_epochs


def _died() -> DataError:
    return DataError(
        "A process that changes waveforms crashed or ran out of memory; resume the run, with fewer or shorter tracks if it "
        "happens again."
    )


def _changed_columns(path: Path, spec: FeatureSpec, config: WaveformConfig, seed: int) -> Columns | str:
    """Return the columns of the changed track, or a sentence that says why there are none; runs in a worker."""
    if worker_stops():
        return "stopped"
    try:
        clip = load_clip(path, sample_rate=spec.sample_rate, max_seconds=MAX_SECONDS)
        if worker_stops():
            return "stopped"
        changed = augment_waveform(clip.samples, clip.sample_rate, config, seed)
        return "stopped" if worker_stops() else log_mel_columns([changed], spec)
    except ValueError as error:  # AudioError, or an unusable background folder
        return str(error)
    except (OSError, RuntimeError, MemoryError) as error:
        return f"{path.name}: {first_line(error)}; try another file"
