"""Execute a run from its data to its report: what ``genre-app train`` does."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict

import torch

from genre_app.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from genre_app.data.dataset import Dataset
from genre_app.data.labelled import Data
from genre_app.errors import DataError
from genre_app.files import remove_abandoned, write_whole
from genre_app.models import GenreModel
from genre_app.progress import Monitor, Progress, StoppedError
from genre_app.runs import events
from genre_app.runs.card import write_card
from genre_app.runs.data import open_data
from genre_app.runs.failure import sentence
from genre_app.runs.folds import calibrate, calibrate_by_folds, read_folds
from genre_app.runs.host import device_name, prepare_process, used_memory
from genre_app.runs.provenance import provenance
from genre_app.runs.queue import device_of, only_process_of
from genre_app.runs.run import Run
from genre_app.training.datasets import load_split, wave_pool
from genre_app.training.final import report_on
from genre_app.training.fit import EpochResult, Step, fit
from genre_app.training.held_out import HeldOut
from genre_app.training.processes import Processes, join
from genre_app.training.state import TrainState
from genre_app.training.steps import forward_precision, steps_per_epoch

_EVENT_SECONDS = 1.0  # between two events about steps or preparing
_EVENT_SHARE = 3600  # but at most this many events over the time of the run: a day would make a hundred thousand
_SAVE_SECONDS = 60.0  # between two saved states within an epoch
_SAVE_EPOCH_SECONDS = 5.0  # between two saved states at the ends of epochs: on a GPU an epoch may take less time than saving


def work(run: Run, *, say: Callable[[str], object] = print, deadline: float | None = None) -> bool:
    """Do the rest of a run, and record in its journal how it ended.

    Parameters
    ----------
    run : Run
    say : callable
        Gets one line of text at a time, for the terminal or the log.
    deadline : float, optional
        Time of `time.monotonic` at which the run is paused; call again to resume it.

    Returns
    -------
    bool
        Whether the run has finished; False if it is stopped or paused.

    Raises
    ------
    Exception
        The error that ended the run; the journal has it as a sentence.
    """
    processes, device = join()
    with ExitStack() as held:
        if processes.rank == 0:
            held.enter_context(only_process_of(run))
            remove_abandoned(run.path)
            run.record_process()
        try:
            _Job(run, processes, device, say, deadline).execute(held)
        except StoppedError:
            if processes.rank == 0:
                is_paused = deadline is not None and not run.should_stop
                run.record_end(events.Paused() if is_paused else events.Stopped())
                say("paused" if is_paused else f"stopped; resume with: genre-app train --resume {run.path}")
            return False
        except BaseException as error:
            if processes.rank == 0:
                run.record_end(events.Failed(message=sentence(error)))
            raise
    return True


class _Job:
    """The work of one process on a run."""

    def __init__(
        self, run: Run, processes: Processes, device: torch.device, say: Callable[[str], object], deadline: float | None
    ) -> None:
        self.run, self.processes, self.device, self.deadline = run, processes, device, deadline
        self.leads = processes.rank == 0  # only the first process writes
        self.say: Callable[[str], object] = say if self.leads else lambda _: None
        self.record: Callable[[events.Event], object] = run.record if self.leads else lambda _: None
        self.monitor = Monitor(self.on_progress, self.should_stop)
        described = run.description()
        self.request, self.config = described.request, described.config
        self.recorded_at = self.saved_at = self.began = time.monotonic()
        self.begun_after = 0  # steps that were done before this process

    def should_stop(self) -> bool:
        return self.run.should_stop or (self.deadline is not None and time.monotonic() > self.deadline)

    def on_progress(self, now: Progress) -> None:
        if self.is_due(_EVENT_SECONDS):
            self.record(events.Preparing(**asdict(now)))
            self.say(f"{now.stage}: {now.done} of {now.total}")

    def execute(self, held: ExitStack) -> None:
        prepare_process(self.request.threads)
        self.data = data = self.open_data(held)
        for note in data.notes:
            self.say(note)
        train = load_split(data, "train", self.config, self.device)
        valid = load_split(data, "valid", self.config, self.device) if data.of("valid") else None
        self.provenance = provenance(self.request, self.config, data)
        self.provenance |= {"device": self.device.type, "precision": forward_precision(self.config, self.device)}
        self.data_digest = self.provenance["data"]["sha256"]
        state = self.begin(train)
        if state.progress.epoch < self.config.epochs:
            self.train(train, valid, state, held)
        if self.leads:
            self.finish(state)

    def open_data(self, held: ExitStack) -> Data:
        """Wait for the device, then open the data: first in the first process, then in the others, which find it prepared."""
        # A run that is resumed needs the same tracks, and so do the other processes.
        retry = self.leads and not self.run.state.exists()
        found, stopped = None, None
        if self.leads:
            try:
                held.enter_context(device_of(self.run, self.device, self.monitor, self.say))
                self.record(events.Preparing(stage="opening the data"))
                found = open_data(self.request, self.config, processes=self.request.threads, retry=retry, monitor=self.monitor)
            except StoppedError as error:
                stopped = error
        if self.processes.any(stopped is not None):
            raise stopped or StoppedError("stopped on request")
        data, self.config = found or open_data(self.request, self.config, processes=self.request.threads, retry=False)
        return data

    def begin(self, train: Dataset) -> TrainState:
        """Return the initial or the saved state, and record the start."""
        config, data = self.config, self.data
        if self.run.state.exists():
            state = TrainState.resume(config, train, self.device, self.run.state, self.data_digest, self.warn)
        else:
            state = TrainState.begin(config, train, self.device, init=self.request.initial_checkpoint())
        n_segments = len(train.grid()[0])
        self.steps = steps_per_epoch(config, len(train), n_segments, self.processes.count)
        self.begun_after = state.progress.epoch * self.steps + state.progress.step
        self.record(
            events.Started(
                device=device_name(self.device),
                processes=self.processes.count,
                epoch=state.progress.epoch,
                step=state.progress.step,
                epochs=config.epochs,
                steps=self.steps,
                tracks={split: len(data.of(split)) for split in ("train", "valid", "test")},
                segments=n_segments,
                parameters=sum(parameter.numel() for parameter in state.model.parameters()),
                genres=list(data.genres),
                notes=list(data.notes),
            )
        )
        return state

    def train(self, train: Dataset, valid: Dataset | None, state: TrainState, held: ExitStack) -> None:
        pool = held.enter_context(wave_pool(self.data, train, self.config, self.request.data, state.progress.epoch + 1))

        def on_step(now: Step) -> None:
            if self.leads and time.monotonic() - self.saved_at > _SAVE_SECONDS:
                self.save(state)
            if self.leads and self.is_due(max(_EVENT_SECONDS, state.progress.seconds / _EVENT_SHARE)):
                self.record_step(now)

        try:
            for result in fit(
                self.config,
                train,
                valid,
                device=self.device,
                state=state,
                pool=pool,
                processes=self.processes,
                on_step=on_step,
                on_warning=self.warn,
                monitor=self.monitor,
            ):
                if self.leads:
                    self.end_epoch(result, state)
        except StoppedError:
            if self.leads:
                self.save(state)
            raise

    def is_due(self, seconds: float) -> bool:
        """Return whether the last event is this long ago; if so, the next one counts from now."""
        now = time.monotonic()
        if now - self.recorded_at <= seconds:
            return False
        self.recorded_at = now
        return True

    def save(self, state: TrainState) -> None:
        state.save(self.run.state, self.data_digest)
        self.saved_at = time.monotonic()

    def warn(self, text: str) -> None:
        self.record(events.Warned(message=text))
        self.say(text)

    def record_step(self, now: Step) -> None:
        done = (now.epoch - 1) * self.steps + now.step
        per_step = (time.monotonic() - self.began) / max(1, done - self.begun_after)
        self.record(
            events.Stepped(
                **vars(now) | {"loss": float(now.loss)},
                samples_per_second=self.config.batch_size / per_step,
                eta_seconds=per_step * (self.config.epochs * self.steps - done),
                memory_bytes=used_memory(self.device),
            )
        )

    def end_epoch(self, result: EpochResult, state: TrainState) -> None:
        # The state is saved last: if the process dies before, the epoch is repeated and gives the same checkpoint and event.
        if result.model is not None:
            save_checkpoint(self.checkpoint(result.model.cpu(), state), self.run.best)
        numbers = dict(vars(result))
        is_best = numbers.pop("model") is not None
        self.record(events.Epoch(**numbers, best=is_best))
        # The first epoch is saved at once, and the last one always.
        is_last = result.epoch == self.config.epochs
        if is_last or self.saved_at == self.began or time.monotonic() - self.saved_at > _SAVE_EPOCH_SECONDS:
            self.save(state)
        line = f"epoch {result.epoch:4d}  loss {result.train_loss:.4f}  lr {result.learning_rate:.2e}  {result.seconds:.1f} s"
        if result.valid_log_loss is not None:
            line += f"  valid log-loss {result.valid_log_loss:.4f}  accuracy {result.valid_accuracy:.1%}"
        if result.recorded_log_loss is not None:
            line += f"  recorded {result.recorded_log_loss:.4f}  {result.recorded_accuracy:.1%}"
        self.say(line + ("  *" if is_best else ""))

    def checkpoint(self, model: GenreModel, state: TrainState) -> Checkpoint:
        found = {"best_epoch": state.progress.best_epoch, "temperature": float(model.temperature)}
        return Checkpoint.single(
            model, self.config.spec, self.data.genres, provenance=self.provenance | found, name=self.run.name
        )

    def finish(self, state: TrainState) -> None:
        """Complete the checkpoint of the best epoch, and write report and card."""
        if not self.run.best.exists():
            raise DataError("Training diverged: the log-loss is not a number; lower learning_rate.")
        run, config = self.run, self.config
        model = load_checkpoint(run.best, self.device).model
        splits = {
            split: load_split(self.data, split, config, self.device) for split in ("valid", "test") if self.data.of(split)
        }
        checkpoint = self.checkpoint(model, state)
        if "valid" in splits:
            calibrate(checkpoint, HeldOut.of(config, model, splits["valid"], self.monitor, recorded=config.fit_temperature))
        reports = {
            split: report_on(checkpoint, tracks, config, self.monitor, leave_one_out=split == "valid")
            for split, tracks in splits.items()
        }
        checkpoint.metrics = {split: report.to_dict() for split, report in reports.items()}
        if "valid" not in splits:
            calibrate_by_folds(checkpoint, run.path)
        save_checkpoint(checkpoint, run.best)
        epoch, seconds = state.progress.best_epoch, state.progress.seconds
        summary = {"vote": config.vote, "best_epoch": epoch, "seconds": seconds, **checkpoint.metrics}
        write_whole(run.path / "report.json", json.dumps(summary, indent=1).encode())
        write_card(checkpoint, run.path / "card.md", read_folds(run.path, self.provenance))
        best = reports.get("valid")
        accuracy, log_loss = (best.by_vote.get(config.vote, best.accuracy), best.log_loss) if best else (None, None)
        run.record_end(events.Finished(accuracy=accuracy, log_loss=log_loss, seconds=seconds))
        self.say(best.to_table() if best else "all tracks are training tracks, so nothing was measured on others")
        self.say(f"wrote {run.best} ({run.best.stat().st_size / 1e6:.1f} MB), report.json and card.md")
