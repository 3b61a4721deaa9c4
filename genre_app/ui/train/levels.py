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

TYPICAL_TRACKS = 100
"""Number of songs for which a time is shown while the music is unknown."""


_OURS = "Ours"  # first word of the description of our recipes; the others begin with their source


@dataclass(frozen=True)
class Way:
    """How a choice trains: a recipe, the checkpoint that it begins with, and a line about it."""

    recipe: str
    about: str
    init_from: str | None = None


@dataclass(frozen=True)
class Level:
    """One of the three choices; ``tuned`` takes the place of ``way`` where the shipped network can be fine-tuned."""

    name: str
    way: Way
    tuned: Way | None = None


# By train/RESULTS.md, tracks kept apart: mlp 68.0 %, lstm 74.8 %, default 72.8 % and better on recordings. On 36 clips of 30 s,
# fine-tuned musicnn has 83 % and default 69 %.
LEVELS = (
    Level("Quick", Way("mlp", "A small network on statistics of the sound.")),
    Level("Balanced", Way("lstm", "A recurrent network. Usually more accurate.")),
    Level(
        "Best",
        Way("default", "Two kinds of network together, also trained for recordings."),
        Way("transfer", "Fine-tunes a network that already knows much music.", DEFAULT_CHECKPOINT),
    ),
)


def way_of(level: str, seen: Survey) -> Way:
    """Return how a choice trains on this music.

    A pre-trained network needs audio. It is not used for GTZAN: it has learned from these tracks, so it would be judged by what
    it knows.
    """
    found = next(one for one in LEVELS if one.name == level)
    if found.tuned is None or seen.kind in ("spectrograms", "table") or seen.gtzan:
        return found.way
    return found.tuned if found.tuned.init_from in bundled_checkpoints() else found.way


def initial_of(recipe: str) -> str | None:
    """Return the checkpoint with which a recipe of a choice begins; None for random weights."""
    tuned = [level.tuned for level in LEVELS if level.tuned is not None and level.tuned.recipe == recipe]
    return next((way.init_from for way in tuned if way.init_from in bundled_checkpoints()), None)


def level_of(recipe: str, init_from: str | None, seen: Survey) -> str | None:
    """Return the choice that trains by this recipe from these initial weights; None if it is none of the three."""
    for level in LEVELS:
        way = way_of(level.name, seen)
        if (way.recipe, way.init_from) == (recipe, init_from):
            return level.name
    return None


def choices(seen: Survey) -> list[tuple[str, str]]:
    """Return label and value of each choice; a label has three lines: the name, the time and what it is."""
    return [(f"{level.name}\n{_time(level.name, seen)}\n{way_of(level.name, seen).about}", level.name) for level in LEVELS]


def _time(level: str, seen: Survey) -> str:
    recipe = way_of(level, seen).recipe
    if seen.tracks is None:
        # The speed of a GPU that a Space lends is unknown, and nothing is measured before a visitor names music.
        return f"typically {duration(estimated_seconds(recipe, TYPICAL_TRACKS, speed=1.0))} for {TYPICAL_TRACKS} songs"
    speed = 1.0 if is_zero() else None
    return f"about {duration(estimated_seconds(recipe, seen.tracks, speed=speed))} for {seen.tracks:,} songs"


def recipe_choices() -> list[tuple[str, str]]:
    """Return label and name of each recipe: ours first, then the published systems by source, such as ``KTH: kth-cnn``."""
    groups = {name: re.split(r" \(|[:,]", describe_recipe(name))[0] for name in recipe_names()}
    ours = [(name, name) for name, group in groups.items() if group == _OURS]
    published = sorted((group, name) for name, group in groups.items() if group != _OURS)
    return [*ours, *((f"{group}: {name}", name) for group, name in published)]
