"""The three choices with which the Train tab opens: Quick, Balanced and Best. Each is a recipe and the time that it takes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from genre_app.checkpoint import DEFAULT_CHECKPOINT, bundled_checkpoints
from genre_app.runs.estimate import estimated_seconds
from genre_app.runs.recipes import describe_recipe, recipe_names
from genre_app.runs.zerogpu import is_zero
from genre_app.ui.train.markup import duration
from genre_app.ui.train.survey import Survey

_TYPICAL_TRACKS = 100  # for which a time is shown while the music is unknown
_OURS = "Ours"  # first word of the description of our recipes; the others begin with their source

LEVELS = ("Quick", "Balanced", "Best")
"""The choices, in the order of the page."""


@dataclass(frozen=True)
class Way:
    """How a choice may train: by a recipe, from a checkpoint or random weights; ``about`` is a line for the page."""

    level: str
    recipe: str
    about: str
    init_from: str | None = None


# By train/RESULTS.md, tracks kept apart: mlp 68.0 %, lstm 74.8 %, default 72.8 % and better on recordings. On 12 s of each
# of 36 clips, fine-tuned musicnn has 83 % and default 69 %.
_WAYS = (
    Way("Quick", "mlp", "A small network on statistics of the sound."),
    Way("Balanced", "lstm", "A recurrent network. Usually more accurate."),
    Way("Best", "transfer", "Fine-tunes a network that already knows much music.", DEFAULT_CHECKPOINT),
    Way("Best", "default", "Two kinds of network together, also trained for recordings."),  # where the first cannot be used
)


def way_of(level: str, seen: Survey) -> Way:
    """Return how a choice trains on this music.

    A pre-trained network needs audio. It is not used for GTZAN: it has learned from these tracks, so it would be judged by what
    it knows.
    """
    can_tune = seen.kind not in ("spectrograms", "table") and not seen.gtzan
    usable = (None, *bundled_checkpoints()) if can_tune else (None,)
    return next(way for way in _WAYS if way.level == level and way.init_from in usable)


def initial_of(recipe: str) -> str | None:
    """Return the checkpoint with which a recipe of a choice begins; None for random weights."""
    return next((way.init_from for way in _WAYS if way.recipe == recipe and way.init_from in bundled_checkpoints()), None)


def level_of(recipe: str, init_from: str | None, seen: Survey) -> str | None:
    """Return the choice that trains by this recipe from these initial weights; None if it is none of the three."""
    ways = [way_of(level, seen) for level in LEVELS]
    return next((way.level for way in ways if (way.recipe, way.init_from) == (recipe, init_from)), None)


def choices(seen: Survey) -> list[tuple[str, str]]:
    """Return label and value of each choice; a label has three lines: the name, the time and what it is."""
    ways = [way_of(level, seen) for level in LEVELS]
    return [(f"{way.level}\n{_time(way.recipe, seen)}\n{way.about}", way.level) for way in ways]


def _time(recipe: str, seen: Survey) -> str:
    if seen.tracks is None:
        # The speed of a GPU that a Space lends is unknown, and nothing is measured before a visitor names music.
        return f"typically {duration(estimated_seconds(recipe, _TYPICAL_TRACKS, speed=1.0))} for {_TYPICAL_TRACKS} songs"
    speed = 1.0 if is_zero() else None
    return f"about {duration(estimated_seconds(recipe, seen.tracks, speed=speed))} for {seen.tracks:,} songs"


def recipe_choices() -> list[tuple[str, str]]:
    """Return label and name of each recipe: ours first, then the published systems by source, such as ``KTH: kth-cnn``."""
    groups = {name: re.split(r" \(|[:,]", describe_recipe(name))[0] for name in recipe_names()}
    ours = [(name, name) for name, group in groups.items() if group == _OURS]
    published = sorted((group, name) for name, group in groups.items() if group != _OURS)
    return [*ours, *((f"{group}: {name}", name) for group, name in published)]
