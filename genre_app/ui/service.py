"""What every tab and endpoint does with an audio file, and the limits that hold for visitors of the page.

The command line has no such limits; here strangers share one machine.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock

from genre_app.audio import AudioError, open_audio
from genre_app.checkpoint import DEFAULT_CHECKPOINT, Checkpoint, CheckpointError, bundled_checkpoints, load_checkpoint
from genre_app.predict import MAX_OVERLAP, Prediction
from genre_app.ui.overview import Overview, OverviewTap
from genre_app.vote import DEFAULT_VOTE, VOTES, available_votes

MAX_BYTES = 100_000_000
MAX_SECONDS = 3 * 3600.0
MAX_FILES = 200  # in one batch
CONCURRENT = 4  # clips classified at once; other visitors wait their turn

VOTE_NAMES = {"majority": "Majority", "mean": "Mean", "geometric": "Geometric mean", "knn": "Nearest tracks"}


class RequestError(ValueError):
    """A visitor asked for what there is not; the message is one sentence for them."""


PROBLEMS = (AudioError, CheckpointError, RequestError)
"""Errors whose message is meant for the visitor."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What the page shows of a clip, kept for the visitor who asked."""

    prediction: Prediction
    overview: Overview


_loading = Lock()


def checkpoint_named(name: str | None) -> Checkpoint:
    """Load a bundled checkpoint, once.

    Raises
    ------
    RequestError
        If there is none of this name. Paths are not taken: a visitor has no business with the server's files.
    CheckpointError
        If it cannot be used.
    """
    name = name or DEFAULT_CHECKPOINT
    names = bundled_checkpoints()
    if names and name not in names:
        raise RequestError(f"There is no checkpoint {name!r}; choose one of: {', '.join(names)}")
    with _loading:  # visitors who come at once wait for one load instead of starting their own
        return _load(name)


@lru_cache(maxsize=4)
def _load(name: str) -> Checkpoint:
    return load_checkpoint(name)


def answer(
    path: str | os.PathLike[str] | None,
    *,
    checkpoint: str | None = None,
    vote: str | None = None,
    overlap: float | None = None,
    name: str | None = None,
) -> Answer:
    """Classify an uploaded file and gather its overview on the way.

    Parameters
    ----------
    path : path-like or None
        None is what an upload that did not arrive leaves.
    checkpoint : str, optional
        Name of a bundled one.
    vote : str, optional
    overlap : float, optional
        Share of a frame, 0 to 0.95; the checkpoint's own by default.
    name : str, optional
        What to call the clip instead of its file's name.

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
    chosen = checkpoint_named(checkpoint)
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
