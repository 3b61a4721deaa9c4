"""What the Classify tab offers below an answer: to explain it, and to change the sound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from genre_app.ui.classify import what_if, why
from genre_app.ui.classify.what_if import WhatIf
from genre_app.ui.classify.why import Why
from genre_app.ui.frame import PRIVATE, Updates

# Explanations take seconds of both cores, so no more than two visitors get one at the same time.
_HEAVY: dict[str, Any] = {**PRIVATE, "concurrency_id": "explain", "concurrency_limit": 2}


class More:
    """The two accordions. The constructor adds them to the page; they are hidden until there is an answer."""

    def __init__(self) -> None:
        self.why = Why()
        self.what_if = WhatIf()

    def all(self) -> list[Any]:
        """Return every component, for ``outputs``."""
        return [*self.why.all(), *self.what_if.all()]

    def closed(self, *, visible: bool) -> Updates:
        """Return updates that close and empty both, because the answer is another one."""
        return {**self.why.closed(visible=visible), **self.what_if.closed(visible=visible)}

    def offered(self) -> Updates:
        """Return updates that show both, closed as they are."""
        return {part.accordion: gr.Accordion(visible=True) for part in (self.why, self.what_if)}


def connect(more: More, clip: Sequence[Any], answer: gr.State, redraw: gr.Button) -> list[Any]:
    """Connect both accordions.

    Parameters
    ----------
    more : More
    clip : sequence of gradio.components.Component
        The clip, the checkpoint, and the visitor's own checkpoint.
    answer : gradio.State
        The `Answer` for the clip.
    redraw : gradio.Button
        As `genre_app.ui.frame.Frame.redraw`.

    Returns
    -------
    list
        The events that another answer must cancel.
    """
    return [*_connect_why(more.why, clip, answer, redraw), *_connect_what_if(more.what_if, clip, answer, redraw)]


def _connect_why(parts: Why, clip: Sequence[Any], answer: gr.State, redraw: gr.Button) -> list[Any]:
    view = gr.JSON(visible=False)
    redraw.click(why.figure, [parts.found, view], parts.figure, js='(found, _) => [found, genreApp.view("#why")]', **PRIVATE)
    return [
        parts.accordion.expand(
            parts.explained,
            [*clip, answer, parts.found, view],
            parts.all(),
            js='(...values) => [...values.slice(0, 5), genreApp.view("#why")]',
            **_HEAVY,
        ),
        parts.genre.input(parts.heard, [*clip, parts.found, parts.genre], parts.all(), trigger_mode="always_last", **_HEAVY),
    ]


def _connect_what_if(parts: WhatIf, clip: Sequence[Any], answer: gr.State, redraw: gr.Button) -> list[Any]:
    view = gr.JSON(visible=False)
    wide = 'genreApp.view("#what-if")'
    redraw.click(what_if.figure, [parts.along, view], parts.figure, js=f"(along, _) => [along, {wide}]", **PRIVATE)
    common: dict[str, Any] = {
        "outputs": parts.all(),
        "js": f"(...values) => [...values.slice(0, 6), {wide}]",
        "trigger_mode": "always_last",
        **_HEAVY,
    }
    following, hearing = [parts.accordion.expand, parts.change.input], [parts.slider.release, parts.button.click]
    return [
        gr.on(following, parts.followed, [*clip, answer, parts.change, parts.along, view], **common),
        gr.on(hearing, parts.heard, [*clip, answer, parts.along, parts.slider, view], **common),
    ]
