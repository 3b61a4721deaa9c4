"""Why this answer: the parts of the sound that speak for the winner and for the runner-up, to see and to hear."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, fields
from html import escape
from typing import Any

import gradio as gr

from genre_app.audio import Clip
from genre_app.checkpoint import Checkpoint
from genre_app.explain import Explanation, answer, at_once, explain, hertz, mask_audio
from genre_app.prediction import Prediction
from genre_app.ui import cards
from genre_app.ui.classify import excerpt
from genre_app.ui.classify.drawings import Marked, draw_parts, within
from genre_app.ui.figures import clock, to_webp
from genre_app.ui.overview import Overview, OverviewTap
from genre_app.ui.service import PROBLEMS, Answer, checkpoint_named

Updates = dict[Any, Any]

_LOOKING = "Removing one part of the sound after another, to see which ones decide …"
_HOW = "Outlined: the parts whose removal lowers this genre most, at most a fifth of the sound. The rest is darkened."
_PROBLEM = "No explanation"
_HEARD = ("only", "without")  # names of the players' files


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


@dataclass(frozen=True)
class Why:
    """The components of the explanation."""

    accordion: gr.Accordion
    said: gr.HTML
    figure: gr.HTML
    sounds: gr.Column
    genre: gr.Radio
    only: gr.Audio
    only_words: gr.HTML
    without: gr.Audio
    without_words: gr.HTML
    found: gr.State

    def all(self) -> list[Any]:
        """Return every component, for ``outputs``."""
        return [getattr(self, field.name) for field in fields(self)]

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


def lay_out() -> Why:
    """Lay out the closed accordion; it is hidden until there is an answer."""
    with gr.Accordion("Why this answer?", open=False, visible=False, elem_id="why") as accordion:
        said = gr.HTML(elem_id="why-said")
        figure = gr.HTML(elem_id="why-figure")
        with gr.Column(visible=False) as sounds:
            genre = gr.Radio([], label="Hear the parts that speak for", elem_id="why-genre")
            with gr.Row():
                with gr.Column(min_width=240):
                    only, only_words = _lay_out_player("Only these parts", "why-only")
                with gr.Column(min_width=240):
                    without, without_words = _lay_out_player("Without these parts", "why-without")
    return Why(accordion, said, figure, sounds, genre, only, only_words, without, without_words, gr.State(None))


def _lay_out_player(label: str, name: str) -> tuple[gr.Audio, gr.HTML]:
    waveform = gr.WaveformOptions(show_recording_waveform=False)
    player = gr.Audio(label=label, interactive=False, buttons=[], elem_id=name, elem_classes="heard", waveform_options=waveform)
    return player, gr.HTML(elem_id=f"{name}-words")


def explained(
    why: Why, path: str | None, checkpoint: list[str], own: str | None, state: Answer | None, found: Found | None, view: Any
) -> Iterator[Updates]:
    """Fill the accordion when it is opened: first the figure, then the sound; nothing is computed twice."""
    if found is not None:
        yield {why.said: gr.skip()}
        return
    yield {why.said: cards.remark(_LOOKING)}
    try:
        chosen = checkpoint_named(checkpoint, own)
        clip = excerpt.read(path, state.prediction if state else None, chosen)
        assert state is not None  # noqa: S101 - or the line before has raised
        found = Found(state.prediction, explain(clip, chosen), _overview(clip))
        yield {
            why.said: summary(found),
            why.figure: figure(found, view),
            why.found: found,
        }
        genres = [genre for genre, _ in found.prediction.ranked(2)]
        yield {why.genre: gr.Radio(genres, value=genres[0]), **_sounds(why, found, clip, chosen, genres[0])}
    except PROBLEMS as error:
        yield {why.said: cards.problem(str(error), _PROBLEM), why.figure: ""}


def heard(
    why: Why, path: str | None, checkpoint: list[str], own: str | None, found: Found | None, genre: str
) -> Iterator[Updates]:
    """Fill the players with the parts that speak for another genre."""
    if found is None:
        yield {why.only: gr.skip()}
        return
    yield {why.only_words: cards.remark("Listening …"), why.without_words: cards.remark("Listening …")}
    try:
        chosen = checkpoint_named(checkpoint, own)
        yield _sounds(why, found, excerpt.read(path, found.prediction, chosen), chosen, genre)
    except PROBLEMS as error:
        yield {why.said: cards.problem(str(error), _PROBLEM)}


def _sounds(why: Why, found: Found, clip: Clip, checkpoint: Checkpoint, genre: str) -> Updates:
    mask, grid = found.explanation.marked(genre), found.explanation.grid
    sounds = [mask_audio(clip, grid, mask, keep=keep) for keep in (True, False)]
    answers = at_once(lambda sound: answer(sound, checkpoint, found.prediction.vote), sounds)
    only, without = (gr.Audio(excerpt.playable(sound, f"{name} {genre}")) for sound, name in zip(sounds, _HEARD, strict=True))
    only_words, without_words = (
        f'<p class="heard-as" role="status">Answer: {excerpt.words(heard_as)}</p>' for heard_as in answers
    )
    return {
        why.sounds: gr.Column(visible=True),
        why.only: only,
        why.only_words: only_words,
        why.without: without,
        why.without_words: without_words,
    }


def figure(found: Found | None, view: Any) -> str:
    """Draw the figure for a visitor's page."""
    if found is None:
        return ""
    marked = [
        Marked(f"Parts that speak for {genre}", found.explanation.marked(genre)) for genre, _ in found.prediction.ranked(2)
    ]
    start, _ = excerpt.stretch(found.prediction)
    drawn = draw_parts(found.overview, found.explanation.grid, marked, start, within(view))
    image = base64.b64encode(to_webp(drawn)).decode("ascii")
    description = "Spectrograms with the decisive parts outlined. " + " ".join(
        decisive(found.explanation, genre, start) for genre, _ in found.prediction.ranked(2)
    )
    return f'<img class="figure" alt="{escape(description, quote=True)}" src="data:image/webp;base64,{image}">'


def summary(found: Found) -> str:
    """Say in words which parts decide."""
    start, _ = excerpt.stretch(found.prediction)
    items = "".join(f"<li>{escape(decisive(found.explanation, genre, start))}</li>" for genre, _ in found.prediction.ranked(2))
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
