"""The Batch tab: classify many files into one table; a bad file gets a row with the reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import gradio as gr

from genre_app.ui import cards
from genre_app.ui.batch import actions, truth
from genre_app.ui.batch.table import Row, to_csv, to_html
from genre_app.ui.collect.correct import choices
from genre_app.ui.downloads import download
from genre_app.ui.figures import View
from genre_app.ui.frame import PRIVATE, Frame, Updates, assets, in_queue
from genre_app.ui.limits import Budget
from genre_app.ui.offered import checkpoint_dropdown, offered_now
from genre_app.ui.player import native_player
from genre_app.ui.service import MAX_FILES, PROBLEMS, answer, checkpoint_named
from genre_app.vote import DEFAULT_VOTE

_INTRO = """
<p class="intro">Drop several songs, or folders of them. They are classified one after the other. Play a row to
hear it, or open it in Classify to see why.</p><p id="songs-problem" role="alert"></p>
"""


_WITH_FOLDERS = (
    "(files, checkpoint, vote, ...rest) => [files, checkpoint, vote, genreFolders.known(), performance.now(), ...rest.slice(2)]"
)
_WITH_VIEW = "(state, _) => [state, genreApp.view('#progress')]"
_WAITING = "() => '<p role=status>Waiting for a place …</p>'"
# The card is rendered anew after each correction.
_KEEP_OPEN = """
let isOpen = false;
element.addEventListener("toggle", ({ target }) => target.isConnected && (isOpen = target.open), true);
watch("value", () => element.querySelector("details")?.toggleAttribute("open", isOpen));
"""
_EACH: dict[str, Any] = {**PRIVATE, "trigger_mode": "multiple"}  # a second action need not wait for the first
_TELL_PLACE = "genreApp.tellIn('#progress', `Your batch is number ${place} that wait for a place.`)"
_TWO_AT_ONCE: dict[str, Any] = {"concurrency_id": "batch", "concurrency_limit": 2}  # batches; others wait


@dataclass
class Going:
    """The latest batch of a visit, or that it was cleared; and how the batch is to end before all files are done.

    The batch ends itself, and shows its end: the browser may still have some of its tables to show, which would otherwise come
    after what another event shows.

    Attributes
    ----------
    asked : float
        When the visitor asked for it, in milliseconds since the page was opened. What was asked for earlier, and has waited in
        the queue since, does not start any more.
    ending : {"stopped", "cleared", "replaced"} or None
    """

    asked: float = 0.0
    ending: Literal["stopped", "cleared", "replaced"] | None = None


class Parts:
    """The components of the tab, and what fills them. The constructor adds them to the page."""

    def __init__(self) -> None:
        gr.HTML(_INTRO)
        with gr.Row(elem_classes="columns"):
            with gr.Column(scale=4, min_width=320):
                self.files = gr.File(file_count="multiple", label="Songs", elem_id="songs", height=220)
                self.folder = gr.Button("Choose a folder", size="sm")
                self.checkpoint = checkpoint_dropdown()
                self.vote = gr.Dropdown(cards.vote_choices(), value=DEFAULT_VOTE, label="Vote")
                with gr.Row():
                    self.again = gr.Button("Classify again", interactive=False, min_width=140)
                    self.stop = gr.Button("Stop", interactive=False, min_width=100)
            with gr.Column(scale=9, min_width=320):
                self.status = gr.HTML("", elem_id="progress")
                self.queue = in_queue("batches", _TELL_PLACE)  # of the event that runs a batch
                self.score = gr.HTML("", elem_id="batch-score", js_on_load=_KEEP_OPEN)
                self.player = native_player("Song", "batch-player", autoplay=True, visible=False)
                self.table = gr.HTML("", elem_id="results", js_on_load=assets("batch.js"))
                self.said = gr.HTML("", elem_id="batch-said")
                self.csv = gr.DownloadButton("Download CSV", size="sm", visible=False)
        self.state = gr.State(None)  # the rows
        self.going = gr.State(None)  # a `Going`

    @property
    def outputs(self) -> list[Any]:
        """What a batch changes."""
        shown = [self.status, self.score, self.player, self.table, self.said, self.csv]
        return [self.again, self.stop, *shown, self.state, self.going]

    def run(
        self,
        paths: list[str] | None,
        checkpoint: list[str],
        vote: str,
        sent: Any,
        asked: float,
        chosen: str | None,
        before: Going | None,
        request: gr.Request,
    ) -> Iterator[Updates]:
        """Classify the files, and show each answer as it comes, in place of the batch before."""
        if before is not None and before.asked > asked:
            yield {self.table: gr.skip()}
            return
        end(before, "replaced")
        paths = paths or []
        is_cut, paths = len(paths) > MAX_FILES, paths[:MAX_FILES]
        genres = _known_genres(checkpoint, chosen, request)
        truths = truth.true_genres(paths, truth.folders_of(sent, paths), genres)
        rows: list[Row] = []
        budget, going = Budget(), Going(asked)
        yield {**self.emptied(), **self.buttons(can_repeat=False, can_stop=bool(paths)), self.going: going}
        for path, true_genre in zip(paths, truths, strict=True):
            yield {self.status: _status(rows, len(paths), Path(path).name), self.table: to_html(rows), self.state: [*rows]}
            if going.ending is None:
                rows.append(replace(classify_file(path, checkpoint, vote, budget), path=path, truth=true_genre))
            if going.ending is not None:
                break
        if going.ending == "replaced":
            yield {self.table: gr.skip()}  # gradio shows the last of these once more
        elif going.ending == "cleared":
            yield self.emptied()
        else:
            status = _status(rows, len(paths), "stopped" if going.ending else "") if paths else ""
            if is_cut and not going.ending:
                words = f"One batch takes {MAX_FILES} files: the first {MAX_FILES} are done, drop the others again"
                status += cards.problem(words)
            yield {
                self.status: status,
                self.table: to_html(rows, genres),
                **self.buttons(can_repeat=bool(paths)),
                self.csv: gr.DownloadButton(value=download("genres.csv", to_csv(rows)), visible=bool(rows)),
                self.state: rows,
            }

    def buttons(self, *, can_repeat: bool, can_stop: bool = False) -> Updates:
        """Return updates of the two buttons."""
        return {self.again: gr.Button(interactive=can_repeat), self.stop: gr.Button("Stop", interactive=can_stop)}

    def stopping(self, going: Going | None) -> Updates:
        """Let the batch end after the file that is being classified."""
        end(going, "stopped")
        return {self.stop: gr.Button("Stopping …", interactive=False)}

    def clear(self, going: Going | None, asked: float) -> Updates:
        """End the batch, also one that waits in the queue, and show none."""
        end(going, "cleared")
        return {**self.emptied(), self.going: Going(asked)}

    def emptied(self) -> Updates:
        """Return updates that show no batch."""
        return {
            **dict.fromkeys([self.status, self.table, self.score, self.said], ""),
            self.csv: gr.DownloadButton(visible=False),
            self.player: gr.Audio(value=None, visible=False),
            self.state: None,
            **self.buttons(can_repeat=False),
        }


def end(going: Going | None, ending: Literal["stopped", "cleared", "replaced"]) -> None:
    """End a batch, if there is one."""
    if going is not None:
        going.ending = ending


def build(frame: Frame) -> None:
    """Lay out the tab and connect its events; call it within the `gradio.Tab`."""
    parts = Parts()
    collection, view = frame.parts["collection"], gr.JSON(visible=False)
    frame.tab["Batch"].select(offered_now, parts.checkpoint, parts.checkpoint, **PRIVATE)
    folders, asked = gr.JSON(visible=False), gr.Number(visible=False)
    inputs = [parts.files, parts.checkpoint, parts.vote, folders, asked, collection, parts.going]
    starting = [parts.files.upload, parts.again.click]
    gr.on(starting, None, None, parts.status, js=_WAITING, **PRIVATE)
    running = gr.on(starting, parts.run, inputs, parts.outputs, js=_WITH_FOLDERS, **_EACH | _TWO_AT_ONCE | parts.queue)
    parts.folder.click(None, None, None, js="() => genreFolders.choose()")
    corrected = parts.table.truth(actions.set_truth, parts.state, [parts.state, parts.csv], **_EACH)
    parts.stop.click(parts.stopping, parts.going, parts.stop, **PRIVATE)
    for after in (running.then, corrected.then, frame.redraw.click):
        after(_score, [parts.state, view], parts.score, js=_WITH_VIEW, **PRIVATE)
    parts.table.keep(actions.keep, [parts.state, collection], parts.said, **_EACH)
    played = parts.table.play(actions.play, parts.state, [parts.player, parts.said], **_EACH)
    played.then(None, None, None, js="() => genreBatch.play()")
    actions.connect_classify(frame, parts.table.open, parts.state, parts.said)
    now = "(going, _) => { genreFolders.forget(); return [going, performance.now()]; }"
    parts.files.clear(parts.clear, [parts.going, asked], parts.outputs, js=now, **PRIVATE)


def _known_genres(checkpoint: list[str], chosen: str | None, request: gr.Request) -> list[str]:
    genres: Sequence[str] = ()
    with suppress(*PROBLEMS):  # each row says what is wrong with the checkpoint
        genres = checkpoint_named(checkpoint).genres
    return choices(chosen, request, genres)


def _score(rows: list[Row] | None, view: Any) -> str:
    answered = [(row.prediction, row.truth) for row in rows or [] if row.prediction]
    return truth.score(answered, View.from_page(view))


def classify_file(path: str, checkpoint: str | list[str] | None, vote: str | None, budget: Budget | None = None) -> Row:
    """Classify one file of a batch; an error becomes part of the row."""
    name = Path(path).name
    try:
        return Row(name, answer(path, checkpoint=checkpoint, vote=vote, budget=budget).prediction)
    except PROBLEMS as error:
        return Row(name, None, cards.told(error))


def _status(rows: list[Row], total: int, doing: str = "") -> str:
    return cards.progress(len(rows), total, sum(row.prediction is None for row in rows), doing)
