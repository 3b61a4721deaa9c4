"""What tabs know of the page and of each other while it is built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gradio as gr


@dataclass
class Frame:
    """The page around a tab that is being built.

    Attributes
    ----------
    app : gr.Blocks
        For its ``load`` event.
    tabs : gr.Tabs
        Each tab's id is its name.
    tab : dict
        The tabs so far, by name.
    parts : dict
        Components that other tabs fill, by a name that their own tab has given them.
    classify_after : callable
        Has the loaded clip, if there is one, classified after an event, if a checkbox is ticked by then.
    """

    app: gr.Blocks
    tabs: gr.Tabs
    tab: dict[str, gr.Tab] = field(default_factory=dict)
    parts: dict[str, gr.components.Component | gr.blocks.BlockContext] = field(default_factory=dict)
    classify_after: Callable[[Any, gr.Checkbox], Any] | None = None
