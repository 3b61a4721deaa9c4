"""What every tab and endpoint does with an audio file, and the limits that hold for visitors of the page.

The command line has no such limits; here strangers share one machine.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

from genre_app.audio import open_audio
from genre_app.checkpoint import DEFAULT_CHECKPOINT, Checkpoint, bundled_checkpoints, load_checkpoint
from genre_app.errors import AudioError, CheckpointError, GenreAppError
from genre_app.predict import MAX_OVERLAP, Prediction
from genre_app.runs.run import list_runs
from genre_app.ui.overview import Overview, OverviewTap
from genre_app.ui.permission import on_space
from genre_app.ui.train.snapshot import briefs
from genre_app.vote import DEFAULT_VOTE, VOTES, available_votes

MAX_BYTES = 100_000_000
MAX_DATA_BYTES = 4_000_000_000  # of a zip to train on, at home
MAX_SECONDS = 3 * 3600.0
MAX_FILES = 200  # in one batch
CONCURRENT = 4  # clips classified at once; other visitors wait their turn

VOTE_NAMES = {"majority": "Majority", "mean": "Mean", "geometric": "Geometric mean", "knn": "Nearest tracks"}


class RequestError(GenreAppError):
    """A visitor asked for what there is not; the message is one sentence for them."""


PROBLEMS = (AudioError, CheckpointError, RequestError)
"""Errors whose message is meant for the visitor."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What the page shows of a clip, kept for the visitor who asked."""

    prediction: Prediction
    overview: Overview


_loading = Lock()
_RUN = "run: "
_OWN = "yours: "


def max_upload_bytes() -> int:
    """Size of the largest file that may travel to the server; each tab has its own limit besides."""
    return MAX_BYTES if on_space() else MAX_DATA_BYTES


def checkpoint_choices(own: str | None = None) -> list[str]:
    """Names of what `checkpoint_named` takes: bundled checkpoints, those of runs that are not at work, and the visitor's own.

    Parameters
    ----------
    own : str, optional
        Path of a checkpoint that the visitor has uploaded.
    """
    runs = [run_choice(brief.name) for brief in briefs() if not brief.status.is_active and brief.has_checkpoint]
    return [*(bundled_checkpoints() or [DEFAULT_CHECKPOINT]), *runs, *([own_choice(own)] if own else [])]


def still_offered(chosen: str | None, own: str | None = None) -> dict[str, Any]:
    """Return the choices of a field of checkpoints, and what is chosen: the default, if that is gone."""
    choices = checkpoint_choices(own)
    return {"choices": choices, "value": chosen if chosen in choices else choices[0]}


def run_choice(name: str) -> str:
    """Return the name under which the checkpoint of a run is offered."""
    return _RUN + name


def own_choice(own: str) -> str:
    """Return the name under which a visitor's own checkpoint is offered to them."""
    return _OWN + Path(own).name


def checkpoint_named(name: str | None, own: str | None = None) -> Checkpoint:
    """Load a bundled checkpoint, that of a run, or the visitor's own; once, as long as its file stays the same.

    Parameters
    ----------
    name : str or None
        One of `checkpoint_choices`. Paths are not taken: a visitor has no business with the server's files.
    own : str, optional
        Path of the visitor's own checkpoint, as the server remembers it.

    Raises
    ------
    RequestError
        If there is none of this name.
    CheckpointError
        If it cannot be used.
    """
    name = name or DEFAULT_CHECKPOINT
    names = checkpoint_choices(own)
    if name not in names:
        raise RequestError(f"There is no checkpoint {name!r}; choose one of: {', '.join(names)}")
    if own and name == own_choice(own):
        return _load_file(Path(own), name)
    run = next((run for run in list_runs() if name == run_choice(run.name)), None)
    if run is not None:
        return _load_file(run.best, name)
    with _loading:  # visitors who come at once wait for one load instead of starting their own
        return _load(name, 0)


def check_own(path: str) -> Checkpoint:
    """Load a checkpoint that a visitor has uploaded.

    Raises
    ------
    RequestError
        If it is too large.
    CheckpointError
        If it is anything but a checkpoint of this project.
    """
    file = Path(path)
    if (size := file.stat().st_size) > MAX_BYTES:
        raise RequestError(f"{file.name}: {size / 1e6:.0f} MB are more than the {MAX_BYTES / 1e6:.0f} MB that this page takes")
    return _load_file(file, own_choice(path))


def _load_file(path: Path, name: str) -> Checkpoint:
    try:
        stamp = path.stat().st_mtime_ns
    except OSError as error:
        raise CheckpointError(f"{name} is no longer here; choose or upload another checkpoint") from error
    try:
        with _loading:
            checkpoint = _load(str(path), stamp)
    except CheckpointError as error:  # where the file lies is none of a visitor's business
        raise CheckpointError(str(error).replace(str(path), path.name)) from error
    return replace(checkpoint, name=name)


@lru_cache(maxsize=4)
def _load(name_or_path: str, _: int) -> Checkpoint:
    return load_checkpoint(name_or_path)


def answer(
    path: str | os.PathLike[str] | None,
    *,
    checkpoint: str | None = None,
    vote: str | None = None,
    overlap: float | None = None,
    name: str | None = None,
    own: str | None = None,
) -> Answer:
    """Classify an uploaded file and gather its overview on the way.

    Parameters
    ----------
    path : path-like or None
        None is what an upload that did not arrive leaves.
    checkpoint : str, optional
        One of `checkpoint_choices`.
    vote : str, optional
    overlap : float, optional
        Share of a frame, 0 to 0.95; the checkpoint's own by default.
    name : str, optional
        What to call the clip instead of its file's name.
    own : str, optional
        Path of the visitor's own checkpoint.

    Raises
    ------
    AudioError, CheckpointError, RequestError
        With one sentence for the visitor.
    """
    if path is None:
        raise RequestError("No audio arrived: choose a file, or record for at least a few seconds")
    name = name or Path(path).name
    vote = vote or DEFAULT_VOTE
    if vote not in VOTES:
        raise RequestError(f"There is no vote {vote!r}; choose one of: {', '.join(VOTES)}")
    if overlap is not None and not 0.0 <= overlap <= MAX_OVERLAP:
        raise RequestError(f"The overlap must lie between 0 and {MAX_OVERLAP}, got {overlap:g}")
    chosen = checkpoint_named(checkpoint, own)
    if vote not in available_votes(chosen.references):
        raise RequestError(f"The checkpoint {chosen.name} has no reference tracks for the vote {vote!r}; choose another vote")
    try:
        size = Path(path).stat().st_size
    except OSError as error:
        raise RequestError(f"{name}: the file is no longer here; upload it again") from error
    if size > MAX_BYTES:
        raise RequestError(
            f"{name}: {size / 1e6:.0f} MB are more than the {MAX_BYTES / 1e6:.0f} MB that this page takes; cut it shorter"
        )
    with open_audio(path, sample_rate=chosen.spec.sample_rate, name=name, max_seconds=MAX_SECONDS) as stream:
        tap = OverviewTap(stream)
        prediction = tap.classify(chosen, vote=vote, overlap=overlap)
        return Answer(prediction, tap.overview())
