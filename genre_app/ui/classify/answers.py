"""What the Classify tab shows of a clip: the handlers that fill its components."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from genre_app.prediction import Prediction
from genre_app.ui import cards
from genre_app.ui.classify import frames
from genre_app.ui.classify.more import More
from genre_app.ui.downloads import download
from genre_app.ui.figures import View, draw, time_axes, to_webp
from genre_app.ui.service import PROBLEMS, VOTE_NAMES, Answer, RequestError, answer

AS_TRAINED = "trained"
"""The overlap that the checkpoint was trained with."""

RECORDING = "your recording"
"""Name of a clip from the microphone."""

Updates = dict[Any, Any]


@dataclass(frozen=True)
class Parts:
    """The components that handlers fill."""

    card: gr.HTML
    vote: gr.Radio
    figure: gr.HTML
    mark: gr.HTML
    outline: gr.HTML
    page: gr.Dropdown
    table: gr.Dataframe
    json: gr.DownloadButton
    csv: gr.DownloadButton
    state: gr.State
    more: More

    def all(self) -> list[Any]:
        """Return every component, for ``outputs``."""
        shown = {name: value for name, value in vars(self).items() if name != "more"}
        return [*shown.values(), *self.more.all()]


def classified(
    parts: Parts,
    path: str | None,
    checkpoint: list[str],
    vote: str,
    overlap: str,
    view: Any,
    own: str | None,
    *,
    take: bool = False,
) -> Iterator[Updates]:
    """Classify a clip and fill the tab: the vote at once, the figure as soon as it is drawn.

    What depends on the vote comes with the vote: a visitor may choose another vote while the figure is drawn.

    Parameters
    ----------
    path : str or None
        The clip's file; None if it did not arrive.
    checkpoint : list of str
    vote, overlap : str
        Values of the tab's options.
    view : Any
        What the page's script says of the page, see `View.from_page`.
    own : str or None
        Path of the visitor's own checkpoint.
    take : bool
        Whether the clip is a recording from the microphone.
    """
    yield {parts.card: cards.CLASSIFYING, **parts.more.closed(visible=False)}
    try:
        share = None if overlap == AS_TRAINED else float(overlap)
        name = RECORDING if take else None
        suppressed = take and isinstance(view, dict) and view.get("speech") is True
        found = answer(path, checkpoint=checkpoint, vote=vote, overlap=share, name=name, own=own, suppressed=suppressed)
        prediction = found.prediction
        if take and prediction.is_noise:
            raise RequestError(cards.NO_MUSIC)
    except PROBLEMS as error:
        yield {**nothing(parts, vote), parts.card: cards.problem(str(error))}
        return
    yield _voted(parts, found)
    pages = frames.pages(prediction)
    yield {
        parts.figure: figure(found, view),
        parts.mark: "",
        parts.outline: frames.outline(prediction),
        parts.page: gr.Dropdown(pages, value="0", visible=len(pages) > 1),
        parts.table: gr.Dataframe(frames.rows(prediction, "0"), visible=True),
        **parts.more.offered(),
    }


def figure(found: Answer | None, view: Any) -> str:
    """Draw the figure of an answer for a visitor's page, whose width and theme ``view`` has."""
    if found is None:
        return cards.NO_FIGURE
    drawn = draw(found.prediction, found.overview, View.from_page(view))
    image = base64.b64encode(to_webp(drawn)).decode("ascii")
    return cards.figure(image, found.prediction, time_axes(drawn))


def nothing(parts: Parts, vote: str) -> Updates:
    """Show what a first visit shows, with the visitor's choice of the vote."""
    return {
        **parts.more.closed(visible=False),
        parts.card: cards.WELCOME,
        parts.vote: gr.Radio(cards.vote_choices(None, tuple(VOTE_NAMES)), value=vote, info=cards.vote_info(None, vote)),
        parts.figure: cards.NO_FIGURE,
        parts.mark: "",
        parts.outline: "",
        parts.page: gr.Dropdown(visible=False),
        parts.table: gr.Dataframe(visible=False),
        parts.json: gr.DownloadButton(visible=False),
        parts.csv: gr.DownloadButton(visible=False),
        parts.state: None,
    }


def revoted(parts: Parts, state: Answer | None, vote: str) -> Updates:
    """Vote again over the frames that are there, without the network."""
    if state is None:
        return {parts.vote: gr.Radio(info=cards.vote_info(None, vote))}
    found = Answer(state.prediction.revote(vote), state.overview)
    return {**parts.more.closed(visible=True), **_voted(parts, found)}


def _voted(parts: Parts, found: Answer) -> Updates:
    """Fill what depends on the vote."""
    prediction = found.prediction
    return {
        parts.card: cards.final_vote(prediction),
        parts.vote: _vote_radio(prediction),
        parts.state: found,
        **_downloads(parts, prediction),
    }


def _vote_radio(prediction: Prediction) -> gr.Radio:
    choices = cards.vote_choices(prediction, tuple(prediction.votes))
    return gr.Radio(choices, value=prediction.vote, info=cards.vote_info(prediction, prediction.vote))


def _downloads(parts: Parts, prediction: Prediction) -> Updates:
    stem = Path(prediction.name).stem or "clip"
    texts = {parts.json: (".json", prediction.to_json(indent=1)), parts.csv: (".csv", prediction.to_csv())}
    return {
        button: gr.DownloadButton(value=download(stem + ending, text), visible=True) for button, (ending, text) in texts.items()
    }
