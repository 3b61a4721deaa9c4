"""The events of a run, one dataclass a kind: what `genre_app.runs.journal` writes, and all that the page reads of a run.

The bounds of the fields hold when a journal is read: whatever a damaged or foreign journal says, the page can work with it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

Count = Annotated[int, Field(ge=0, le=1 << 53)]  # JSON's integers are exact up to here
Seconds = Annotated[float, Field(ge=0.0, le=1e11)]  # since 1970: up to the year 5138
Share = Annotated[float, Field(ge=0.0, le=1.0)]
_Number = Annotated[float, Field(allow_inf_nan=False)]
_Pid = Annotated[int, Field(ge=1, lt=1 << 31)]


def _square(matrix: list[list[Count]]) -> list[list[Count]]:
    if any(len(row) != len(matrix) for row in matrix):
        raise ValueError("a confusion matrix has as many columns as rows")
    return matrix


Matrix = Annotated[list[list[Count]], AfterValidator(_square)]


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseEvent:
    """One line; ``time`` is in seconds since 1970."""

    time: Seconds = field(default_factory=lambda: round(time.time(), 3))


@dataclass(frozen=True, kw_only=True, slots=True)
class Created(BaseEvent):
    """The run was created, or is to be resumed; a process must follow soon."""

    event: Literal["created"] = "created"


@dataclass(frozen=True, kw_only=True, slots=True)
class Process(BaseEvent):
    """A process works on the run from now on; its id and time of creation are those of `genre_app.runs.host.this_process`."""

    event: Literal["process"] = "process"
    pid: _Pid
    pid_created: Seconds


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
    done: Count = 0
    total: Count = 0
    eta_seconds: _Number | None = None


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
    processes: Count = 1
    epoch: Count = 0
    step: Count = 0
    epochs: Count = 0
    steps: Count = 0
    tracks: dict[str, Count] = field(default_factory=dict)
    segments: Count = 0
    parameters: Count = 0
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
    epoch: Count
    step: Count
    steps: Count
    loss: _Number | None = None
    learning_rate: _Number = 0.0
    samples_per_second: _Number = 0.0
    eta_seconds: _Number | None = None
    memory_bytes: _Number = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Epoch(BaseEvent):
    """An epoch has finished; the numbers are those of `genre_app.training.fit.EpochResult`, None if they are not finite.

    Attributes
    ----------
    best : bool
        Whether the checkpoint is from this epoch, so far.
    """

    event: Literal["epoch"] = "epoch"
    epoch: Count
    train_loss: _Number | None = None
    learning_rate: _Number = 0.0
    seconds: Seconds = 0.0
    valid_log_loss: _Number | None = None
    valid_accuracy: Share | None = None
    valid_segment_accuracy: Share | None = None
    recorded_log_loss: _Number | None = None
    recorded_accuracy: Share | None = None
    confusion: Matrix | None = None
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
    accuracy: Share | None = None
    log_loss: _Number | None = None
    seconds: Seconds = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed(BaseEvent):
    """An error ended the run; ``message`` is one sentence for the user."""

    event: Literal["failed"] = "failed"
    message: str = "Failed."


Event = Created | Process | Queued | Preparing | Started | Stepped | Epoch | Warned | Paused | Stopped | Finished | Failed
"""Any event; ``event`` tells the kinds apart."""
