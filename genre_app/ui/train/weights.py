"""Starting weights: the choices of the form, and the checkpoint that each stands for."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from genre_app.checkpoint import bundled_checkpoints
from genre_app.ui.service import RUN, TAUGHT, RequestError, checkpoint_choices, finished_run
from genre_app.ui.train.fields import FormError

RANDOM = "random weights"
"""Choice of no checkpoint."""


def init_choices() -> list[str]:
    """Return the choices of starting weights: random, and the checkpoints that are bundled or belong to a run."""
    return [RANDOM, *(name for name in checkpoint_choices() if not name.startswith(TAUGHT))]


def init_from(choice: str | None) -> str | None:
    """Return the checkpoint of a choice for `genre_app.runs.request.Request`; None for random weights.

    Raises
    ------
    FormError
        If the choice is no longer there.
    """
    if choice is None or choice == RANDOM:
        return None
    if choice in bundled_checkpoints():
        return choice
    try:
        return str(finished_run(choice).best)
    except RequestError as error:
        raise FormError("init_from", f"There is no checkpoint {choice!r}; choose other starting weights") from error


def choice_of(checkpoint: str | None) -> str:
    """Return the choice that stands for the checkpoint of a request.

    Raises
    ------
    RequestError
        If none does, as for a file that a command has named.
    """
    if checkpoint is None:
        return RANDOM
    for choice in (checkpoint, RUN + Path(checkpoint).parent.name):
        with suppress(FormError):
            if init_from(choice) == checkpoint:
                return choice
    raise RequestError("This page does not offer the starting weights of that search; use its command in a terminal")
