"""Training tracks with changed waveforms, made by worker processes while training goes on."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genre_app.audio import load_clip
from genre_app.augment.waveform import WaveformConfig, augment_waveform, background_files
from genre_app.data.cache.rows import MAX_SECONDS, log_mel_columns
from genre_app.data.cache.workers import n_workers, start_worker, worker_stops
from genre_app.errors import DataError
from genre_app.features import FeatureSpec
from genre_app.progress import QUIET, Monitor, StoppedError

_POLL_SECONDS = 0.2

Columns = NDArray[np.float16]


class WavePool:
    """Changed tracks as log-mel columns.

    Each epoch a part of them is changed anew, so that a few processes keep pace with a fast device: track ``i`` whenever
    ``epoch + i`` is a multiple of ``config.refresh_epochs``. How it is changed then depends on the seed, ``i`` and the epoch
    only, and not on what was asked for before: a resumed run gets the same.

    Parameters
    ----------
    paths : sequence of pathlib.Path
        Audio files.
    spec : FeatureSpec
    config : WaveformConfig
    seed : int
    processes : int, optional
        By default as many as are worth starting, less one core that training keeps.

    Raises
    ------
    DataError
        If the background folder cannot be used, or the features are not made of log-mel columns.
    """

    def __init__(
        self, paths: Sequence[Path], spec: FeatureSpec, config: WaveformConfig, *, seed: int, processes: int | None = None
    ) -> None:
        if spec.kind == "summary":
            raise DataError("Waveforms can be changed only for log-mel spectrograms and MFCC; choose another augmentation.")
        if config.background_probability > 0 and config.background_folder is not None:
            try:
                background_files(config.background_folder)
            except ValueError as error:
                raise DataError(f"{error}.") from error
        self.paths, self.spec, self.config, self.seed = tuple(paths), spec, config, seed
        self._held: dict[int, tuple[int, Columns]] = {}  # by track: version and columns
        self._asked: dict[tuple[int, int], Future[Columns | str]] = {}  # by track and version
        context = get_context("spawn")
        self._stop = context.Event()
        if processes is None:
            processes = n_workers(len(self.paths), spec) - 1
        self.processes = max(1, min(processes, len(self.paths)))
        self._workers = ProcessPoolExecutor(
            self.processes, mp_context=context, initializer=start_worker, initargs=(self._stop,)
        )

    def begin(self, epoch: int) -> None:
        """Have the workers make what an epoch needs and is not there yet; does not wait for them.

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

        Parameters
        ----------
        epoch : int
        monitor : Monitor

        Returns
        -------
        list of numpy.ndarray, float16 [frames, n_mels]
            dB re 1.0, one for each path.

        Raises
        ------
        DataError
            If a file cannot be used any more, or a worker died; one sentence.
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
        """End the worker processes; what they are at is given up."""
        self._stop.set()
        self._workers.shutdown(wait=True, cancel_futures=True)

    def _version(self, track: int, epoch: int) -> int:
        """Epoch in which a track was last changed anew, or would have been before the first one."""
        return epoch - (epoch + track) % self.config.refresh_epochs


def _died() -> DataError:
    return DataError(
        "A process that changes waveforms crashed or ran out of memory; resume the run, with fewer or shorter tracks if it "
        "happens again."
    )


def _changed_columns(path: Path, spec: FeatureSpec, config: WaveformConfig, seed: int) -> Columns | str:
    """Columns of a track that was changed, or a sentence that says why there are none; runs in a worker."""
    if worker_stops():
        return "stopped"
    try:
        clip = load_clip(path, sample_rate=spec.sample_rate, max_seconds=MAX_SECONDS)
        if worker_stops():
            return "stopped"
        changed = augment_waveform(clip.samples, clip.sample_rate, config, seed)
        return "stopped" if worker_stops() else log_mel_columns([changed], spec)
    except ValueError as error:  # an AudioError, or the background folder's
        return str(error)
    except (OSError, RuntimeError, MemoryError) as error:
        return f"{path.name}: {str(error).splitlines()[0] if str(error) else type(error).__name__}; try another file"
