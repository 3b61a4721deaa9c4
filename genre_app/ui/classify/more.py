"""What the Classify tab offers below an answer: to explain it, and to change the sound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from genre_app.ui.classify import what_if, why
from genre_app.ui.classify.what_if import WhatIf
from genre_app.ui.classify.why import Why
from genre_app.ui.frame import PRIVATE

Updates = dict[Any, Any]

# Explanations take seconds of both cores, so no more than two visitors get one at the same time.
_HEAVY: dict[str, Any] = {**PRIVATE, "concurrency_id": "explain", "concurrency_limit": 2}


@dataclass(frozen=True)
class More:
    """The two accordions."""

    why: Why
    what_if: WhatIf

    def all(self) -> list[Any]:
        """Return every component, for ``outputs``."""
        return [*self.why.all(), *self.what_if.all()]

    def closed(self, *, visible: bool) -> Updates:
        """Return updates that close and empty both, because the answer is another one."""
        return {**self.why.closed(visible=visible), **self.what_if.closed(visible=visible)}

    def offered(self) -> Updates:
        """Return updates that show both, closed as they are."""
        return {part.accordion: gr.Accordion(visible=True) for part in (self.why, self.what_if)}


@dataclass(frozen=True)
class Asked:
    """The components that say what is to be explained: the clip, the checkpoint and the answer."""

    audio: gr.Audio
    checkpoint: gr.Dropdown
    own: gr.State
    answer: gr.State


def lay_out() -> More:
    """Lay out both accordions; they are hidden until there is an answer."""
    return More(why.lay_out(), what_if.lay_out())


def connect(more: More, asked: Asked, redraw: gr.Button) -> list[Any]:
    """Connect both accordions; return the events that another answer must cancel."""
    return [*_connect_why(more.why, asked, redraw), *_connect_what_if(more.what_if, asked, redraw)]


def _connect_why(parts: Why, asked: Asked, redraw: gr.Button) -> list[Any]:
    view = gr.JSON(visible=False)

    def explained(*values: Any) -> Iterator[Updates]:
        yield from why.explained(parts, *values)

    def heard(*values: Any) -> Iterator[Updates]:
        yield from why.heard(parts, *values)

    given = [asked.audio, asked.checkpoint, asked.own]
    redraw.click(why.figure, [parts.found, view], parts.figure, js='(found, _) => [found, genreApp.view("#why")]', **PRIVATE)
    return [
        parts.accordion.expand(
            explained,
            [*given, asked.answer, parts.found, view],
            parts.all(),
            js='(...values) => [...values.slice(0, 5), genreApp.view("#why")]',
            **_HEAVY,
        ),
        parts.genre.input(heard, [*given, parts.found, parts.genre], parts.all(), trigger_mode="always_last", **_HEAVY),
    ]


def _connect_what_if(parts: WhatIf, asked: Asked, redraw: gr.Button) -> list[Any]:
    view = gr.JSON(visible=False)

    def followed(*values: Any) -> Iterator[Updates]:
        yield from what_if.followed(parts, *values)

    def heard(*values: Any) -> Iterator[Updates]:
        yield from what_if.heard(parts, *values)

    given = [asked.audio, asked.checkpoint, asked.own, asked.answer]
    wide = 'genreApp.view("#what-if")'
    redraw.click(what_if.figure, [parts.along, view], parts.figure, js=f"(along, _) => [along, {wide}]", **PRIVATE)
    return [
        gr.on(
            [parts.accordion.expand, parts.change.input],
            followed,
            [*given, parts.change, parts.along, view],
            parts.all(),
            js=f"(...values) => [...values.slice(0, 6), {wide}]",
            trigger_mode="always_last",
            **_HEAVY,
        ),
        gr.on(
            [parts.slider.release, parts.button.click],
            heard,
            [*given, parts.along, parts.slider, view],
            parts.all(),
            js=f"(...values) => [...values.slice(0, 6), {wide}]",
            trigger_mode="always_last",
            **_HEAVY,
        ),
    ]
