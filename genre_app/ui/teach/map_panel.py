"""The map below Teach: draws the clips of a collection, and moves a clip whose genre is doubtful."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from html import escape
from typing import Any

import gradio as gr

from genre_app.data.collection import Collection
from genre_app.errors import GenreAppError
from genre_app.progress import Monitor
from genre_app.teaching.data_map import DataMap, Kind, clip_values, data_map
from genre_app.teaching.examples import CACHE
from genre_app.teaching.teach import teach
from genre_app.ui import cards
from genre_app.ui.collect.store import collection_of
from genre_app.ui.frame import PRIVATE
from genre_app.ui.service import PROBLEMS, checkpoint_named
from genre_app.ui.teach import map_card, markup
from genre_app.ui.teach.job import OFF, WAITING, examples_of, followed, one_at_a_time

_KINDS = [("what the model hears", "embedding"), ("58 features of the sound (slower)", "features")]


def build(collection: gr.State, status: gr.HTML, script: str) -> tuple[gr.HTML, Any]:
    """Lay out the map and connect it; return the map, and the event that moves a clip.

    Parameters
    ----------
    collection : gr.State
        Holds the name of the visitor's collection.
    status : gr.HTML
        Says what was moved.
    script : str
        JavaScript of the lists whose clips can be played.
    """
    kind = gr.Radio(_KINDS, value=_KINDS[0][1], label="Clips lie close together if they are alike in", elem_id="map-kind")
    with gr.Row(elem_classes="actions"):
        draw = gr.Button("Draw a map of the clips", min_width=220, scale=0, elem_id="draw-map")
    mapped = gr.HTML("", js_on_load=script, elem_id="teach-map")
    drawing = one_at_a_time("map", "#teach-map")
    drawn = gr.State(None)  # name of the collection on the map
    draw.click(None, None, [mapped, draw], js=f"() => [{WAITING}, {OFF}]", **PRIVATE)
    done = draw.click(_draw, [collection, kind], [mapped, draw, drawn], **drawing)
    moved = mapped.move_clip(_move, collection, status, **PRIVATE)
    moved.then(None, None, None, js="() => document.querySelector('#draw-map').click()")
    # The visitor may choose another collection before or after its map is there.
    for event in (done.then, collection.change):
        event(_clear_other, [drawn, collection], mapped, **PRIVATE)
    return mapped, moved


def _draw(name: str, kind: Kind, request: gr.Request) -> Iterator[tuple[Any, Any, str | None]]:
    """Draw the map of the collection, with progress; yield it, the button, and the collection that is drawn."""
    yield '<p role="status">Drawing …</p>', gr.Button(interactive=False), None
    drawn = None
    try:
        collection = collection_of(request.session_hash, name)
        drawn = collection.folder.name
        found = yield from followed(
            lambda monitor: _mapped(collection, kind, monitor),
            lambda progress: (markup.progress(progress), gr.skip(), gr.skip()),
        )
        shown = map_card.card(found, {clip.file: clip.source for clip in collection.read().clips})
    except OSError as error:
        shown = cards.problem(f"The embeddings cannot be written: {error.strerror or error}.", "No map")
    except PROBLEMS as error:
        shown = cards.problem(cards.told(error), "No map")
    yield shown, gr.Button(interactive=True), drawn


def _mapped(collection: Collection, kind: Kind, monitor: Monitor) -> DataMap:
    examples, _ = examples_of(collection)
    taught = teach(examples, checkpoint_named(None), cache=collection.folder / CACHE, prune=True, monitor=monitor)
    return data_map(clip_values(kind, taught, monitor), taught.examples, taught)


def _move(name: str, event: gr.EventData, request: gr.Request) -> str:
    """Move a clip to the genre that the model is sure of."""
    try:
        collection = collection_of(request.session_hash, name)
        clip = collection.move(str(event.file).rpartition("/")[2], str(event.genre))
    except PROBLEMS as error:
        return cards.problem(cards.told(error), "Not moved")
    return f'<p role="status">{escape(clip.source)} is now {escape(clip.genre)}.</p>'


def _clear_other(drawn: str | None, name: str, request: gr.Request) -> Any:
    """Clear the map if it is not that of the chosen collection."""
    with suppress(GenreAppError):
        if drawn is None or drawn == collection_of(request.session_hash, name).folder.name:
            return gr.skip()
    return ""
