"""Teach on the page: start, progress, result, and what to do with the model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import gradio as gr

from genre_app.checkpoint import load_checkpoint, save_checkpoint
from genre_app.data.collection import Collection
from genre_app.errors import DataError, GenreAppError
from genre_app.progress import Monitor, StoppedError
from genre_app.teaching.examples import CACHE
from genre_app.teaching.taught import Taught
from genre_app.teaching.teach import teach
from genre_app.ui import cards
from genre_app.ui.collect.store import belongs_to_session, collection_of, taught_file
from genre_app.ui.downloads import download_file
from genre_app.ui.figures import View
from genre_app.ui.frame import PRIVATE, Frame, assets, turn
from genre_app.ui.player import native_player
from genre_app.ui.service import PROBLEMS, TAUGHT, checkpoint_named, own_choice, still_offered
from genre_app.ui.teach import map_panel, markup
from genre_app.ui.teach.job import OFF, WAITING, examples_of, followed, one_at_a_time
from genre_app.ui.train.confusion import confusion_card

_WITH_VIEW = '(name, _, ...others) => [name, genreApp.view("#teach-status"), ...others]'
_REPLACE, _EXTEND = "replace", "extend"
_GENRES = [("only those above", _REPLACE), ("also the ten that the app knows", _EXTEND)]
_MATRIX_WIDTH = 420  # CSS pixels
_WAIT = f"() => [{OFF}, {{ __type__: 'update', visible: true }}, {WAITING}]"
_PLAY_AGAIN = "() => { const a = document.querySelector('#teach-player audio'); if (a?.paused) a.play().catch(() => {}); }"


def build(frame: Frame, collection: gr.State) -> Any:
    """Lay out the panel below the collection and connect it; return the event that changes the collection.

    ``collection`` holds the name of the visitor's collection.
    """
    script = assets("teach.js")
    panel = Panel(script)
    mapped, moved = map_panel.build(collection, panel.status, script)
    view = gr.JSON(visible=False)
    # Teaching does not fill what `show` does: the visitor may have chosen another collection when it ends.
    arriving = [frame.tab["Collect"].select, collection.change, panel.taught.change, frame.redraw.click]
    gr.on(arriving, panel.show, [collection, view], panel.shown, js=_WITH_VIEW, trigger_mode="always_last", **PRIVATE)
    panel.start.click(None, None, panel.going[:3], js=_WAIT, **PRIVATE)
    running = panel.start.click(panel.run, [collection, panel.genres], panel.going, **panel.teaching)
    # In a second step, so that no progress is shown after it.
    panel.stop.click(None, cancels=running, **PRIVATE).then(panel.stopped, None, panel.going, **PRIVATE)
    for place in (panel.wrong, mapped):
        played = place.play_clip(panel.play, collection, [panel.player, panel.status], trigger_mode="multiple", **PRIVATE)
        played.then(None, None, None, js=_PLAY_AGAIN)
    collection.change(lambda: "", None, panel.status, **PRIVATE)
    frame.parts["train longer"] = panel.longer
    _connect_use(frame, panel.use, collection, panel.status)
    return moved


class Panel:
    """The components and the handlers that fill them. The constructor adds them to the page.

    Parameters
    ----------
    script : str
        JavaScript of the lists whose clips can be played.
    """

    def __init__(self, script: str) -> None:
        gr.HTML(f"<h2>Teach</h2>{markup.WELCOME}", elem_id="teach-intro")
        self.genres = gr.Radio(_GENRES, value=_REPLACE, label="Genres of the model", elem_id="teach-genres")
        with gr.Row(elem_classes="actions"):
            self.start = gr.Button("Teach from these clips", variant="primary", min_width=220, scale=0, elem_id="teach")
            self.stop = gr.Button("Stop", visible=False, min_width=100, scale=0)
        with gr.Column(elem_id="teach-said"):
            self.status = gr.HTML("", elem_id="teach-status")
            self.teaching = one_at_a_time("teach", "#teach-status")  # arguments of the event that teaches
            self.player = native_player("Clip", "teach-player", autoplay=True, visible=False)
        with gr.Row(elem_classes="columns", visible=False) as self.results:
            with gr.Column(min_width=300):
                self.card = gr.HTML("", elem_id="teach-card")
                self.wrong = gr.HTML("", js_on_load=script, elem_id="teach-wrong")
                with gr.Row():
                    self.use = gr.Button("Use in Classify and Live", variant="primary", min_width=200)
                    self.longer = gr.Button("Train longer", min_width=120, visible=not belongs_to_session())
                    self.file = gr.DownloadButton("Download", min_width=120)
            with gr.Column(min_width=300):
                self.confusion = gr.HTML("", elem_id="teach-confusion")
        self.taught = gr.State(0)  # a number that changes when a model was taught
        self.shown = [self.results, self.card, self.wrong, self.confusion, self.file, self.player]  # what `show` fills
        self.going = [self.start, self.stop, self.status, self.taught]  # what `run` and `stopped` fill

    def show(self, name: str, view: dict[str, Any] | None, request: gr.Request) -> dict[Any, Any]:
        """Show what was taught from the collection before."""
        updates: dict[Any, Any] = {self.player: gr.Audio(visible=False), self.results: gr.Row(visible=False)}
        with suppress(GenreAppError, OSError):  # nothing was taught, the collection cannot be read, or the disk is full
            collection = collection_of(request.session_hash, name)
            found = load_checkpoint(taught_file(collection)).metrics.get("taught")
            if isinstance(found, dict):
                updates |= self._result(collection, found, view)
        return updates

    def run(self, name: str, genres: str, request: gr.Request) -> Iterator[dict[Any, Any]]:
        """Teach, with progress."""
        yield {
            self.start: gr.Button(interactive=False),
            self.stop: gr.Button(visible=True),
            self.status: '<p role="status">Starting …</p>',
        }
        try:
            collection = collection_of(request.session_hash, name)
            taught = yield from followed(
                lambda monitor: _taught(collection, monitor, extend=genres == _EXTEND),
                lambda progress: {self.status: markup.progress(progress)},
            )
            named = None if belongs_to_session() else collection.folder.name
            yield {**self._idle(markup.done(taught.seconds, named)), self.taught: turn()}
        except StoppedError:
            yield self._idle("")
        except OSError as error:
            yield self._idle(cards.problem(f"The model cannot be written: {error.strerror or error}.", "Not taught"))
        except PROBLEMS as error:
            yield self._idle(cards.problem(cards.told(error), "Not taught"))

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

    def _idle(self, words: str) -> dict[Any, Any]:
        return {
            self.start: gr.Button(interactive=True),
            self.stop: gr.Button(visible=False),
            self.status: words,
        }

    def _result(self, collection: Collection, found: dict[str, Any], view: dict[str, Any] | None) -> dict[Any, Any]:
        page = View.from_page(view)
        sources = {clip.file: clip.source for clip in collection.read().clips}
        shape = View(min(page.width - 40, _MATRIX_WIDTH), page.pixel_ratio, page.dark)
        title = "Clips left out: true genre and answer"
        return {
            self.results: gr.Row(visible=True),
            self.card: markup.result(found),
            self.wrong: markup.wrong(found, sources),
            self.confusion: confusion_card(found["confusion"], found["genres"], title, shape, "clips"),
            self.file: gr.DownloadButton(value=download_file(taught_file(collection), f"{collection.folder.name}.safetensors")),
        }


def _taught(collection: Collection, monitor: Monitor, *, extend: bool) -> Taught:
    """Teach from a collection, and keep the model in its folder."""
    examples, others = examples_of(collection)
    taught = teach(
        examples,
        checkpoint_named(None),
        extend=extend,
        none_of_these=others,
        cache=collection.folder / CACHE,
        prune=True,
        monitor=monitor,
    )
    save_checkpoint(taught.checkpoint, taught_file(collection))
    return taught


def _connect_use(frame: Frame, use: gr.Button, collection: gr.State, status: gr.HTML) -> None:
    """Connect the button that uses the taught model in Classify and Live."""
    checkpoint, own, options, live = (frame.parts[part] for part in ("checkpoint", "own", "options", "live checkpoint"))
    used = gr.Checkbox(visible=False)

    def take(name: str, own_path: str | None, request: gr.Request) -> dict[Any, Any]:
        try:
            found = collection_of(request.session_hash, name)
            file = taught_file(found)
            if not file.is_file():
                raise DataError("Teach a model first.")
        except PROBLEMS as error:
            return {status: cards.problem(cards.told(error), "Not done"), used: False}
        chosen = TAUGHT + found.folder.name
        if belongs_to_session():
            own_path, chosen = str(file), own_choice(str(file))
        offered = still_offered([chosen], own_path)
        return {
            own: own_path,
            checkpoint: gr.Dropdown(**offered),
            live: gr.Dropdown(**offered),
            options: gr.Accordion(open=True),
            frame.tabs: gr.Tabs(selected="Classify"),
            used: True,
        }

    outputs = [own, checkpoint, live, options, frame.tabs, used, status]
    clicked = use.click(take, [collection, own], outputs, **PRIVATE)
    frame.classify_after(clicked, used)
