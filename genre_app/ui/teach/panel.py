"""Teach on the page: start, progress, result, and what to do with the model."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, cast

import gradio as gr

from genre_app.checkpoint import load_checkpoint, save_checkpoint
from genre_app.data.collection import Collection
from genre_app.errors import DataError, GenreAppError
from genre_app.progress import Monitor, Progress, StoppedError
from genre_app.teaching.data_map import DataMap, Kind, clip_values, data_map
from genre_app.teaching.examples import CACHE, folder_examples
from genre_app.teaching.taught import Taught
from genre_app.teaching.teach import teach
from genre_app.ui import cards
from genre_app.ui.collect.store import belongs_to_session, collection_of, taught_file
from genre_app.ui.downloads import download_file
from genre_app.ui.figures import View
from genre_app.ui.frame import PRIVATE, Frame, in_queue, turn
from genre_app.ui.service import checkpoint_named, own_choice, still_offered, taught_choice
from genre_app.ui.teach import map_card, markup
from genre_app.ui.teach.job import followed
from genre_app.ui.train import run_card
from genre_app.ui.train.confusion import confusion_image

_WITH_VIEW = '(name, _, ...others) => [name, genreApp.view("#teach-status"), ...others]'
_REPLACE, _EXTEND = "replace", "extend"
_GENRES = [("only those above", _REPLACE), ("also the ten that the app knows", _EXTEND)]
_KINDS = [("what the model hears", "embedding"), ("58 features of the sound (slower)", "features")]
_MATRIX_WIDTH = 420  # CSS pixels
_NATIVE = gr.WaveformOptions(show_recording_waveform=False)  # the browser's own player
_SCRIPT = Path(__file__).parents[1] / "assets" / "teach.js"
# One model or map is made at a time, so another visitor may be first.
_OFF, _VISIBLE = "{ __type__: 'update', interactive: false }", "{ __type__: 'update', visible: true }"
_WAIT = "'<p role=status>Waiting for the server …</p>'"
_WAIT_TO_TEACH, _WAIT_TO_DRAW = f"() => [{_OFF}, {_VISIBLE}, {_WAIT}]", f"() => [{_WAIT}, {_OFF}]"
_PLAY_AGAIN = "() => { const a = document.querySelector('#teach-player audio'); if (a?.paused) a.play().catch(() => {}); }"
# Drawing a map waits in the same queue.
_TELL_PLACE = "genreApp.tellIn('{}', `You are number ${{place}} that wait for the server.`)"
_HEAVY: dict[str, Any] = {**PRIVATE, "concurrency_id": "teach", "concurrency_limit": 1}


def build(frame: Frame, collection: gr.State) -> Any:
    """Lay out the panel below the collection and connect it; return the event that changes the collection.

    ``collection`` holds the name of the visitor's collection.
    """
    gr.HTML(f"<h2>Teach</h2>{markup.WELCOME}", elem_id="teach-intro")
    genres = gr.Radio(_GENRES, value=_REPLACE, label="Genres of the model", elem_id="teach-genres")
    with gr.Row(elem_classes="actions"):
        start = gr.Button("Teach from these clips", variant="primary", min_width=220, scale=0, elem_id="teach")
        stop = gr.Button("Stop", visible=False, min_width=100, scale=0)
    with gr.Column(elem_id="teach-said"):
        status = gr.HTML("", elem_id="teach-status")
        teaching = in_queue("teach", _TELL_PLACE.format("#teach-status"))
        player = gr.Audio(
            visible=False,
            interactive=False,
            label="Clip",
            autoplay=True,
            buttons=[],
            waveform_options=_NATIVE,
            elem_id="teach-player",
        )
    script = _SCRIPT.read_text(encoding="utf-8")
    with gr.Row(elem_classes="columns", visible=False) as results:
        with gr.Column(min_width=300):
            card = gr.HTML("", elem_id="teach-card")
            wrong = gr.HTML("", js_on_load=script, elem_id="teach-wrong")
            with gr.Row():
                use = gr.Button("Use in Classify and Live", variant="primary", min_width=200)
                longer = gr.Button("Train longer", min_width=120, visible=not belongs_to_session())
                file = gr.DownloadButton("Download", min_width=120)
        with gr.Column(min_width=300):
            confusion = gr.HTML("", elem_id="teach-confusion")
    kind = gr.Radio(_KINDS, value=_KINDS[0][1], label="Clips lie close together if they are alike in", elem_id="map-kind")
    with gr.Row(elem_classes="actions"):
        draw = gr.Button("Draw a map of the clips", min_width=220, scale=0, elem_id="draw-map")
    mapped = gr.HTML("", js_on_load=script, elem_id="teach-map")
    mapping = in_queue("map", _TELL_PLACE.format("#teach-map"))
    view, taught = gr.JSON(visible=False), gr.State(0)  # a number that changes when a model was taught
    panel = Panel(results, card, wrong, confusion, file, player, start, stop, status, taught)
    # Teaching does not fill what `show` does: the visitor may have chosen another collection when it ends.
    arriving = [frame.tab["Collect"].select, collection.change, taught.change]
    gr.on(arriving, panel.show, [collection, view], panel.shown, js=_WITH_VIEW, trigger_mode="always_last", **PRIVATE)
    start.click(None, None, panel.going[:3], js=_WAIT_TO_TEACH, **PRIVATE)
    running = start.click(panel.run, [collection, genres], panel.going, **_HEAVY | teaching)
    # In a second step, so that no progress is shown after it.
    stop.click(None, cancels=running, **PRIVATE).then(panel.stopped, None, panel.going, **PRIVATE)
    for place in (wrong, mapped):
        played = place.play_clip(panel.play, collection, [player, status], trigger_mode="multiple", **PRIVATE)
        played.then(None, None, None, js=_PLAY_AGAIN)
    draw.click(None, None, [mapped, draw], js=_WAIT_TO_DRAW, **PRIVATE)
    drawn = gr.State(None)  # name of the collection on the map
    drawing = draw.click(panel.map, [collection, kind], [mapped, draw, drawn], **_HEAVY | mapping)
    moved = mapped.move_clip(panel.move, collection, status, **PRIVATE)
    moved.then(None, None, None, js="() => document.querySelector('#draw-map').click()")
    # The visitor may choose another collection before or after its map is there.
    for event in (drawing.then, collection.change):
        event(panel.clear_other, [drawn, collection], mapped, **PRIVATE)
    collection.change(lambda: "", None, status, **PRIVATE)
    frame.parts["train longer"] = longer
    _connect_use(frame, use, collection, status)
    return moved


@dataclass(frozen=True)
class Panel:
    """The components that the handlers fill, and the handlers."""

    results: gr.Row
    card: gr.HTML
    wrong: gr.HTML
    confusion: gr.HTML
    file: gr.DownloadButton
    player: gr.Audio
    start: gr.Button
    stop: gr.Button
    status: gr.HTML
    taught: gr.State

    @property
    def shown(self) -> list[Any]:
        """What `show` fills."""
        return [self.results, self.card, self.wrong, self.confusion, self.file, self.player]

    @property
    def going(self) -> list[Any]:
        """What `run` and `stopped` fill."""
        return [self.start, self.stop, self.status, self.taught]

    def show(self, name: str, view: dict[str, Any] | None, request: gr.Request) -> dict[Any, Any]:
        """Show what was taught from the collection before."""
        try:
            collection = collection_of(request.session_hash, name)
            found = load_checkpoint(taught_file(collection)).metrics.get("taught")
        except GenreAppError:
            found = None
        hidden = {self.player: gr.Audio(visible=False)}
        if not isinstance(found, dict):
            return {**hidden, self.results: gr.Row(visible=False)}
        return {**hidden, **self._result(collection, found, view)}

    def run(self, name: str, genres: str, request: gr.Request) -> Iterator[dict[Any, Any]]:
        """Teach, with progress."""
        yield {
            self.start: gr.Button(interactive=False),
            self.stop: gr.Button(visible=True),
            self.status: '<p role="status">Starting …</p>',
        }
        try:
            collection = collection_of(request.session_hash, name)
            task = followed(_task(collection, extend=genres == _EXTEND))
            while True:
                try:
                    progress = next(task)
                except StopIteration as end:
                    taught: Taught = end.value
                    break
                yield {self.status: markup.progress(progress)}
            named = None if belongs_to_session() else collection.folder.name
            yield {**self._idle(markup.done(taught.seconds, named)), self.taught: turn()}
        except StoppedError:
            yield self._idle("")
        except GenreAppError as error:
            yield self._idle(cards.problem(str(error), "Not taught"))
        except OSError as error:
            yield self._idle(cards.problem(f"The model cannot be written: {error.strerror or error}.", "Not taught"))

    def stopped(self) -> dict[Any, Any]:
        """Return what Stop leaves."""
        return self._idle("<p>Stopped. What was computed is kept, so teaching again continues from there.</p>")

    def play(self, name: str, event: gr.EventData, request: gr.Request) -> Any:
        """Play a clip of the collection."""
        try:
            path = collection_of(request.session_hash, name).path(str(event.file).rpartition("/")[2])
            return gr.Audio(value=download_file(path, path.name), visible=True), gr.skip()
        except (AttributeError, GenreAppError, OSError):
            return gr.Audio(visible=False), cards.problem("This clip is no longer in the collection.", "Not played")

    def clear_other(self, drawn: str | None, name: str, request: gr.Request) -> Any:
        """Clear the map if it is not that of the chosen collection."""
        with suppress(GenreAppError):
            if drawn is None or drawn == collection_of(request.session_hash, name).folder.name:
                return gr.skip()
        return ""

    def map(self, name: str, kind: Kind, request: gr.Request) -> Iterator[tuple[str, Any, Any]]:
        """Draw the map of the collection, with progress."""
        yield '<p role="status">Drawing …</p>', gr.Button(interactive=False), None
        drawn = None
        try:
            collection = collection_of(request.session_hash, name)
            drawn = collection.folder.name
            following = followed(lambda monitor: _mapped(collection, kind, monitor))
            found = yield from _shown(following)
            shown = map_card.card(found, {clip.file: clip.source for clip in collection.read().clips})
        except (GenreAppError, StoppedError) as error:
            shown = cards.problem(str(error), "No map")
        yield shown, gr.Button(interactive=True), drawn

    def move(self, name: str, event: gr.EventData, request: gr.Request) -> Any:
        """Move a clip of the map to the genre that the model is sure of."""
        try:
            collection = collection_of(request.session_hash, name)
            clip = collection.move(str(event.file).rpartition("/")[2], str(event.genre))
        except (AttributeError, GenreAppError) as error:
            return cards.problem(str(error), "Not moved")
        return f'<p role="status">{escape(clip.source)} is now {escape(clip.genre)}.</p>'

    def _idle(self, words: str) -> dict[Any, Any]:
        return {
            self.start: gr.Button(interactive=True),
            self.stop: gr.Button(visible=False),
            self.status: words,
        }

    def _result(self, collection: Collection, found: dict[str, Any], view: dict[str, Any] | None) -> dict[Any, Any]:
        page = View.from_page(view)
        sources = {clip.file: clip.source for clip in collection.read().clips}
        matrix, genres = found["confusion"], found["genres"]
        shape = View(min(page.width - 40, _MATRIX_WIDTH), page.pixel_ratio, page.dark)
        image, width = confusion_image(matrix, genres, shape)
        title = "Clips left out: true genre and answer"
        return {
            self.results: gr.Row(visible=True),
            self.card: markup.result(found),
            self.wrong: markup.wrong(found, sources),
            self.confusion: run_card.confusion_card(image, title, matrix, width),
            self.file: gr.DownloadButton(value=download_file(taught_file(collection), f"{collection.folder.name}.safetensors")),
        }


def _shown(following: Generator[Progress, None, DataMap]) -> Generator[tuple[str, Any, Any], None, DataMap]:
    """Yield progress as HTML; return the result."""
    while True:
        try:
            progress = next(following)
        except StopIteration as end:
            return cast(DataMap, end.value)
        yield markup.progress(progress), gr.skip(), gr.skip()


def _mapped(collection: Collection, kind: Kind, monitor: Monitor) -> DataMap:
    if not collection.read().clips:
        raise DataError("This collection has no clips yet; record or drop some first.")
    examples, _ = folder_examples(collection.folder)
    taught = teach(examples, checkpoint_named(None), cache=collection.folder / CACHE, monitor=monitor)
    return data_map(clip_values(kind, taught, monitor), taught.examples, taught)


def _task(collection: Collection, *, extend: bool) -> Callable[[Monitor], Taught]:
    def task(monitor: Monitor) -> Taught:
        if not collection.read().clips:
            raise DataError("This collection has no clips yet; record or drop some first.")
        examples, others = folder_examples(collection.folder)
        cache = collection.folder / CACHE
        taught = teach(examples, checkpoint_named(None), extend=extend, none_of_these=others, cache=cache, monitor=monitor)
        save_checkpoint(taught.checkpoint, taught_file(collection))
        return taught

    return task


def _connect_use(frame: Frame, use: gr.Button, collection: gr.State, status: gr.HTML) -> None:
    """Connect the button that uses the taught model in Classify and Live."""
    checkpoint, own, options, live = (frame.parts[part] for part in ("checkpoint", "own", "options", "live checkpoint"))
    used = gr.Checkbox(visible=False)

    def take(name: str, own_path: str | None, request: gr.Request) -> dict[Any, Any]:
        try:
            found = collection_of(request.session_hash, name)
            if not taught_file(found).is_file():
                return {status: cards.problem("Teach a model first.", "Not done"), used: False}
        except GenreAppError as error:
            return {status: cards.problem(str(error), "Not done"), used: False}
        path = str(taught_file(found)) if belongs_to_session() else own_path
        chosen = own_choice(str(taught_file(found))) if belongs_to_session() else taught_choice(found.folder.name)
        offered = still_offered([chosen], path)
        return {
            own: path,
            checkpoint: gr.Dropdown(**offered),
            live: gr.Dropdown(**offered),
            options: gr.Accordion(open=True),
            frame.tabs: gr.Tabs(selected="Classify"),
            used: True,
        }

    outputs = [own, checkpoint, live, options, frame.tabs, used, status]
    clicked = use.click(take, [collection, own], outputs, **PRIVATE)
    opened = clicked.then(None, used, None, js="(used) => used && genreApp.opened('classify')")
    if frame.classify_after is not None:
        frame.classify_after(opened, used)
