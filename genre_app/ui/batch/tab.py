"""The Batch tab: classify many files into one table; a bad file gets a row with the reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from genre_app.ui import cards
from genre_app.ui.batch import truth
from genre_app.ui.batch.table import GENRE_LETTERS, Row, to_csv, to_html
from genre_app.ui.collect.correct import add_corrected, choices
from genre_app.ui.downloads import download
from genre_app.ui.figures import View
from genre_app.ui.frame import PRIVATE, Frame
from genre_app.ui.limits import Budget
from genre_app.ui.service import MAX_FILES, PROBLEMS, VOTE_NAMES, answer, checkpoint_named, still_offered
from genre_app.vote import DEFAULT_VOTE

_INTRO = """
<p class="intro">Drop several songs, or folders of them. They are classified one after the other. A file that cannot be read
gets a row with the reason.</p><p id="songs-problem" role="alert"></p>
"""


VOTE_CHOICES = [(label, name) for name, label in VOTE_NAMES.items()]
_WITH_FOLDERS = "(files, checkpoint, vote, _, ...rest) => [files, checkpoint, vote, genreFolders.known(), ...rest]"
# The table is rendered anew, so its events are handled on its place.
_ON_TABLE = """
element.addEventListener("change", ({ target }) => {
  if (!target.matches(".truth")) return;
  const genre = target.value.trim();
  const isRight = genre.toLowerCase() === target.dataset.answer.toLowerCase();
  target.parentElement.querySelector(".mark").textContent = genre && (isRight ? "✓" : "≠");
  trigger("truth", { row: Number(target.dataset.row), genre });
});
element.addEventListener("click", ({ target }) => {
  if (target.matches(".keep")) trigger("keep", { row: Number(target.dataset.row) });
});
"""
_TWO_AT_ONCE: dict[str, Any] = {"concurrency_id": "batch", "concurrency_limit": 2}  # batches; others wait


Updates = dict[Any, Any]


@dataclass(frozen=True)
class Parts:
    """The components of the tab."""

    files: gr.File
    folder: gr.Button
    checkpoint: gr.Dropdown
    vote: gr.Dropdown
    again: gr.Button
    stop: gr.Button
    status: gr.HTML
    score: gr.HTML
    table: gr.HTML
    said: gr.HTML
    csv: gr.DownloadButton
    state: gr.State

    @property
    def outputs(self) -> list[Any]:
        """What a batch changes."""
        return [self.status, self.table, self.again, self.stop, self.csv, self.score, self.said, self.state]

    def run(
        self, paths: list[str] | None, checkpoint: list[str], vote: str, sent: Any, chosen: str | None, request: gr.Request
    ) -> Iterator[Updates]:
        """Classify the files, and show each answer as it comes."""
        paths = (paths or [])[: MAX_FILES + 1]
        n_files = min(len(paths), MAX_FILES)
        genres = _known_genres(checkpoint, chosen, request)
        truths = truth.true_genres(paths, truth.folders_of(sent, paths), genres)
        rows: list[Row] = []
        budget = Budget.of_batch()
        yield {
            **self.buttons(can_repeat=False, can_stop=bool(paths)),
            self.csv: gr.DownloadButton(visible=False),
            self.score: "",
            self.said: "",
        }
        for path, true_genre in list(zip(paths, truths, strict=True))[:MAX_FILES]:
            yield {self.status: _status(rows, n_files, Path(path).name), self.table: to_html(rows)}
            rows.append(replace(classify_file(path, checkpoint, vote, budget), path=path, truth=true_genre))
        yield {
            self.status: _end(rows, len(paths)),
            self.table: to_html(rows, genres),
            **self.buttons(can_repeat=bool(paths)),
            self.csv: gr.DownloadButton(value=download("genres.csv", to_csv(rows)), visible=bool(rows)),
            self.state: rows,
        }

    def buttons(self, *, can_repeat: bool, can_stop: bool = False) -> Updates:
        """Return updates of the two buttons."""
        return {self.again: gr.Button(interactive=can_repeat), self.stop: gr.Button(interactive=can_stop)}

    def emptied(self) -> Updates:
        """Return updates that show no batch."""
        return {
            **dict.fromkeys([self.status, self.table, self.score, self.said], ""),
            self.csv: gr.DownloadButton(visible=False),
            self.state: None,
            **self.buttons(can_repeat=False),
        }


def build(frame: Frame) -> None:
    """Lay out the tab and connect its events; call it within the `gradio.Tab`."""
    gr.HTML(_INTRO)
    with gr.Row(elem_classes="columns"):
        with gr.Column(scale=4, min_width=320):
            files = gr.File(file_count="multiple", label="Songs", elem_id="songs", height=220)
            folder = gr.Button("Choose a folder", size="sm")
            info = "The trained model that answers. Several are averaged."
            checkpoint = gr.Dropdown(**still_offered(None), label="Checkpoint", info=info)
            vote = gr.Dropdown(VOTE_CHOICES, value=DEFAULT_VOTE, label="Vote")
            with gr.Row():
                again = gr.Button("Classify again", interactive=False)
                stop = gr.Button("Stop", interactive=False)
        with gr.Column(scale=7, min_width=320):
            status = gr.HTML("", elem_id="progress")
            score = gr.HTML("", elem_id="batch-score")
            table = gr.HTML("", elem_id="results", js_on_load=_ON_TABLE)
            said = gr.HTML("", elem_id="batch-said")
            csv = gr.DownloadButton("Download CSV", size="sm", visible=False)
    state = gr.State(None)  # the rows
    _connect(frame, Parts(files, folder, checkpoint, vote, again, stop, status, score, table, said, csv, state))


def _connect(frame: Frame, parts: Parts) -> None:
    collection, view = frame.parts["collection"], gr.JSON(visible=False)
    arriving = [frame.app.load, frame.tab["Batch"].select]
    gr.on(arriving, lambda chosen: gr.Dropdown(**still_offered(chosen)), parts.checkpoint, parts.checkpoint, **PRIVATE)
    inputs = [parts.files, parts.checkpoint, parts.vote, gr.JSON(visible=False), collection]
    starting = [parts.files.upload, parts.again.click]
    running = gr.on(starting, parts.run, inputs, parts.outputs, js=_WITH_FOLDERS, **PRIVATE, **_TWO_AT_ONCE)
    parts.folder.click(None, None, None, js="() => genreFolders.choose()")
    corrected = parts.table.truth(set_truth, parts.state, [parts.state, parts.csv], **PRIVATE, trigger_mode="multiple")
    for event in (running, corrected):
        event.then(
            lambda rows, view: _score(rows or [], View.from_page(view)),
            [parts.state, view],
            parts.score,
            js="(state, _) => [state, genreApp.view('#progress')]",
            **PRIVATE,
        )
    parts.table.keep(keep, [parts.state, collection], parts.said, **PRIVATE, trigger_mode="multiple")
    parts.stop.click(lambda: parts.buttons(can_repeat=True), None, [parts.again, parts.stop], cancels=[running], **PRIVATE)
    parts.files.clear(parts.emptied, None, parts.outputs, cancels=[running], **PRIVATE)


def set_truth(rows: list[Row] | None, event: gr.EventData) -> tuple[Any, Any]:
    """Take the true genre that the visitor has typed beside a row."""
    row = _chosen_row(rows, event)
    if rows is None or row is None:
        return gr.skip(), gr.skip()
    genre = event._data.get("genre")
    genre = " ".join(genre.split())[:GENRE_LETTERS] if isinstance(genre, str) else ""
    changed = [replace(other, truth=genre) if other is row else other for other in rows]
    return changed, download("genres.csv", to_csv(changed))


def keep(rows: list[Row] | None, chosen: str | None, event: gr.EventData, request: gr.Request) -> Any:
    """Add the file of a row, with its true genre, to the visitor's collection."""
    row = _chosen_row(rows, event)
    if row is None:
        return cards.problem("This row is gone; classify the files again.", "Not added")
    if not row.truth:
        return cards.problem(f"Type the true genre of {row.file} first.", "Not added")
    said, _ = add_corrected(row.truth, row.path, row.prediction, chosen, request, origin="batch", name=row.file)
    return said


def _chosen_row(rows: list[Row] | None, event: gr.EventData) -> Row | None:
    """Return the row whose number the browser has sent."""
    number = event._data.get("row") if isinstance(event._data, dict) else None
    return rows[number] if rows and isinstance(number, int) and 0 <= number < len(rows) else None


def _known_genres(checkpoint: list[str], chosen: str | None, request: gr.Request) -> list[str]:
    genres: Sequence[str] = ()
    with suppress(*PROBLEMS):  # each row says what is wrong with the checkpoint
        genres = checkpoint_named(checkpoint).genres
    return choices(chosen, request, genres)


def _score(rows: list[Row], view: View) -> str:
    return truth.score([(row.prediction, row.truth) for row in rows if row.prediction], view)


def _end(rows: list[Row], n_files: int) -> str:
    """Return the status of a finished batch."""
    words = _status(rows, n_files) if n_files else ""
    if n_files > MAX_FILES:
        words += cards.problem(f"One batch takes {MAX_FILES} files: the first {MAX_FILES} are done, drop the others again")
    return words


def classify_file(path: str, checkpoint: str | list[str] | None, vote: str | None, budget: Budget | None = None) -> Row:
    """Classify one file of a batch; an error becomes part of the row."""
    name = Path(path).name
    try:
        return Row(name, answer(path, checkpoint=checkpoint, vote=vote, budget=budget).prediction)
    except PROBLEMS as error:
        return Row(name, None, str(error))


def _status(rows: list[Row], total: int, doing: str = "") -> str:
    return cards.progress(len(rows), total, sum(row.prediction is None for row in rows), doing)
