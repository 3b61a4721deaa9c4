"""The Batch tab: classify many files into one table; a bad file gets a row with the reason."""

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
from genre_app.ui.service import MAX_FILES, PROBLEMS, VOTE_NAMES, answer, still_offered
from genre_app.vote import DEFAULT_VOTE

_INTRO = """
<p class="intro">Drop several songs. They are classified one after the other. A file that cannot be read gets a row with the
reason.</p><p id="songs-problem" role="alert"></p>
"""


VOTE_CHOICES = [(label, name) for name, label in VOTE_NAMES.items()]
_PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
_TWO_AT_ONCE: dict[str, Any] = {"concurrency_id": "batch", "concurrency_limit": 2}  # batches; others wait


@dataclass(frozen=True)
class Row:
    """Result of one file: a prediction, or the reason why there is none."""

    file: str
    prediction: Prediction | None
    error: str = ""


def build(frame: Frame) -> None:
    """Lay out the tab and connect its events; call it within the `gradio.Tab`."""
    gr.HTML(_INTRO)
    with gr.Row(elem_classes="columns"):
        with gr.Column(scale=4, min_width=320):
            files = gr.File(file_count="multiple", label="Songs", elem_id="songs", height=220)
            info = "The trained model that answers. Several are averaged."
            checkpoint = gr.Dropdown(**still_offered(None), label="Checkpoint", info=info)
            vote = gr.Dropdown(VOTE_CHOICES, value=DEFAULT_VOTE, label="Vote")
            with gr.Row():
                again = gr.Button("Classify again", interactive=False)
                stop = gr.Button("Stop", interactive=False)
        with gr.Column(scale=7, min_width=320):
            status = gr.HTML("", elem_id="progress")
            table = gr.HTML("", elem_id="results")
            csv_button = gr.DownloadButton("Download CSV", size="sm", visible=False)

    def run(paths: list[str] | None, checkpoint: list[str], vote: str) -> Iterator[dict[Any, Any]]:
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
        yield {
            status: _end(rows, len(paths)),
            table: to_html(rows),
            again: gr.Button(interactive=bool(paths)),
            stop: gr.Button(interactive=False),
            csv_button: gr.DownloadButton(value=download("genres.csv", to_csv(rows)), visible=bool(rows)),
        }

    outputs = [status, table, again, stop, csv_button]
    arriving = [frame.app.load, frame.tab["Batch"].select]
    gr.on(arriving, lambda chosen: gr.Dropdown(**still_offered(chosen)), checkpoint, checkpoint, **_PRIVATE)
    running = gr.on([files.upload, again.click], run, [files, checkpoint, vote], outputs, **_PRIVATE, **_TWO_AT_ONCE)

    def buttons(*, can_repeat: bool) -> dict[Any, Any]:
        return {again: gr.Button(interactive=can_repeat), stop: gr.Button(interactive=False)}

    stop.click(lambda: buttons(can_repeat=True), None, [again, stop], cancels=[running], **_PRIVATE)
    files.clear(
        lambda: {status: "", table: "", csv_button: gr.DownloadButton(visible=False), **buttons(can_repeat=False)},
        None,
        outputs,
        cancels=[running],
        **_PRIVATE,
    )


def _end(rows: list[Row], n_files: int) -> str:
    """Return the status of a finished batch."""
    words = _status(rows, n_files) if n_files else ""
    if n_files > MAX_FILES:
        words += cards.problem(f"One batch takes {MAX_FILES} files: the first {MAX_FILES} are done, drop the others again")
    return words


def classify_file(path: str, checkpoint: str | list[str] | None, vote: str | None, overlap: float | None = None) -> Row:
    """Classify one file of a batch; an error becomes part of the row."""
    name = Path(path).name
    try:
        return Row(name, answer(path, checkpoint=checkpoint, vote=vote, overlap=overlap).prediction)
    except PROBLEMS as error:
        return Row(name, None, str(error))


def to_html(rows: list[Row]) -> str:
    """Return the table for the page; on a phone each row becomes a card."""
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{name}</th>' for name in ("File", "Genre", "Probability", "Agree", "Remarks"))
    return f'<table class="results"><thead><tr>{head}</tr></thead><tbody>{"".join(map(_html_row, rows))}</tbody></table>'


def _html_row(row: Row) -> str:
    p = row.prediction
    probability = agree = ""
    if p is None:
        genre, remarks = "no answer", row.error.removeprefix(f"{row.file}: ")
    else:
        remarks = "; ".join(p.warnings)
        if p.rejected:
            genre, remarks = cards.REJECTIONS[p.rejected], _guess(p)
        else:
            (first, _), (second, _) = p.ranked(2)
            genre = f"<b>{escape(first)}</b>" if p.is_sure else f"not sure: {escape(first)} or {escape(second)}"
            probability = escape(cards.percent(p.probabilities.max()))
            agree = f"{p.n_agree} of {p.n_sounding} frames" if p.n_sounding > 1 else "a single frame"
    remarks = escape(remarks[:1].upper() + remarks[1:]).replace(" %", "&nbsp;%")
    cells = "".join(f"<td>{cell}</td>" for cell in (_unbroken(row.file), genre, probability, agree, remarks))
    return f'<tr class="failed">{cells}</tr>' if p is None else f"<tr>{cells}</tr>"


def _unbroken(file: str) -> str:
    """Return a file's name as HTML whose lines never break inside the extension."""
    suffix = Path(file).suffix
    return f'{escape(file.removesuffix(suffix))}<span class="suffix">{escape(suffix)}</span>'


def _guess(p: Prediction) -> str:
    first, share = p.top(1)[0]
    means = "" if p.is_music else f", which means nothing for {p.rejected}"
    return f"The model's guess{means}: {first}, {cards.percent(share)}"


def to_csv(rows: list[Row]) -> str:
    """Return one line per file: genre or why it is rejected, agreement, remarks or the error, and the probabilities."""
    genres = next((row.prediction.genres for row in rows if row.prediction), ())
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["file", "genre", "rejected", "sure", "frames", "frames_agree", "vote", "checkpoint", "warnings", "error", *genres]
    )
    for row in rows:
        if (p := row.prediction) is None:
            writer.writerow([row.file, *[""] * 8, row.error, *[""] * len(genres)])
            continue
        remarks = "; ".join([*p.warnings, _guess(p)] if p.rejected else p.warnings)
        agree = "" if p.rejected else p.n_agree
        facts = [
            p.genre or "",
            p.rejected or "",
            str(p.is_sure).lower(),
            p.n_sounding,
            agree,
            p.vote,
            p.checkpoint,
            remarks,
            "",
        ]
        writer.writerow([row.file, *facts, *(f"{value:.8g}" for value in p.probabilities)])
    return text.getvalue()


def _status(rows: list[Row], total: int, doing: str = "") -> str:
    return cards.progress(len(rows), total, sum(row.prediction is None for row in rows), doing)
