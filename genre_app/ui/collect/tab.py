"""The Collect tab: cards of genres, with clips that a visitor records, drops, moves and deletes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import gradio as gr

from genre_app.data.collection import Collection
from genre_app.data.collection.transfer import export_zip
from genre_app.errors import DataError
from genre_app.ui import cards, microphone
from genre_app.ui.collect import actions, room, store
from genre_app.ui.collect.board import board, number, shown_name
from genre_app.ui.downloads import download_file
from genre_app.ui.frame import PRIVATE, Frame, assets, turn
from genre_app.ui.player import native_player
from genre_app.ui.service import MAX_BYTES, PROBLEMS, max_upload_bytes
from genre_app.ui.teach import panel as teach

_SCRIPTS = ("collect_shared.js", "collect.js", "collect_input.js", "collect_events.js")  # one function, in this order
# Several visitors act at once. A second action of one visitor waits for the collection's lock.
_TOGETHER: dict[str, Any] = {**PRIVATE, "concurrency_id": "collect", "concurrency_limit": 8, "trigger_mode": "multiple"}
_TAKE = """
<div class="take-head"><p>Recording for <b class="take-genre"></b></p>
<button type="button" class="take-stop">■ Stop and add</button><button type="button" class="take-cancel">Cancel</button></div>
"""


def build(frame: Frame) -> None:
    """Lay out the tab and connect its events; call it within the `gradio.Tab`."""
    chosen = frame.parts["collection"]
    intro = gr.HTML(_intro(), elem_id="collect-intro")
    said = gr.HTML('<p role="status"></p>', elem_id="collect-said")
    with gr.Column(elem_id="collect-strip"):
        gr.HTML(_TAKE)
        microphone.panel("collect-take", "example")
        take = microphone.recorder("collect-take", "Example")
    player = native_player("Clip", "collect-player", autoplay=True, visible=False)
    shown = gr.HTML("", elem_id="collect-board", js_on_load=_script(), apply_default_css=False)
    with gr.Row(elem_classes="actions"):
        pack = gr.Button("Export as zip", size="sm")
        importing = gr.Button("Import a zip", size="sm", elem_id="collect-import")
        packed = gr.DownloadButton(visible="hidden", elem_id="collect-zip")
    hidden = store.belongs_to_session()
    with gr.Accordion("Other collections", open=False, elem_id="collect-named", visible=not hidden) as named, gr.Row():
        chooser = gr.Dropdown([store.DEFAULT_NAME], value=store.DEFAULT_NAME, label="Collection", min_width=160, scale=3)
        new_name = gr.Textbox(label="New collection", placeholder="its name", max_lines=1, min_width=160, scale=3)
        create = gr.Button("Create", size="md", min_width=90, scale=1)
    moved = teach.build(frame, cast(gr.State, chosen))
    moved.then(_board, chosen, shown, **PRIVATE)
    room.build(frame)

    target = gr.Textbox(visible=False)  # the page's script puts the genre of a recording here
    answer = [shown, said]
    shown.act(act, chosen, answer, **_TOGETHER)
    shown.play(play, chosen, [player, said], **_TOGETHER)
    with_target = "(take, _, ...rest) => [take, genreCollect.recorded(), ...rest]"
    take.stop_recording(add_take, [take, target, chosen], answer, js=with_target, **_TOGETHER)
    pack.click(export, chosen, [packed, said], **PRIVATE).then(None, None, None, js="() => genreCollect.download()")
    importing.click(None, None, None, js="() => genreCollect.chooseZip()")
    switched = [chosen, chooser, new_name, *answer]
    # Not only the last of several: the answer to the first one would set the choice back.
    chooser.input(switch, [chooser, chosen], switched, **PRIVATE | {"trigger_mode": "multiple"})
    gr.on([create.click, new_name.submit], switch, [new_name, chosen], switched, **PRIVATE)
    frame.app.load(store.last_used, None, chosen, **PRIVATE)
    frame.tab["Collect"].select(arrive, chosen, [intro, named, chooser, *answer], **PRIVATE)
    frame.app.unload(leave)


def arrive(chosen: str | None, request: gr.Request) -> tuple[Any, ...]:
    """Show the collection as it is now, also what other windows and tabs have changed."""
    is_named = not store.belongs_to_session()
    names = gr.Dropdown(store.collection_names(), value=chosen or store.last_used()) if is_named else gr.skip()
    return _intro(), gr.Accordion(visible=is_named), names, *_shown(chosen, request, "")


def leave(request: gr.Request) -> None:
    """Delete the collection of a visitor of a public page."""
    store.end_session(request.session_hash)


def switch(name: str | None, chosen: str | None, request: gr.Request) -> tuple[Any, ...]:
    """Open another collection, or create it."""
    try:
        name = store.choose(name or "")
    except PROBLEMS as error:
        return chosen, gr.skip(), gr.skip(), gr.skip(), _problem(error)
    return name, gr.Dropdown(store.collection_names(), value=name), "", *_shown(name, request, f"This is {name}.")


def act(chosen: str | None, event: gr.EventData, request: gr.Request) -> Iterator[tuple[Any, Any]]:
    """Do what the board's script asks for; show its progress, and then the board."""
    data = event._data if isinstance(event._data, dict) else {}
    expanded = data.get("expanded")
    expanded = [name for name in expanded if isinstance(name, str)] if isinstance(expanded, list) else []
    words = ""
    try:
        for words in actions.act(_collection(chosen, request), data):
            if words.endswith("…"):
                yield gr.skip(), _status(words)
    except PROBLEMS as error:
        yield _board(chosen, request, expanded), _problem(error)
        return
    yield _shown(chosen, request, words, expanded)


def add_take(path: str | None, genre: str, chosen: str | None, request: gr.Request) -> tuple[Any, Any]:
    """Add a recording to the genre whose Record button was pressed; without a genre, the recording was cancelled."""
    try:
        if not genre:
            return _shown(chosen, request, "The recording was not kept.")
        if path is None:
            raise DataError("No recording arrived; record again.")
        return _shown(chosen, request, actions.add_recording(_collection(chosen, request), genre, path))
    except PROBLEMS as error:
        return _board(chosen, request), _problem(error)


def play(chosen: str | None, event: gr.EventData, request: gr.Request) -> tuple[Any, Any]:
    """Play a clip in the tab's player."""
    try:
        collection = _collection(chosen, request)
        data = event._data if isinstance(event._data, dict) else {}
        wanted = actions.text(data, "clip")
        clip = next((clip for clip in collection.read().clips if clip.id == wanted), None)
        path = collection.path(wanted)
        file = download_file(path, path.name)
    except OSError:
        return gr.skip(), _problem(DataError("This clip is no longer in the collection."))
    except PROBLEMS as error:
        return gr.skip(), _problem(error)
    label = f"{clip.genre}: {shown_name(clip)}" if clip else "Clip"
    return gr.Audio(file, label=label, visible=True), gr.skip()


def export(chosen: str | None, request: gr.Request) -> tuple[Any, Any]:
    """Write the collection to a zip; the page's script then presses the hidden button that downloads it."""
    try:
        collection = _collection(chosen, request)
        name = f"{collection.folder.name}.zip"
        with TemporaryDirectory(prefix="genre-app-export-") as folder:
            n_clips = export_zip(collection, Path(folder) / name)
            file = download_file(Path(folder) / name, name)
    except PROBLEMS as error:
        return None, _problem(error)
    return file, _status(f"{name} holds {number(n_clips, 'clip')}.")


def _collection(chosen: str | None, request: gr.Request) -> Collection:
    return store.collection_of(request.session_hash, chosen)


def _board(chosen: str | None, request: gr.Request, expanded: Sequence[str] = ()) -> str:
    try:
        collection = _collection(chosen, request)
        name = "" if store.belongs_to_session() else collection.folder.name
        return board(collection.read(), expanded, name)
    except PROBLEMS as error:
        return cards.problem(cards.told(error), "No collection")


def _shown(chosen: str | None, request: gr.Request, words: str, expanded: Sequence[str] = ()) -> tuple[str, str]:
    return _board(chosen, request, expanded), _status(words)


def _status(words: str) -> str:
    # As on the board, the number makes each answer differ: the page's script may have written over the one before.
    return f'<p role="status" data-turn="{turn()}">{escape(words)}</p>'


def _problem(error: Exception) -> str:
    return f'<p class="failed" role="alert" data-turn="{turn()}">{escape(cards.full_stop(cards.told(error)))}</p>'


def _intro() -> str:
    words = f"Collect examples of your own genres. {actions.HINT}"
    kind = "intro"
    if store.belongs_to_session():
        kind, limits = "intro public", store.SESSION_LIMITS
        words += (
            " This page is public, so your collection belongs to this visit: only you see it, it holds up to "
            f"{limits.clips} clips and {limits.seconds / 60:.0f} minutes, and it is deleted soon after you close or reload the "
            "page. Export it to keep it."
        )
    else:
        words += " Everything stays on this machine."
    return f'<p class="{kind}">{escape(words)}</p>'


def _script() -> str:
    return assets(*_SCRIPTS).replace("MAX_BYTES", str(MAX_BYTES)).replace("MAX_ZIP_BYTES", str(max_upload_bytes()))
