"""The events of a run, one dataclass a kind: what `genre_app.runs.journal` writes, and all that the page reads of a run."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseEvent:
    """One line; ``time`` is in seconds since 1970."""

    time: float = field(default_factory=lambda: round(time.time(), 3))


@dataclass(frozen=True, kw_only=True, slots=True)
class Created(BaseEvent):
    """The run was created, or is to be resumed; a process must follow soon."""

    event: Literal["created"] = "created"


@dataclass(frozen=True, kw_only=True, slots=True)
class Process(BaseEvent):
    """A process works on the run from now on; ``pid_created`` (seconds since 1970) tells it from a later one of the same id."""

    event: Literal["process"] = "process"
    pid: int
    pid_created: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Queued(BaseEvent):
    """The run waits until the device is free."""

    event: Literal["queued"] = "queued"
    device: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Preparing(BaseEvent):
    """The data are being opened; the fields are those of `genre_app.progress.Progress`."""

    event: Literal["preparing"] = "preparing"
    stage: str
    done: int = 0
    total: int = 0
    eta_seconds: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Started(BaseEvent):
    """Training starts, or resumes after ``epoch`` finished epochs and ``step`` steps of the next one.

    Attributes
    ----------
    epochs, steps : int
        Epochs of the run, steps of an epoch.
    tracks : dict
        Number of tracks by split.
    segments : int
        Segments of the training tracks on the grid of prediction.
    parameters : int
        Parameters of the network.
    notes : list of str
        Notes of the data source.
    """

    event: Literal["started"] = "started"
    device: str = ""
    processes: int = 1
    epoch: int = 0
    step: int = 0
    epochs: int = 0
    steps: int = 0
    tracks: dict[str, int] = field(default_factory=dict)
    segments: int = 0
    parameters: int = 0
    genres: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stepped(BaseEvent):
    """A training step, about once a second.

    Attributes
    ----------
    epoch, step, steps : int
        As in `genre_app.training.fit.Step`.
    loss : float or None
        Mean of the epoch so far; None if it is not finite.
    samples_per_second : float
        Segments per second since the process started.
    eta_seconds : float
        Time left until the last epoch ends.
    memory_bytes : int
        Memory of the GPU, or of the process.
    """

    event: Literal["step"] = "step"
    epoch: int
    step: int
    steps: int
    loss: float | None = None
    learning_rate: float = 0.0
    samples_per_second: float = 0.0
    eta_seconds: float | None = None
    memory_bytes: float = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Epoch(BaseEvent):
    """An epoch has finished; the numbers are those of `genre_app.training.fit.EpochResult`, None if they are not finite.

    Attributes
    ----------
    best : bool
        Whether the checkpoint is from this epoch, so far.
    """

    event: Literal["epoch"] = "epoch"
    epoch: int
    train_loss: float | None = None
    learning_rate: float = 0.0
    seconds: float = 0.0
    valid_log_loss: float | None = None
    valid_accuracy: float | None = None
    valid_segment_accuracy: float | None = None
    recorded_log_loss: float | None = None
    recorded_accuracy: float | None = None
    confusion: list[list[int]] | None = None
    best: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Warned(BaseEvent):
    """Training continues with a change that nobody asked for, such as smaller parts of a batch."""

    event: Literal["warning"] = "warning"
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Paused(BaseEvent):
    """The turn on the GPU is over; the next one follows."""

    event: Literal["paused"] = "paused"


@dataclass(frozen=True, kw_only=True, slots=True)
class Stopped(BaseEvent):
    """The run was stopped on request and can be resumed."""

    event: Literal["stopped"] = "stopped"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished(BaseEvent):
    """The run has finished: accuracy and log-loss of the validation tracks, seconds of training."""

    event: Literal["finished"] = "finished"
    accuracy: float | None = None
    log_loss: float | None = None
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed(BaseEvent):
    """An error ended the run; ``message`` is one sentence for the user."""

    event: Literal["failed"] = "failed"
    message: str = "Failed."


Event = Created | Process | Queued | Preparing | Started | Stepped | Epoch | Warned | Paused | Stopped | Finished | Failed
"""Any event; ``event`` tells the kinds apart."""
