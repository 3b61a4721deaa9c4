"""A run from its data to its report: what ``genre-app train`` does."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
import psutil
import torch

from genre_app.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from genre_app.data import labelled
from genre_app.data.dataset import Dataset
from genre_app.data.labelled import Data
from genre_app.errors import CheckpointError, DataError, RunError
from genre_app.files import write_whole
from genre_app.models import GenreModel
from genre_app.progress import QUIET, Monitor, Progress, StoppedError
from genre_app.runs.card import write_card
from genre_app.runs.launch import device_of, only_process_of
from genre_app.runs.results import adapted, columns_of, dataset, provenance, read_folds, references, report_on, wave_pool
from genre_app.runs.run import Run, work_folder
from genre_app.training.fit import EpochResult, Step, fit, steps_per_epoch
from genre_app.training.processes import Processes, join
from genre_app.training.state import TrainState
from genre_app.vote import References

_TELL_SECONDS = 1.0  # between two lines of the journal about steps or preparing
_TELL_SHARE = 3600  # of what the run has lasted, where that is more: or a day would leave a hundred thousand lines
_SAVE_SECONDS = 60.0  # between two savings within an epoch
_LONGEST = 1000  # letters of a sentence, of which the last ones say what to do
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's mallopt
EXPECTED = (DataError, RunError, CheckpointError, ValueError, OSError)
"""Errors whose message is meant for the user."""


def work(run: Run, *, say: Callable[[str], object] = print, deadline: float | None = None) -> bool:
    """Do what is left of a run, and leave a word on how it ended in its journal.

    Parameters
    ----------
    run : Run
    say : callable
        Gets a line of text at a time, for the terminal or the log.
    deadline : float, optional
        Of `time.monotonic`; the run is paused then, to be taken up again.

    Returns
    -------
    bool
        Whether the run has finished.

    Raises
    ------
    Exception
        What ended it; the journal has it as a sentence.
    """
    processes, device = join()
    with ExitStack() as held:
        if processes.rank == 0:
            held.enter_context(only_process_of(run))
            me = psutil.Process()
            run.record("process", pid=me.pid, pid_created=me.create_time())
        try:
            _Job(run, processes, device, say, deadline).run(held)
        except StoppedError:
            if processes.rank == 0:
                paused = deadline is not None and not run.should_stop
                run.record_end("paused" if paused else "stopped")
                (run.path / "stop").unlink(missing_ok=True)
                say("paused" if paused else f"stopped; go on with: genre-app train --resume {run.path}")
            return False
        except BaseException as error:
            if processes.rank == 0:
                run.record_end("failed", message=sentence(error))
            raise
    return True


def sentence(error: BaseException) -> str:
    """Say in a sentence, for the user, why a run ended."""
    text = str(error).splitlines()[0][:_LONGEST] if str(error) else type(error).__name__
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "The disk is full; make room, then resume the run: it goes on from the last state that was saved."
    if isinstance(error, torch.OutOfMemoryError):
        return "The device has too little memory even for small parts of a batch; choose a smaller network or shorter segments."
    if isinstance(error, KeyboardInterrupt):
        return "Interrupted from the keyboard; resume the run to go on from the last state that was saved."
    if isinstance(error, RuntimeError) and ("CUDA" in text or "cuDNN" in text or "CUBLAS" in text):
        return f"The GPU was lost or failed ({text}); resume the run to go on from the last state that was saved."
    if isinstance(error, EXPECTED):
        return text
    return f"Training failed unexpectedly ({type(error).__name__}: {text}); the log has the details."


class _Job:
    """One process's work on a run."""

    def __init__(
        self, run: Run, processes: Processes, device: torch.device, say: Callable[[str], object], deadline: float | None
    ) -> None:
        self.path, self.processes, self.device, self.deadline = run, processes, device, deadline
        self.say = say if processes.rank == 0 else lambda _: None
        described = run.description()
        self.request, self.config = described.request, described.config
        self.told = self.saved = time.monotonic()
        self.began, self.begun_at = time.monotonic(), 0

    @property
    def leads(self) -> bool:
        """Whether this process writes."""
        return self.processes.rank == 0

    def record(self, event: str, **values: Any) -> None:
        if self.leads:
            self.path.record(event, **values)

    def should_stop(self) -> bool:
        return self.path.should_stop or (self.deadline is not None and time.monotonic() > self.deadline)

    @property
    def monitor(self) -> Monitor:
        return Monitor(should_stop=self.should_stop)

    def run(self, held: ExitStack) -> None:
        prepare_process(self.request.threads)
        data = self.data(held)
        self.config = config = adapted(self.config, data, self.request.columns)
        for note in data.notes:
            self.say(note)
        train, valid = (dataset(data, split, config, self.device) for split in ("train", "valid"))
        self.asked = provenance(self.request, config, data)
        self.learned = self.asked["data"]["sha256"]
        goes_on = self.path.state.exists()
        init = load_checkpoint(self.request.init_from) if self.request.init_from and not goes_on else None
        state = TrainState.begin(config, train, self.device, init=init)
        if goes_on:
            state.load(self.path.state, self.learned)
        n_segments = len(train.grid()[0])
        self.begun_at = state.progress.epoch * (steps := steps_per_epoch(config, len(train), n_segments)) + state.progress.step
        self.record(
            "started",
            device=_name(self.device),
            processes=self.processes.count,
            epoch=state.progress.epoch,
            step=state.progress.step,
            epochs=config.epochs,
            steps=steps,
            tracks={split: len(data.of(split)) for split in ("train", "valid", "test")},
            segments=n_segments,
            parameters=sum(parameter.numel() for parameter in state.model.parameters()),
            genres=list(data.genres),
            notes=list(data.notes),
        )
        self.train(data, train, valid, state, steps, held)
        if self.leads:
            self.finish(data, train, state)

    def data(self, held: ExitStack) -> Data:
        """Wait for the device, then open the data: the first process alone, then the others, who find everything prepared."""

        def progress(now: Progress) -> None:
            if time.monotonic() - self.told > _TELL_SECONDS:
                self.told = time.monotonic()
                self.record("preparing", stage=now.stage, done=now.done, total=now.total, eta_seconds=now.eta_seconds)
                self.say(f"{now.stage}: {now.done} of {now.total}")

        def open_data() -> Data:
            return labelled.open_data(
                self.request.data,
                columns_of(self.config, self.request),
                self.config.split,
                seed=self.config.seed,
                work=work_folder(),
                processes=self.request.threads,
                retry=self.leads and not self.path.state.exists(),  # the others, and a run that goes on, need the same tracks
                monitor=Monitor(progress, self.should_stop) if self.leads else QUIET,
            )

        data, stopped = None, None
        if self.leads:
            try:
                held.enter_context(device_of(self.path, self.device, self.monitor))
                self.record("preparing", stage="opening the data", done=0, total=0, eta_seconds=None)
                data = open_data()
            except StoppedError as error:
                stopped = error
        if self.processes.any(stopped is not None):
            raise stopped or StoppedError("stopped on request")
        return data or open_data()

    def train(self, data: Data, train: Dataset, valid: Dataset, state: TrainState, steps: int, held: ExitStack) -> None:
        config = self.config
        pool = wave_pool(data, train, config, self.request.data) if state.progress.epoch < config.epochs else None
        if pool is not None:
            held.callback(pool.close)
            pool.begin(state.progress.epoch + 1)

        def on_step(now: Step) -> None:
            if self.leads and time.monotonic() - self.saved > _SAVE_SECONDS:
                self.save(state)
            if self.leads and time.monotonic() - self.told > max(_TELL_SECONDS, state.progress.seconds / _TELL_SHARE):
                self.told = time.monotonic()
                self.tell(now, steps)

        def on_warning(text: str) -> None:
            self.record("warning", message=text)
            self.say(text)

        try:
            for result in fit(
                config,
                train,
                valid,
                device=self.device,
                state=state,
                pool=pool,
                processes=self.processes,
                on_step=on_step,
                on_warning=on_warning,
                monitor=self.monitor,
            ):
                if self.leads:
                    self.end_epoch(result, data, state)
        except StoppedError:
            if self.leads:
                self.save(state)
            raise

    def save(self, state: TrainState) -> None:
        state.save(self.path.state, self.learned)
        self.saved = time.monotonic()

    def tell(self, now: Step, steps: int) -> None:
        done = (now.epoch - 1) * steps + now.step
        per_step = (time.monotonic() - self.began) / max(1, done - self.begun_at)
        self.record(
            "step",
            epoch=now.epoch,
            step=now.step,
            steps=now.steps,
            loss=_finite(float(now.loss)),
            learning_rate=now.learning_rate,
            samples_per_second=self.config.batch_size / per_step,
            eta_seconds=per_step * (self.config.epochs * steps - done),
            memory_bytes=_memory(self.device),
        )

    def end_epoch(self, result: EpochResult, data: Data, state: TrainState) -> None:
        # The state last: if the process dies before, the epoch is done again, and gives the checkpoint and the line again.
        if result.model is not None:
            save_checkpoint(self.checkpoint(result.model.cpu(), data, state), self.path.best)
        self.record(
            "epoch",
            epoch=result.epoch,
            train_loss=_finite(result.train_loss),
            learning_rate=result.learning_rate,
            seconds=result.seconds,
            valid_log_loss=_finite(result.valid_log_loss),
            valid_accuracy=_finite(result.valid_accuracy),
            valid_segment_accuracy=_finite(result.valid_segment_accuracy),
            recorded_log_loss=_finite(result.recorded_log_loss),
            recorded_accuracy=_finite(result.recorded_accuracy),
            confusion=result.confusion,
            best=result.model is not None,
        )
        self.save(state)
        line = f"epoch {result.epoch:4d}  loss {result.train_loss:.4f}  lr {result.learning_rate:.2e}  {result.seconds:.1f} s"
        if result.valid_log_loss is not None:
            line += f"  valid log-loss {result.valid_log_loss:.4f}  accuracy {result.valid_accuracy:.1%}"
        if result.recorded_log_loss is not None:
            line += f"  recorded {result.recorded_log_loss:.4f}  {result.recorded_accuracy:.1%}"
        self.say(line + ("  *" if result.model is not None else ""))

    def checkpoint(self, model: GenreModel, data: Data, state: TrainState, references: References | None = None) -> Checkpoint:
        return Checkpoint(
            model=model,
            spec=self.config.spec,
            genres=data.genres,
            provenance={
                **self.asked,
                "best_epoch": state.progress.best_epoch,
                "device": self.device.type,
            },
            references=references,
            name=self.path.name,
        )

    def finish(self, data: Data, train: Dataset, state: TrainState) -> None:
        if not self.path.best.exists():
            raise DataError("every validation log-loss was not a number, so there is no network to keep; lower learning_rate.")
        model = load_checkpoint(self.path.best).model
        cpu = torch.device("cpu")
        checkpoint = self.checkpoint(
            model, data, state, references(model, dataset(data, "train", self.config, cpu), self.monitor)
        )
        reports = {}
        for split in ("valid", "test"):
            if data.of(split):
                reports[split] = report_on(checkpoint, dataset(data, split, self.config, cpu), self.config, self.monitor)
        checkpoint.metrics = {split: report.to_dict() for split, report in reports.items()}
        save_checkpoint(checkpoint, self.path.best)
        summary = {
            "vote": self.config.vote,
            "best_epoch": state.progress.best_epoch,
            "seconds": state.progress.seconds,
            **checkpoint.metrics,
        }
        write_whole(self.path.path / "report.json", json.dumps(summary, indent=1).encode())
        write_card(checkpoint, self.path.path / "card.md", read_folds(self.path.path, self.asked))
        best = reports["valid"]
        self.record("finished", accuracy=best.by_vote[self.config.vote], log_loss=best.log_loss, seconds=state.progress.seconds)
        (self.path.path / "reserve").unlink(missing_ok=True)
        (self.path.path / "stop").unlink(missing_ok=True)
        self.say(best.to_table())
        self.say(f"wrote {self.path.best} ({self.path.best.stat().st_size / 1e6:.1f} MB), report.json and card.md")


def prepare_process(threads: int) -> None:
    """Make this process ready to train: so many threads, memory that is kept, and others first."""
    torch.set_num_threads(threads)
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        # Each step frees and takes the same few hundred megabytes; handing them back to the kernel in between halves the speed.
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def be_nice() -> None:
    """Leave the processor to whoever classifies meanwhile."""
    if sys.platform == "win32":
        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
    else:
        os.nice(10)


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _memory(device: torch.device) -> int:
    return torch.cuda.max_memory_reserved(device) if device.type == "cuda" else psutil.Process().memory_info().rss


def _finite(value: float | None) -> float | None:
    return value if value is not None and np.isfinite(value) else None
