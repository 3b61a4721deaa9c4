"""HTML of a collection: one card for each genre, one chip for each clip. Text from visitors and files is escaped."""

from __future__ import annotations

from collections.abc import Collection as Container
from datetime import datetime
from html import escape
from pathlib import PurePath

from genre_app.data.collection import CollectedClip, Contents
from genre_app.ui.frame import turn

ENOUGH_CLIPS = 5
ENOUGH_GENRES = 2
"""Genres with `ENOUGH_CLIPS` clips each that are enough to try."""

SHOWN_CLIPS = 24
"""Chips of a card until it is expanded."""

MAX_SHOWN_CLIPS = 480
"""Chips of an expanded card; more would make the page slow."""

MICROPHONE = "microphone"
"""Source of a recorded clip."""

_NAME_LETTERS = 28
_EMPTY = "Add your first genre, then record music for it or drop files on its card."


def board(contents: Contents, expanded: Container[str] = (), name: str = "") -> str:
    """Return the cards of a collection.

    Parameters
    ----------
    contents : Contents
    expanded : container of str
        Genres of which more than `SHOWN_CLIPS` clips are shown.
    name : str
        Name of the collection, if there are several.
    """
    cards = "".join(
        _card(genre, clips, is_none=genre in contents.none_of_these, is_expanded=genre in expanded)
        for genre, clips in contents.genres.items()
    )
    # The number makes each answer differ from the one before, so that the browser notices that it has arrived.
    return f"""<div class="collect" data-turn="{turn()}">
<form class="new-genre"><label for="new-genre">Add a genre</label>
<input id="new-genre" maxlength="40" autocomplete="off" placeholder="for example, bossa nova"><button>Add genre</button></form>
<p class="collect-sum">{f"<b>{escape(name)}:</b> " if name else ""}{summary(contents) if contents.genres else _EMPTY}</p>
<div class="genre-cards">{cards}</div></div>"""


def summary(contents: Contents) -> str:
    """Return the number and length of the clips, and what is missing, as HTML."""
    n_clips, n_genres = len(contents.clips), len(contents.genres)
    sizes = f"{number(n_clips, 'clip')}, {length(contents.seconds)}, in {number(n_genres, 'genre')}."
    return f"<b>{sizes}</b> {escape(missing(contents))}"


def missing(contents: Contents) -> str:
    """Say what a collection needs before it is enough to try."""
    rule = f"{ENOUGH_GENRES} genres with {ENOUGH_CLIPS} clips each are enough to try"
    fullest = sorted(contents.genres.items(), key=lambda item: -len(item[1]))[:ENOUGH_GENRES]
    needs = [
        f"{genre} needs {number(ENOUGH_CLIPS - len(clips), 'more clip')}"
        for genre, clips in fullest
        if len(clips) < ENOUGH_CLIPS
    ]
    if len(fullest) < ENOUGH_GENRES:
        needs.append("add another genre" if fullest else "add a genre")
    return f"{rule}: {', '.join(needs)}." if needs else "✓ Enough to try. More clips give better answers."


def length(seconds: float) -> str:
    """Write the length of clips: ``48 s``, ``3 min 20 s``, ``1 h 5 min``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _card(genre: str, clips: list[CollectedClip], *, is_none: bool, is_expanded: bool) -> str:
    name = escape(genre)
    shown = clips[::-1][: MAX_SHOWN_CLIPS if is_expanded else SHOWN_CLIPS]  # the latest first
    hidden = len(clips) - len(shown)
    more = f"Show all {len(clips)} clips" if len(clips) <= MAX_SHOWN_CLIPS else f"Show the latest {MAX_SHOWN_CLIPS}"
    less = is_expanded and len(clips) > SHOWN_CLIPS
    expand = (
        f'<button type="button" class="expand" aria-expanded="{str(less).lower()}">{"Show fewer" if less else more}</button>'
        if hidden or less
        else ""
    )
    lacks = ENOUGH_CLIPS - len(clips)
    state = f"needs {number(lacks, 'more clip')}" if lacks > 0 else "✓ enough to try"
    chips = "".join(map(_chip, shown))
    about = "Music that sounds like this gets no genre. Use it for what your genres leave out, such as talk or other music."
    return f"""<section class="genre-card" data-genre="{name}" aria-label="{name}">
<header><h3>{name}</h3><button type="button" class="rename" aria-label="Rename {name}">Rename</button>
<button type="button" class="remove" aria-label="Remove {name}" data-clips="{len(clips)}">Remove</button></header>
<p class="size">{number(len(clips), "clip")} · {length(sum(clip.seconds for clip in clips))} · {state}</p>
<div class="tools"><button type="button" class="take" aria-label="Record for {name}">● Record</button>
<button type="button" class="choose" aria-label="Add files to {name}"
title="Drop files on this card, or choose them">+ Add files</button></div>
<ul class="chips">{chips}</ul>{expand}
<label class="none" title="{about}"><input type="checkbox"{" checked" if is_none else ""}> None of these</label>
{f'<p class="about">{about}</p>' if is_none else ""}</section>"""


def _chip(clip: CollectedClip) -> str:
    name, seconds = escape(shown_name(clip)), f"{clip.seconds:.0f} s"
    differs = clip.answer and clip.answer != clip.genre
    mark = f'<i title="{escape(answer_then(clip))}">≠ {escape(clip.answer)}</i>' if differs else ""
    return (
        f'<li data-clip="{escape(clip.id)}"><button type="button" class="play" title="{_title(clip)}">'
        f"<b>{name}</b> {seconds}{mark}</button>"
        f'<button type="button" class="more" aria-label="Move or delete {name}">⋯</button></li>'
    )


def answer_then(clip: CollectedClip) -> str:
    """Say what the answer was when the clip was added."""
    return f"The answer was {clip.answer}, {100 * clip.probability:.0f} % ({clip.checkpoint or 'unknown'} checkpoint)"


def shown_name(clip: CollectedClip) -> str:
    """Return a short name of a clip: of its file, or the time of its recording."""
    if clip.source == MICROPHONE:
        return f"Recording {_when(clip, '%H:%M')}".strip()
    name = PurePath(clip.source or clip.id).name
    return name if len(name) <= _NAME_LETTERS else f"{name[: _NAME_LETTERS - 9]}…{name[-8:]}"


def _title(clip: CollectedClip) -> str:
    words = [f"Play {clip.source or clip.id}", _when(clip, "added %Y-%m-%d %H:%M"), answer_then(clip) if clip.answer else ""]
    return escape("; ".join(filter(None, words)))


def _when(clip: CollectedClip, pattern: str) -> str:
    try:
        return datetime.fromisoformat(clip.date).astimezone().strftime(pattern)
    except (ValueError, OverflowError):
        return ""


def number(n: int, what: str) -> str:
    """Write a number of things: ``1 clip``, ``2 clips``."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
