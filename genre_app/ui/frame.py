"""What a tab receives when it is built: the page, and what other tabs have left for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import gradio as gr

Updates = dict[Any, Any]
"""What a handler changes on the page: new values or properties by component."""

PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "show_progress_on": ()}
"""Arguments of an event that is no endpoint of the API and shows no progress.

For each event that runs, gradio looks up in the tree of the page all components that have ever been the output of an event,
to show its progress on them. With the outputs of the form of the Train tab this took seconds of each visit.
"""

LAST: dict[str, Any] = {**PRIVATE, "trigger_mode": "always_last"}
"""Arguments of the event of a choice: one that is made while the choice before is on its way is not lost."""

_ASSETS = Path(__file__).parent / "assets"
_turns = count(1)


def assets(*names: str) -> str:
    """Return the text of scripts or style sheets, one after another."""
    return "".join((_ASSETS / name).read_text(encoding="utf-8") for name in names)


def in_queue(name: str, tell: str) -> dict[str, Any]:
    """Return arguments of an event that may wait for others, so that the visitor is told their place.

    Call it where a hidden component may be built. gradio writes the place into that component.

    Parameters
    ----------
    name : str
        Of the queue; the id of the component is ``queue-NAME``.
    tell : str
        JavaScript expression in which ``place`` is the place, such as "2 of 5".
    """
    script = f"genreApp.watchQueue(element.closest('#queue-{name}'), (place) => {tell})"
    place = gr.HTML("", elem_id=f"queue-{name}", js_on_load=script)
    return {"show_progress": "minimal", "show_progress_on": place}


def turn() -> int:
    """Return a new number each time: with it, a value differs from the one before, so that the change is noticed."""
    return next(_turns)


@dataclass
class Frame:
    """The page around the tab that is being built.

    Attributes
    ----------
    app : gr.Blocks
        Its ``load`` event occurs when a visitor opens the page.
    tabs : gr.Tabs
        The id of each tab is its label.
    tab : dict
        The tabs built so far and the one being built, by label. The ``select`` event occurs when a visitor opens it.
    parts : dict
        Components of a tab that later tabs read or fill, by a name that the tab has chosen.
    answering : list
        Set by the Classify tab: its events that a row of Batch cancels when it is opened there.
    classify_after : callable
        Set by the Classify tab: after an event that has opened this tab, classifies the loaded clip if a checkbox is ticked.
    redraw : gr.Button
        Set by the Classify tab: pressed by the page's script when the figures are to be drawn for another theme.
    """

    app: gr.Blocks
    tabs: gr.Tabs
    tab: dict[str, gr.Tab] = field(default_factory=dict)
    parts: dict[str, gr.components.Component | gr.blocks.BlockContext] = field(default_factory=dict)
    answering: list[Any] = field(default_factory=list)
    classify_after: Callable[[Any, gr.Checkbox], Any] = field(init=False)
    redraw: gr.Button = field(init=False)
