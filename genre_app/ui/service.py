"""Answers to visitors: limits on what they send, the checkpoints they may name, and the classification itself.

The limits hold for the page and its API, where strangers share one machine. The command line has none.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, cast

from genre_app.audio import AudioStream, open_audio
from genre_app.checkpoint import DEFAULT_CHECKPOINT, Checkpoint, bundled_checkpoints, load_checkpoint
from genre_app.combine import combine
from genre_app.errors import AudioError, CheckpointError, GenreAppError
from genre_app.predict import MAX_OVERLAP, classify
from genre_app.prediction import Prediction
from genre_app.runs.run import Run, runs_folder
from genre_app.ui.collect.store import belongs_to_session, collection_names, collection_of, taught_file
from genre_app.ui.limits import MAX_SECONDS, Budget, in_words, longest_seconds
from genre_app.ui.overview import Overview, OverviewTap
from genre_app.ui.permission import on_space
from genre_app.ui.train.snapshot import snapshots
from genre_app.vote import DEFAULT_VOTE, VOTES, available_votes

MAX_BYTES = 100_000_000
MAX_DATA_BYTES = 4_000_000_000
"""Largest zip of training data, on a page at home."""

MAX_FILES = 200
"""Files in one batch."""

CONCURRENT = 4
"""Clips classified at the same time; other visitors wait in the queue."""

VOTE_NAMES = {"majority": "Majority", "mean": "Mean", "geometric": "Geometric mean", "knn": "Nearest tracks"}

MAX_COMBINED = 4
"""Checkpoints that are averaged for one answer; each takes its time."""

_AND = " + "  # between the names of checkpoints that are averaged
RUN, TAUGHT, _OWN = "run: ", "taught: ", "yours: "
"""How the names begin under which the checkpoints of runs, those taught from collections, and a visitor's own are offered."""

_loading = Lock()


class RequestError(GenreAppError):
    """A visitor's request cannot be answered; the message is one sentence for them."""


PROBLEMS = (Exception,)
"""What handlers catch: an error that left a handler would leave the page waiting. `genre_app.ui.cards.told` describes it."""


@dataclass(frozen=True, eq=False)
class Answer:
    """A clip's prediction and the spectrogram for its figure."""

    prediction: Prediction
    overview: Overview


def max_upload_bytes() -> int:
    """Return the size of the largest file that may be uploaded; each tab has its own limit besides."""
    return MAX_BYTES if on_space() else MAX_DATA_BYTES


def checkpoint_choices(own: str | None = None) -> list[str]:
    """List the names to offer: bundled checkpoints, those of runs that are over, and the visitor's own.

    This reads every run folder, so call it to show choices, never to answer.

    Parameters
    ----------
    own : str, optional
        Path of a checkpoint that the visitor has uploaded.
    """
    runs = [RUN + seen.run.name for seen in snapshots() if not seen.status.is_active and seen.run.best.is_file()]
    taught = [TAUGHT + name for name in collection_names() if _taught(name) is not None]
    return [*(bundled_checkpoints() or [DEFAULT_CHECKPOINT]), *taught, *runs, *([own_choice(own)] if own else [])]


def still_offered(chosen: list[str] | None, own: str | None = None) -> dict[str, Any]:
    """Return the settings of a checkpoint dropdown; its value is what is left of ``chosen``, or the default if nothing is."""
    choices = checkpoint_choices(own)
    value = [name for name in chosen or [] if name in choices] or choices[:1]
    return {"choices": choices, "value": value, "multiselect": True, "max_choices": MAX_COMBINED}


def own_choice(own: str) -> str:
    """Return the name under which a visitor's own checkpoint is offered to them."""
    return _OWN + Path(own).name


def checkpoint_named(name: str | list[str] | None, own: str | None = None) -> Checkpoint:
    """Load a checkpoint by the name it is offered under; it stays in memory until its file changes.

    Parameters
    ----------
    name : str, list of str or None
        One of `checkpoint_choices`, never a path: visitors may not read the server's files. None is the default checkpoint.
        Several, in a list or joined by " + ", are averaged.
    own : str, optional
        Path of the visitor's own checkpoint, as the server has stored it.

    Raises
    ------
    RequestError
        If no checkpoint has this name, or there are more than `MAX_COMBINED`.
    CheckpointError
        If it cannot be used, or the checkpoints have different genres.
    """
    names = names_of(name) if isinstance(name, str) else name
    names = list(dict.fromkeys(names or [])) or [DEFAULT_CHECKPOINT]
    if len(names) > MAX_COMBINED:
        raise RequestError(f"{len(names)} checkpoints are more than the {MAX_COMBINED} that can be averaged")
    return combine([_one_named(one or DEFAULT_CHECKPOINT, own) for one in names])


def names_of(name: str) -> list[str]:
    """Return the checkpoints whose average has this name; a run or a collection may be called ``rock + pop``."""
    heads = "|".join(map(re.escape, (RUN, TAUGHT, _OWN, *bundled_checkpoints())))
    return re.split(f"{re.escape(_AND)}(?={heads})", name)


def _one_named(name: str, own: str | None) -> Checkpoint:
    if own and name == own_choice(own):
        return _load_file(Path(own), name)
    if name.startswith(RUN):
        return _load_file(finished_run(name).best, name)
    taught = _taught(name.removeprefix(TAUGHT)) if name.startswith(TAUGHT) else None
    if taught is not None:
        return _load_file(taught, name)
    if name != DEFAULT_CHECKPOINT and name not in bundled_checkpoints():
        raise _no_checkpoint(name)
    with _loading:  # visitors who come at the same time wait for one load
        return _load(name, 0)


def _taught(name: str) -> Path | None:
    """Return the model that was taught from a named collection. On a public page, each visitor has theirs as their own."""
    if belongs_to_session() or name not in collection_names():
        return None
    path = taught_file(collection_of(None, name))
    return path if path.is_file() else None


def finished_run(name: str) -> Run:
    """Open the run whose checkpoint is offered as ``name``, by its folder alone; raises `RequestError` if there is none."""
    folder = name.removeprefix(RUN)
    # Any folder that `list_runs` lists, since the user may have named it by --out; but a visitor's text never becomes a path.
    if name.startswith(RUN) and folder[:1] not in ("", ".") and Path(folder).name == folder:
        with suppress(ValueError):  # there is no run of this name, or no file can have it
            run = Run.open(runs_folder() / folder)
            if not run.status().is_active and run.best.is_file():
                return run
    raise _no_checkpoint(name)


def _no_checkpoint(name: str) -> RequestError:
    names = ", ".join([*bundled_checkpoints(), f"{RUN}NAME of a run that is over"])
    return RequestError(f"There is no checkpoint {name!r}; choose one of: {names}")


def check_own(path: str) -> Checkpoint:
    """Load a checkpoint that a visitor has uploaded.

    Raises
    ------
    RequestError
        If it is too large.
    CheckpointError
        If it is not a checkpoint of this project.
    """
    file = Path(path)
    _check_size(file.name, file.stat().st_size)
    return _load_file(file, own_choice(path))


def _check_size(name: str, size: int) -> None:
    if size > MAX_BYTES:
        raise RequestError(f"{name}: {size / 1e6:.0f} MB are more than the {MAX_BYTES / 1e6:.0f} MB that this page takes")


def _load_file(path: Path, name: str) -> Checkpoint:
    try:
        stamp = path.stat().st_mtime_ns
    except OSError as error:
        raise CheckpointError(f"{name} is no longer here; choose or upload another checkpoint") from error
    try:
        with _loading:
            checkpoint = _load(str(path), stamp)
    except CheckpointError as error:  # visitors do not see the server's folders
        raise CheckpointError(str(error).replace(str(path), path.name)) from error
    return replace(checkpoint, name=name)


@lru_cache(maxsize=4)
def _load(name_or_path: str, _stamp: int) -> Checkpoint:
    return load_checkpoint(name_or_path)


def answer(
    path: str | os.PathLike[str] | None,
    *,
    checkpoint: str | list[str] | None = None,
    vote: str | None = None,
    overlap: float | None = None,
    name: str | None = None,
    own: str | None = None,
    suppressed: bool = False,
    budget: Budget | None = None,
) -> Answer:
    """Classify an uploaded file, and keep its spectrogram for the figure.

    Parameters
    ----------
    path : path-like or None
        None if the upload did not arrive.
    checkpoint : str or list of str, optional
        One or several of `checkpoint_choices`, as in `checkpoint_named`.
    vote : str, optional
        One of `genre_app.vote.VOTES`.
    overlap : float, optional
        Share of a segment that neighbours have in common, 0 to 0.95; by default as the checkpoint was trained.
    name : str, optional
        Name of the clip; by default that of the file.
    own : str, optional
        Path of the visitor's own checkpoint.
    suppressed : bool
        The clip has gone through noise suppression.
    budget : Budget, optional
        Of the batch that the file belongs to; its length is taken off.

    Raises
    ------
    AudioError, CheckpointError, RequestError
        With one sentence for the visitor.
    """
    if path is None:
        raise RequestError("No audio arrived: choose a file, or record for at least a few seconds")
    name, vote = name or Path(path).name, vote or DEFAULT_VOTE
    if vote not in VOTES:
        raise RequestError(f"There is no vote {vote!r}; choose one of: {', '.join(VOTES)}")
    if overlap is not None and not 0.0 <= overlap <= MAX_OVERLAP:
        raise RequestError(f"The overlap must lie between 0 and {MAX_OVERLAP}, got {overlap:g}")
    chosen = checkpoint_named(checkpoint, own)
    if vote not in available_votes(chosen.references):
        raise RequestError(f"The checkpoint {chosen.name} has no reference tracks for the vote {vote!r}; choose another vote")
    try:
        _check_size(name, Path(path).stat().st_size)
    except OSError as error:
        raise RequestError(f"{name} is no longer here; upload it again") from error
    longest = longest_seconds(chosen, overlap)
    most = min(longest, budget.seconds) if budget is not None else longest
    if most <= 0:
        raise _too_long(name, 0.0, longest, budget)
    with open_audio(path, sample_rate=chosen.sample_rate, name=name, max_seconds=most) as stream:
        tap = OverviewTap(stream)
        try:
            # `classify` uses the name, the rate, the warnings and the blocks of a stream, all of which the tap has.
            prediction = classify(cast(AudioStream, tap), chosen, vote=vote, overlap=overlap, suppressed=suppressed)
        except AudioError as error:
            if stream.n_samples > most * stream.sample_rate:
                raise _too_long(name, most, longest, budget) from error
            raise
        finally:
            if budget is not None:  # decoding a file costs time even if it gets no answer
                budget.seconds -= stream.n_samples / stream.sample_rate
        return Answer(prediction, tap.overview())


def _too_long(name: str, most: float, longest: float, budget: Budget | None) -> RequestError:
    if budget is not None and most < longest:
        total = in_words(budget.total)
        return RequestError(f"{name}: one batch takes {total} of audio in all; classify this file in another batch")
    if longest < MAX_SECONDS:
        limit = in_words(longest)
        return RequestError(f"{name}: with this checkpoint and overlap, a clip may last {limit}; cut it or choose less overlap")
    return RequestError(f"{name}: the audio is longer than {in_words(MAX_SECONDS)}; cut it into shorter pieces")
