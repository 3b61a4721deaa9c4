"""What if: the answers along a change of the sound, such as its pitch, and the changed sound to hear."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from html import escape
from itertools import groupby
from typing import Any

import gradio as gr
import numpy as np

from genre_app.explain import CHANGES, answer, changed, what_if
from genre_app.prediction import Prediction
from genre_app.ui import cards
from genre_app.ui.classify import excerpt
from genre_app.ui.classify.drawings import draw_change, within
from genre_app.ui.figures import to_url
from genre_app.ui.frame import Updates
from genre_app.ui.player import native_player
from genre_app.ui.service import PROBLEMS, Answer, RequestError

_SHOWN = 4
"""Genres that are drawn."""

_PROBLEM = "No answers"
_CHOICES = [(change.label, name) for name, change in CHANGES.items()]
_FIRST = next(iter(CHANGES))


@dataclass(frozen=True, eq=False)
class Along:
    """The answers along a change.

    Attributes
    ----------
    change : str
        One of `genre_app.explain.CHANGES`.
    answers : tuple of (Prediction or None)
        For each of the change's values.
    about : str
        Which part of a longer clip is meant; empty for all of it.
    at : float or None
        The slider's value that was heard last.
    """

    change: str
    answers: tuple[Prediction | None, ...]
    about: str
    at: float | None = None


class WhatIf:
    """The components of the change. The constructor adds them to the page, in an accordion that is hidden at first."""

    def __init__(self) -> None:
        with gr.Accordion("What if it sounded different?", open=False, visible=False, elem_id="what-if") as self.accordion:
            self.change = gr.Radio(_CHOICES, value=_FIRST, label="Change", elem_id="what-if-change")
            self.said = gr.HTML(elem_id="what-if-said")
            self.figure = gr.HTML(elem_id="what-if-figure")
            with gr.Column(visible=False) as self.hear:
                self.slider = gr.Slider(**_slider(_FIRST), elem_id="what-if-value")
                self.button = gr.Button("Hear it", size="sm")
                self.player = native_player("Changed sound", "what-if-sound", visible=False, elem_classes="heard")
                self.words = gr.HTML(elem_id="what-if-words")
        self.along = gr.State(None)

    def all(self) -> list[Any]:
        """Return every component, for ``outputs``."""
        return list(vars(self).values())

    def closed(self, *, visible: bool) -> Updates:
        """Return updates that close and empty the accordion, because the answer is another one."""
        return {self.accordion: gr.Accordion(open=False, visible=visible), **self.emptied()}

    def emptied(self) -> Updates:
        """Return updates that remove what an earlier change has shown."""
        return {
            self.said: "",
            self.figure: "",
            self.hear: gr.Column(visible=False),
            self.player: gr.Audio(None, visible=False),
            self.words: "",
            self.along: None,
        }

    def followed(
        self,
        path: str | None,
        checkpoint: list[str],
        own: str | None,
        state: Answer | None,
        name: str,
        along: Along | None,
        view: Any,
    ) -> Iterator[Updates]:
        """Classify the clip at each value of the chosen change, and draw the answers; nothing is computed twice."""
        if along is not None and along.change == name:
            yield {self.said: gr.skip()}
            return
        values, answers = CHANGES[name].values, []
        yield {**self.emptied(), self.said: cards.progress(0, len(values), 0)}
        try:
            chosen, prediction, clip = excerpt.asked(path, checkpoint, own, state.prediction if state else None)
            for found in what_if(clip, chosen, name, values, vote=prediction.vote):
                answers.append(found)
                yield {self.said: cards.progress(len(answers), len(values), 0)}
        except PROBLEMS as error:
            yield {self.said: cards.problem(cards.told(error), _PROBLEM)}
            return
        along = Along(name, tuple(answers), excerpt.of_which(prediction))
        yield {
            self.said: f'<p role="status">{escape(leaders(along))}</p>',
            self.figure: figure(along, view),
            self.hear: gr.Column(visible=True),
            self.slider: gr.Slider(**_slider(name)),
            self.along: along,
        }

    def heard(
        self,
        path: str | None,
        checkpoint: list[str],
        own: str | None,
        state: Answer | None,
        along: Along | None,
        value: float,
        view: Any,
    ) -> Iterator[Updates]:
        """Play the sound at the slider's value, and say how it is classified."""
        yield {self.words: cards.remark("Changing the sound …")}
        try:
            if along is None:
                raise RequestError("Choose a change first")
            chosen, prediction, clip = excerpt.asked(path, checkpoint, own, state.prediction if state else None)
            values = CHANGES[along.change].values
            value = float(np.clip(value, values[0], values[-1]))
            sound = changed(clip, along.change, value)
            found = answer(sound, chosen, prediction.vote)
        except PROBLEMS as error:
            yield {self.words: cards.problem(cards.told(error), _PROBLEM)}
            return
        along = replace(along, at=value)
        yield {
            self.player: gr.Audio(excerpt.playable(sound, f"{along.change} {value:g}"), visible=True),
            self.words: f'<p class="heard-as" role="status">At {shown(value)}: {excerpt.words(found)}</p>',
            self.figure: figure(along, view),
            self.along: along,
        }


def _slider(name: str) -> dict[str, Any]:
    change = CHANGES[name]
    low, high = change.values[0], change.values[-1]
    label = f"{change.label}, {change.unit}"
    return {"minimum": low, "maximum": high, "value": change.neutral, "step": change.step, "label": label, "interactive": True}


def figure(along: Along | None, view: Any) -> str:
    """Draw the figure for a visitor's page; empty if there are no answers to draw."""
    if along is None or not (drawn_curves := curves(along)):
        return ""
    change = CHANGES[along.change]
    at = None if along.at is None else float(np.interp(along.at, change.values, range(len(change.values))))
    drawn = draw_change(
        [shown(value) for value in change.values],
        f"{change.label}, {change.unit}",
        drawn_curves,
        [((first + last) / 2, words) for first, last, words, is_drawn in _runs(along) if not is_drawn],
        change.values.index(change.neutral),
        at,
        within(view),
    )
    return cards.image(to_url(drawn), f"Probabilities of the genres along the change. {leaders(along)}")


def curves(along: Along) -> dict[str, list[float]]:
    """Return the probabilities of the most probable genres along the change, the first one first; NaN without an answer."""
    answers = along.answers
    known = [one for one in answers if one is not None and one.is_music]
    if not known:
        return {}
    best = np.stack([one.probabilities for one in known]).max(axis=0)
    order = np.argsort(-best, kind="stable")[:_SHOWN]
    return {
        known[0].genres[index]: [
            float(one.probabilities[index]) if one is not None and one.is_music else float("nan") for one in answers
        ]
        for index in order
    }


def leaders(along: Along) -> str:
    """Return a sentence that names the genre along the change."""
    change = CHANGES[along.change]
    parts = []
    for first, last, words, _ in _runs(along):
        low, high = (shown(change.values[place]) for place in (first, last))
        parts.append(f"{words} at {low}" if first == last else f"{words} from {low} to {high}")
    return f"{change.label}, {change.unit}: {', '.join(parts)}.{along.about}"


def _runs(along: Along) -> list[tuple[int, int, str, bool]]:
    """Return runs of values with the same outcome: first, last, words, and whether the curves have probabilities there."""
    found, place = [], 0
    for (words, is_drawn), group in groupby(_outcome(one) for one in along.answers):
        n = len(list(group))
        found.append((place, place + n - 1, words, is_drawn))
        place += n
    return found


def _outcome(found: Prediction | None) -> tuple[str, bool]:
    if found is None:
        return "nothing to hear", False
    if found.rejected is None:
        return found.guess, True
    return excerpt.REJECTIONS[found.rejected], found.is_music


def shown(value: float) -> str:
    """Write a value of a change with a proper minus."""
    return f"{value:g}".replace("-", "−")
