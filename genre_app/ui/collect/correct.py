"""“Not right? It is …”: a row below an answer that adds the clip, with its true genre, to the visitor's collection."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import gradio as gr

from genre_app.audio import Clip
from genre_app.errors import DataError
from genre_app.prediction import Prediction
from genre_app.ui import cards
from genre_app.ui.classify.answers import RECORDING
from genre_app.ui.collect.board import MICROPHONE
from genre_app.ui.collect.store import belongs_to_session, collection_of
from genre_app.ui.frame import PRIVATE, Frame
from genre_app.ui.service import PROBLEMS, Answer


class Row:
    """The components of a row. The constructor adds them to the page; its style sheet shows them only below an answer."""

    def __init__(self, place: str) -> None:
        with gr.Column(elem_id=f"correct-{place}", elem_classes="correct"):
            with gr.Row(elem_classes="correct-row"):
                self.genre = gr.Dropdown(
                    [],
                    value=None,
                    label="Not right? It is … (choose or type)",
                    allow_custom_value=True,
                    min_width=150,
                    scale=3,
                )
                self.add = gr.Button("Add to my collection", size="md", min_width=130, scale=1)
            self.said = gr.HTML("", elem_id=f"correct-{place}-said")


def connect_classify(frame: Frame, row: Row, audio: gr.Audio, card: gr.HTML, state: gr.State) -> None:
    """Connect the row of the Classify tab, which adds the loaded clip.

    Parameters
    ----------
    frame : Frame
    row : Row
    audio : gradio.Audio
        The loaded clip.
    card : gradio.HTML
        It changes with each answer.
    state : gradio.State
        The `Answer` that is shown.
    """
    chosen = frame.parts["collection"]
    inputs = [state, chosen]
    card.change(_offer_after_answer, inputs, [row.genre, row.said], **PRIVATE)
    frame.tab["Classify"].select(_offer, [*inputs, row.genre], row.genre, **PRIVATE)
    row.add.click(add_classified, [row.genre, audio, *inputs], row.said, **PRIVATE)


def add_classified(genre: str | None, path: str | None, found: Answer | None, chosen: str | None, request: gr.Request) -> str:
    """Add the clip that the Classify tab has answered."""
    if found is None:
        return add_corrected(genre, None, None, chosen, request, origin="classify")
    prediction = found.prediction
    return add_corrected(genre, path, prediction, chosen, request, origin="classify", name=prediction.name)


def add_corrected(
    genre: str | None,
    audio: str | os.PathLike[str] | Clip | None,
    prediction: Prediction | None,
    chosen: str | None,
    request: gr.Request,
    *,
    origin: str,
    name: str | None = None,
    source_sha256: str = "",
) -> str:
    """Add a clip to the visitor's collection, with the answer that it got.

    Parameters
    ----------
    genre : str or None
        The true genre, as the visitor says.
    audio : str, os.PathLike, Clip or None
        None if there is no clip any more.
    prediction : Prediction or None
        The answer; None if there was none, as for noise in Live.
    chosen : str or None
        Name of the collection that the visitor has chosen.
    request : gradio.Request
    origin, name, source_sha256
        As in `genre_app.data.collection.Collection.add`.

    Returns
    -------
    str
        What the row says, as HTML.
    """
    try:
        if not (genre or "").strip():
            raise DataError("Choose the genre first, or type a new one.")
        if audio is None:
            raise DataError("There is no sound to add; load or record some first.")
        collection = collection_of(request.session_hash, chosen)
        added = collection.add(
            str(genre),
            audio,
            origin=origin,
            name=MICROPHONE if name == RECORDING else name,
            source_sha256=source_sha256,
            **_answer(prediction),
        )
    except PROBLEMS as error:
        return cards.problem(cards.told(error), "Not added")
    where = "your collection" if belongs_to_session() else f"the collection {collection.folder.name}"
    remark = f" {cards.sentence(added.remark)}" if added.remark else ""
    return cards.remark(f"Added to {added.clip.genre} in {where}.{remark} The Collect tab shows it.")


def _answer(prediction: Prediction | None) -> dict[str, Any]:
    if prediction is None:
        return {}
    return {
        "answer": prediction.genre or prediction.rejected or "",
        "probability": float(prediction.probabilities.max()),
        "checkpoint": prediction.checkpoint,
    }


def choices(chosen: str | None, request: gr.Request, genres: Sequence[str] = ()) -> list[str]:
    """Return the genres of the visitor's collection, and then those of the checkpoint that answered."""
    found: list[str] = []
    with suppress(DataError):
        found = list(collection_of(request.session_hash, chosen).read().genres)
    known = {genre.casefold() for genre in found}
    return [*found, *(genre for genre in genres if genre.casefold() not in known)]


def _offer_after_answer(found: Answer | None, chosen: str | None, request: gr.Request) -> tuple[Any, str]:
    return _offer(found, chosen, None, request), ""


def _offer(found: Answer | None, chosen: str | None, genre: str | None, request: gr.Request) -> Any:
    return gr.Dropdown(choices(chosen, request, found.prediction.genres if found else ()), value=genre)
