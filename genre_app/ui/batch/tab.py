"""The Batch tab: many files, one table; a bad file gets a row that says what is wrong with it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from genre_app.predict import Prediction
from genre_app.ui import cards
from genre_app.ui.downloads import download
from genre_app.ui.frame import Frame
from genre_app.ui.service import MAX_FILES, PROBLEMS, VOTE_NAMES, answer, checkpoint_choices, still_offered
from genre_app.vote import DEFAULT_VOTE

_INTRO = """
<p class="intro">Drop several songs. They are classified one after the other; a file that cannot be read gets a row that says
why, and the others go on.</p><p id="songs-problem" role="alert"></p>
"""


@dataclass(frozen=True)
class Row:
    """One file's result: a prediction, or why there is none."""

    file: str
    prediction: Prediction | None
    error: str = ""


def build(frame: Frame) -> None:
    """Lay out the tab and connect it; called within its `gradio.Tab`."""
    checkpoints = checkpoint_choices()
    gr.HTML(_INTRO)
    with gr.Row(elem_classes="columns"):
        with gr.Column(scale=4, min_width=320):
            files = gr.File(file_count="multiple", label="Songs", elem_id="songs", height=220)
            with gr.Row():
                checkpoint = gr.Dropdown(checkpoints, value=checkpoints[0], label="Checkpoint", min_width=140)
                vote = gr.Dropdown(
                    [(label, name) for name, label in VOTE_NAMES.items()], value=DEFAULT_VOTE, label="Vote", min_width=140
                )
            with gr.Row():
                again = gr.Button("Classify again", interactive=False)
                stop = gr.Button("Stop", interactive=False)
        with gr.Column(scale=7, min_width=320):
            status = gr.HTML("", elem_id="progress")
            table = gr.HTML("", elem_id="results")
            csv_button = gr.DownloadButton("Download CSV", size="sm", visible=False)

    def run(paths: list[str] | None, checkpoint: str, vote: str) -> Iterator[dict[Any, Any]]:
        paths = paths or []
        rows: list[Row] = []
        yield {
            again: gr.Button(interactive=False),
            stop: gr.Button(interactive=bool(paths)),
            csv_button: gr.DownloadButton(visible=False),
        }
        for path in paths[:MAX_FILES]:
            yield {status: _status(rows, len(paths), Path(path).name), table: to_html(rows)}
            rows.append(classify_file(path, checkpoint, vote))
        words = _status(rows, len(paths)) if paths else ""
        if len(paths) > MAX_FILES:
            words += cards.problem(f"One batch takes {MAX_FILES} files: the first {MAX_FILES} are done, drop the others anew")
        yield {
            status: words,
            table: to_html(rows),
            again: gr.Button(interactive=bool(paths)),
            stop: gr.Button(interactive=False),
            csv_button: gr.DownloadButton(value=download("genres.csv", to_csv(rows)), visible=bool(rows)),
        }

    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    outputs = [status, table, again, stop, csv_button]
    arriving = [frame.app.load, frame.tab["Batch"].select]
    gr.on(arriving, lambda chosen: gr.Dropdown(**still_offered(chosen)), checkpoint, checkpoint, **private)
    event = gr.on(
        [files.upload, again.click],
        run,
        [files, checkpoint, vote],
        outputs,
        concurrency_id="batch",
        concurrency_limit=2,
        **private,
    )
    stop.click(
        lambda: (gr.Button(interactive=True), gr.Button(interactive=False)), None, [again, stop], cancels=[event], **private
    )
    files.clear(
        lambda: ("", "", gr.Button(interactive=False), gr.Button(interactive=False), gr.DownloadButton(visible=False)),
        None,
        outputs,
        cancels=[event],
        **private,
    )


def classify_file(path: str, checkpoint: str | None, vote: str | None, overlap: float | None = None) -> Row:
    """Classify one file of many; what is wrong with it becomes part of the result."""
    name = Path(path).name
    try:
        return Row(name, answer(path, checkpoint=checkpoint, vote=vote, overlap=overlap).prediction)
    except PROBLEMS as error:
        return Row(name, None, str(error))


def to_html(rows: list[Row]) -> str:
    """Return the table of the page; on a phone each row becomes a card."""
    if not rows:
        return ""
    lines = []
    for row in rows:
        p = row.prediction
        if p is None:
            name = escape(row.file)
            why = escape(row.error.removeprefix(f"{row.file}: "))
            lines.append(f'<tr class="failed"><td>{name}</td><td>no answer</td><td></td><td></td><td>{why}</td></tr>')
        else:
            genre = (
                f"<b>{escape(p.guess)}</b>" if p.is_sure else "not sure: " + escape(" or ".join(genre for genre, _ in p.top(2)))
            )
            if p.is_noise:
                genre = "no music heard"
            agree = f"{p.n_agree} of {p.n_sounding} frames" if p.n_sounding > 1 else "a single frame"
            lines.append(
                f"<tr><td>{escape(p.name)}</td><td>{genre}</td><td>{escape(cards.percent(p.top(1)[0][1]))}</td><td>{agree}</td>"
                f"<td>{escape('; '.join(p.warnings))}</td></tr>"
            )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("File", "Genre", "Probability", "Agree", "Remarks"))
    return f'<table class="results"><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table>'


def to_csv(rows: list[Row]) -> str:
    """Return a row per file: its genre, the probabilities, the frames, warnings or the error."""
    genres = next((row.prediction.genres for row in rows if row.prediction), ())
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "genre", "sure", "frames", "frames_agree", "vote", "checkpoint", "warnings", "error", *genres])
    for row in rows:
        p = row.prediction
        if p is None:
            writer.writerow([row.file, "", "", "", "", "", "", "", row.error, *("" for _ in genres)])
        else:
            start = [
                row.file,
                p.genre or "",
                str(p.is_sure).lower(),
                p.n_sounding,
                p.n_agree,
                p.vote,
                p.checkpoint,
                "; ".join(p.warnings),
                "",
            ]
            writer.writerow([*start, *(f"{value:.8g}" for value in p.probabilities)])
    return text.getvalue()


def _status(rows: list[Row], total: int, doing: str = "") -> str:
    return cards.progress(len(rows), total, sum(row.prediction is None for row in rows), doing)
