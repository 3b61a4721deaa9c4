"""What the Classify tab shows of a clip: the components, and the handlers that fill them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from genre_app.prediction import Prediction
from genre_app.ui import cards
from genre_app.ui.classify import frames
from genre_app.ui.classify.answer_figure import draw, time_axes
from genre_app.ui.classify.more import More
from genre_app.ui.downloads import download
from genre_app.ui.figures import View, to_url
from genre_app.ui.frame import Updates
from genre_app.ui.service import PROBLEMS, Answer, RequestError, answer

AS_TRAINED = "trained"
"""The overlap that the checkpoint was trained with."""

RECORDING = "your recording"
"""Name of a clip from the microphone."""


class Asked:
    """The latest question of a visit, so that an answer to an earlier one is not shown.

    gradio's own way, an event that cancels others, loses clips: it takes effect when the event that brings the next clip has
    ended, and then ends the answer to this clip too.

    Attributes
    ----------
    question : object
        Identity of the latest question.
    cleared : float
        When the visitor last took the clip away, in milliseconds since the page was opened. What was asked earlier, and has
        waited in the queue since, is not answered.
    """

    question: object = None
    cleared: float = 0.0


class Parts:
    """The components that an answer fills. The constructor adds those of the evidence to the page.

    Parameters
    ----------
    card : gradio.HTML
        Shows the final vote.
    vote : gradio.Radio
        The choice of the vote.
    """

    def __init__(self, card: gr.HTML, vote: gr.Radio) -> None:
        self.card, self.vote = card, vote
        self.figure = gr.HTML(cards.NO_FIGURE, elem_id="figure")
        self.mark = gr.HTML(elem_id="frame-mark")
        self.outline = gr.HTML(elem_id="outline")
        self.page = gr.Dropdown([], label="Frames from", visible=False, interactive=True)
        self.table = gr.Dataframe(
            headers=frames.HEADERS,
            datatype=["number", "str", "str", "str"],
            column_widths=["15%", "20%", "32%", "33%"],
            show_label=False,
            label="Frames",
            interactive=False,
            visible=False,
            max_height=300,
            elem_id="frames",
            buttons=[],
        )
        with gr.Row():
            self.json = gr.DownloadButton("Download JSON", size="sm", visible=False)
            self.csv = gr.DownloadButton("Download CSV", size="sm", visible=False)
        self.more = More()
        self.state = gr.State(None)  # the `Answer`
        self.asked = gr.State(Asked())

    def all(self) -> list[Any]:
        """Return every component, for ``outputs``."""
        return [*(part for part in vars(self).values() if part is not self.more), *self.more.all()]

    def classified(
        self,
        path: str | None,
        checkpoint: list[str],
        vote: str,
        overlap: str,
        view: Any,
        own: str | None,
        recorded: str | None,
        asked: Asked | None = None,
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
        recorded : str or None
            Path of the latest recording from the microphone.
        asked : Asked, optional
            Of the visit. When something else is asked for, nothing more is shown.
        """
        asked = asked or Asked()
        sent = view.get("sent") if isinstance(view, dict) else None
        if isinstance(sent, int | float) and sent < asked.cleared:
            yield {self.card: gr.skip()}
            return
        asked.question = question = object()
        is_take = path is not None and path == recorded

        def ask() -> Answer:
            return answer(
                path,
                checkpoint=checkpoint,
                vote=vote,
                overlap=None if overlap == AS_TRAINED else float(overlap),
                name=RECORDING if is_take else None,
                own=own,
                suppressed=is_take and isinstance(view, dict) and view.get("speech") is True,
            )

        for updates in self._answered(ask, vote, view, is_take=is_take):
            if asked.question is not question:
                yield {self.card: gr.skip()}  # gradio shows the last of these once more
                return
            yield updates

    def _answered(self, ask: Callable[[], Answer], vote: str, view: Any, *, is_take: bool) -> Iterator[Updates]:
        yield {self.card: cards.CLASSIFYING, **self.more.closed(visible=False)}
        try:
            found = ask()
            prediction = found.prediction
            if is_take and prediction.is_noise:
                raise RequestError(cards.NO_MUSIC)
            yield self._voted(found)
            pages = frames.pages(prediction)
            yield {
                self.figure: figure(found, view),
                self.mark: "",
                self.outline: frames.outline(prediction),
                self.page: gr.Dropdown(pages, value="0", visible=len(pages) > 1),
                self.table: gr.Dataframe(frames.rows(prediction, "0"), visible=True),
                **self.more.offered(),
            }
        except PROBLEMS as error:
            yield {**self.nothing(vote), self.card: cards.problem(cards.told(error))}

    def classified_if(self, path: str | None, *values: Any) -> Iterator[Updates]:
        """Classify a clip as `classified` does if there is one and the last value is true."""
        *options, wanted = values
        if path is not None and wanted:
            yield from self.classified(path, *options)
        else:
            yield {self.card: gr.skip()}

    def classified_again(self, path: str | None, *options: Any) -> Iterator[Updates]:
        """Classify a clip as `classified` does if there is one."""
        yield from self.classified_if(path, *options, True)

    def cleared(self, vote: str, asked: Asked | None = None, now: float = 0.0) -> Updates:
        """Show what a first visit shows, also if an answer is on its way."""
        if asked is not None:
            asked.question, asked.cleared = None, now
        return self.nothing(vote)

    def nothing(self, vote: str) -> Updates:
        """Show what a first visit shows, with the visitor's choice of the vote."""
        return {
            **self.more.closed(visible=False),
            self.card: cards.WELCOME,
            self.vote: gr.Radio(**cards.vote_radio(None, vote)),
            self.figure: cards.NO_FIGURE,
            self.mark: "",
            self.outline: "",
            self.page: gr.Dropdown(visible=False),
            self.table: gr.Dataframe(visible=False),
            self.json: gr.DownloadButton(visible=False),
            self.csv: gr.DownloadButton(visible=False),
            self.state: None,
        }

    def revoted(self, state: Answer | None, vote: str, is_shown: bool = False) -> Updates:
        """Vote again over the frames that are there, without the network; ``is_shown`` if the page shows an answer."""
        if state is None:
            forgotten = {self.card: cards.problem(cards.FORGOTTEN)} if is_shown else {}
            return {self.vote: gr.Radio(info=cards.vote_info(None, vote)), **forgotten}
        found = Answer(state.prediction.revote(vote), state.overview)
        return {**self.more.closed(visible=True), **self._voted(found)}

    def _voted(self, found: Answer) -> Updates:
        """Fill what depends on the vote."""
        prediction = found.prediction
        return {
            self.card: cards.final_vote(prediction),
            self.vote: gr.Radio(**cards.vote_radio(prediction, prediction.vote)),
            self.state: found,
            self.json: _download(prediction, ".json", prediction.to_json(indent=1)),
            self.csv: _download(prediction, ".csv", prediction.to_csv()),
        }


def figure(found: Answer | None, view: Any) -> str:
    """Draw the figure of an answer for a visitor's page, whose width and theme ``view`` has."""
    if found is None:
        return cards.NO_FIGURE
    drawn = draw(found.prediction, found.overview, View.from_page(view))
    return cards.figure(to_url(drawn), found.prediction, time_axes(drawn))


def _download(prediction: Prediction, ending: str, text: str) -> gr.DownloadButton:
    stem = Path(prediction.name).stem or "clip"
    return gr.DownloadButton(value=download(stem + ending, text), visible=True)
