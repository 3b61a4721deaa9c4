"""Why this answer: the parts of the sound that speak for the winner and for the runner-up, to see and to hear."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Any

import gradio as gr

from genre_app.audio import Clip
from genre_app.checkpoint import Checkpoint
from genre_app.explain import Explanation, answer, at_once, explain, hertz, mask_audio
from genre_app.prediction import Prediction
from genre_app.ui import cards
from genre_app.ui.classify import excerpt
from genre_app.ui.classify.drawings import draw_parts, within
from genre_app.ui.figures import clock, to_url
from genre_app.ui.frame import Updates
from genre_app.ui.overview import Overview, OverviewTap
from genre_app.ui.player import native_player
from genre_app.ui.service import PROBLEMS, Answer

_LOOKING = "Removing one part of the sound after another, to see which ones decide …"
_HOW = "Outlined: the parts whose removal lowers this genre most, at most a fifth of the sound. The rest is darkened."
_PROBLEM = "No explanation"


@dataclass(frozen=True, eq=False)
class Found:
    """What an explanation shows.

    Attributes
    ----------
    prediction : Prediction
        The answer that is explained.
    explanation : Explanation
        Of the excerpt.
    overview : Overview
        Of the excerpt.
    """

    prediction: Prediction
    explanation: Explanation
    overview: Overview

    @property
    def genres(self) -> list[str]:
        """The winner and the runner-up."""
        return [genre for genre, _ in self.prediction.ranked(2)]

    @property
    def sentences(self) -> list[str]:
        """What speaks most for each of them."""
        return [decisive(self.explanation, genre, self.start_seconds) for genre in self.genres]

    @cached_property
    def start_seconds(self) -> float:
        """Start of the excerpt in the clip."""
        return excerpt.stretch(self.prediction)[0]


class Why:
    """The components of the explanation. The constructor adds them to the page, in an accordion that is hidden at first."""

    def __init__(self) -> None:
        with gr.Accordion("Why this answer?", open=False, visible=False, elem_id="why") as self.accordion:
            self.said = gr.HTML(elem_id="why-said")
            self.figure = gr.HTML(elem_id="why-figure")
            with gr.Column(visible=False) as self.sounds:
                self.genre = gr.Radio([], label="Hear the parts that speak for", elem_id="why-genre")
                with gr.Row():
                    with gr.Column(min_width=240):
                        self.only, self.only_words = _lay_out_player("Only these parts", "why-only")
                    with gr.Column(min_width=240):
                        self.without, self.without_words = _lay_out_player("Without these parts", "why-without")
        self.found = gr.State(None)

    def all(self) -> list[Any]:
        """Return every component, for ``outputs``."""
        return list(vars(self).values())

    def closed(self, *, visible: bool) -> Updates:
        """Return updates that close and empty the accordion, because the answer is another one."""
        return {
            self.accordion: gr.Accordion(open=False, visible=visible),
            self.said: "",
            self.figure: "",
            self.sounds: gr.Column(visible=False),
            self.only: None,
            self.without: None,
            self.found: None,
        }

    def explained(
        self, path: str | None, checkpoint: list[str], own: str | None, state: Answer | None, found: Found | None, view: Any
    ) -> Iterator[Updates]:
        """Fill the accordion when it is opened: first the figure, then the sound; nothing is computed twice."""
        if found is not None:
            yield {self.said: gr.skip()}
            return
        yield {self.said: cards.remark(_LOOKING)}
        try:
            chosen, prediction, clip = excerpt.asked(path, checkpoint, own, state.prediction if state else None)
            found = Found(prediction, explain(clip, chosen), _overview(clip))
            yield {self.said: summary(found), self.figure: figure(found, view), self.found: found}
            first = found.genres[0]
            yield {self.genre: gr.Radio(found.genres, value=first), **self._sounds(found, clip, chosen, first)}
        except PROBLEMS as error:
            yield {self.said: cards.problem(cards.told(error), _PROBLEM), self.figure: ""}

    def heard(
        self, path: str | None, checkpoint: list[str], own: str | None, found: Found | None, genre: str
    ) -> Iterator[Updates]:
        """Fill the players with the parts that speak for another genre."""
        if found is None:
            yield {self.only: gr.skip()}
            return
        yield dict.fromkeys([self.only_words, self.without_words], cards.remark("Listening …"))
        try:
            chosen, _, clip = excerpt.asked(path, checkpoint, own, found.prediction)
            yield self._sounds(found, clip, chosen, genre)
        except PROBLEMS as error:
            yield {self.said: cards.problem(cards.told(error), _PROBLEM)}

    def _sounds(self, found: Found, clip: Clip, checkpoint: Checkpoint, genre: str) -> Updates:
        mask, grid = found.explanation.marked(genre), found.explanation.grid
        sounds = [mask_audio(clip, grid, mask, keep=keep) for keep in (True, False)]
        answers = at_once(lambda sound: answer(sound, checkpoint, found.prediction.vote), sounds)
        only, without = (f'<p class="heard-as" role="status">Answer: {excerpt.words(heard_as)}</p>' for heard_as in answers)
        return {
            self.sounds: gr.Column(visible=True),
            self.only: gr.Audio(excerpt.playable(sounds[0], f"only {genre}")),
            self.only_words: only,
            self.without: gr.Audio(excerpt.playable(sounds[1], f"without {genre}")),
            self.without_words: without,
        }


def _lay_out_player(label: str, name: str) -> tuple[gr.Audio, gr.HTML]:
    player = native_player(label, name, elem_classes="heard")
    return player, gr.HTML(elem_id=f"{name}-words")


def figure(found: Found | None, view: Any) -> str:
    """Draw the figure for a visitor's page."""
    if found is None:
        return ""
    explanation = found.explanation
    marked = {f"Parts that speak for {genre}": explanation.marked(genre) for genre in found.genres}
    drawn = draw_parts(found.overview, explanation.grid, marked, found.start_seconds, within(view))
    return cards.image(to_url(drawn), " ".join(["Spectrograms with the decisive parts outlined.", *found.sentences]))


def summary(found: Found) -> str:
    """Say in words which parts decide."""
    items = "".join(f"<li>{escape(words)}</li>" for words in found.sentences)
    about = escape(_HOW + excerpt.of_which(found.prediction))
    return f'<div role="status"><ul class="decisive">{items}</ul><p class="remark">{about}</p></div>'


def decisive(explanation: Explanation, genre: str, start_seconds: float = 0.0) -> str:
    """Return a sentence with the bands and the moment that speak most for a genre."""
    bands = explanation.bands(genre)
    if not bands:
        return f"{genre}: no part of the sound speaks for it."
    ranges = " and ".join(f"{hertz(low)} to {hertz(high)}" for low, high in bands)
    begin, end = (round(start_seconds + seconds, 1) for seconds in explanation.moment(genre))
    total = start_seconds + float(explanation.grid.times[-1])
    unit = " s" if total < 60 else ""
    return f"{genre}: mostly {ranges}, most at {clock(begin, total)} to {clock(end, total)}{unit}."


def _overview(clip: Clip) -> Overview:
    tap = OverviewTap(clip)
    for _ in tap.blocks():
        pass
    return tap.overview()
