"""The Classify tab: one clip, its vote, and the evidence for it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from genre_app.audio import Clip
from genre_app.audio.synth import STYLES
from genre_app.errors import CheckpointError
from genre_app.predict import Prediction
from genre_app.ui import cards, microphone
from genre_app.ui.classify.examples import example_path
from genre_app.ui.downloads import download
from genre_app.ui.figures import View, clock, draw, time_axes, to_webp
from genre_app.ui.frame import Frame
from genre_app.ui.overview import OverviewTap
from genre_app.ui.service import (
    CONCURRENT,
    PROBLEMS,
    VOTE_NAMES,
    Answer,
    RequestError,
    answer,
    check_own,
    checkpoint_choices,
    checkpoint_named,
    own_choice,
    still_offered,
)
from genre_app.vote import DEFAULT_VOTE

OVERLAPS = [("as trained", "trained"), ("none", "0"), ("25 %", "0.25"), ("50 %", "0.5"), ("75 %", "0.75")]
_HEADERS = ["#", "Start", "Genre", "Probability"]
_ROWS = 200  # frames to a page of the table
_TAKE = "your recording"
_TAKE_FILE = "audio.wav"  # gradio's name for all of them
_WITH_VIEW = "(...values) => [...values.slice(0, 4), genreApp.view(), ...values.slice(5)]"


@dataclass(frozen=True)
class Parts:
    """The components that handlers fill."""

    card: gr.HTML
    vote: gr.Radio
    figure: gr.HTML
    mark: gr.HTML
    table: gr.Dataframe
    page: gr.Dropdown
    json: gr.DownloadButton
    csv: gr.DownloadButton
    state: gr.State
    again: gr.Button

    def all(self) -> list[Any]:
        """Every one of them, for ``outputs``."""
        return list(vars(self).values())


def build(frame: Frame) -> None:
    """Lay out the tab and connect it; called within its `gradio.Tab`."""
    checkpoints = checkpoint_choices()
    view = gr.JSON(visible=False)  # the page's script says here how wide and how dark the page is
    with gr.Row(elem_classes="columns"):
        with gr.Column(scale=4, min_width=320):
            audio = gr.Audio(
                sources=["upload", "microphone"],
                type="filepath",
                label="Music",
                elem_id="music",
                editable=False,
                buttons=[],
                waveform_options=gr.WaveformOptions(waveform_progress_color="#6366f1"),
            )
            microphone.panel("music", "take")
            with gr.Row(elem_classes="examples"):
                gr.HTML("<span>Synthesised examples:</span>")
                examples = [gr.Button(name, size="sm", variant="secondary") for name in STYLES]
            card = gr.HTML(cards.WELCOME, elem_id="final-vote")
            vote = gr.Radio(
                cards.vote_choices(None, tuple(VOTE_NAMES)),
                value=DEFAULT_VOTE,
                label="Vote",
                info=cards.vote_info(None, DEFAULT_VOTE),
                elem_id="vote",
            )
            with gr.Accordion("Options", open=False) as more:
                checkpoint = gr.Dropdown(
                    checkpoints, value=checkpoints[0], label="Checkpoint", info="The trained model that answers."
                )
                upload = gr.UploadButton("Use a checkpoint of your own", size="sm")
                remark = gr.HTML(elem_id="own-checkpoint")
                overlap = gr.Radio(
                    OVERLAPS,
                    value="trained",
                    label="Overlap of neighbouring frames",
                    info="More overlap, more frames: a finer picture, a longer wait.",
                )
            again = gr.Button("Classify again", interactive=False)
        with gr.Column(scale=7, min_width=320):
            figure = gr.HTML(cards.NO_FIGURE, elem_id="figure")
            mark = gr.HTML(elem_id="frame-mark")
            page = gr.Dropdown([], label="Part of the clip", visible=False, interactive=True)
            table = gr.Dataframe(
                headers=_HEADERS,
                datatype=["number", "str", "str", "str"],
                column_widths=["15%", "20%", "32%", "33%"],
                label="Frames: choose a row to hear it",
                interactive=False,
                visible=False,
                max_height=300,
                elem_id="frames",
                buttons=[],
            )
            with gr.Row():
                json_button = gr.DownloadButton("Download JSON", size="sm", visible=False)
                csv_button = gr.DownloadButton("Download CSV", size="sm", visible=False)
    position = gr.Number(visible=False)
    # Kept as long as the page is open: after a time to live, votes and rows would do nothing, without a word.
    state = gr.State(None)
    own = gr.State(None)  # path of the visitor's own checkpoint
    frame.parts |= {"checkpoint": checkpoint, "own": own, "options": more}
    parts = Parts(card, vote, figure, mark, table, page, json_button, csv_button, state, again)

    def run(
        path: str | None, checkpoint: str, vote: str, overlap: str, view: Any, own: str | None = None
    ) -> Iterator[dict[Any, Any]]:
        # A take stays one when it is classified again.
        name = _TAKE if path and Path(path).name == _TAKE_FILE else None
        yield from _classify(parts, path, name, checkpoint, vote, overlap, view, own)

    def run_take(
        path: str | None, checkpoint: str, vote: str, overlap: str, view: Any, own: str | None = None
    ) -> Iterator[dict[Any, Any]]:
        yield from _classify(parts, path, _TAKE, checkpoint, vote, overlap, view, own)

    def run_if(
        path: str | None, checkpoint: str, vote: str, overlap: str, view: Any, own: str | None = None, wanted: bool = False
    ) -> Iterator[dict[Any, Any]]:
        if path is not None and wanted:
            yield from run(path, checkpoint, vote, overlap, view, own)
        else:
            yield {}

    options = [checkpoint, vote, overlap, view, own]
    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    heavy: dict[str, Any] = {**private, "concurrency_id": "classify", "concurrency_limit": CONCURRENT, "js": _WITH_VIEW}
    runs = [
        gr.on([audio.upload, again.click], run, [audio, *options], parts.all(), trigger_mode="always_last", **heavy),
        audio.stop_recording(run_take, [audio, *options], parts.all(), **heavy),
    ]
    for style, button in zip(STYLES, examples, strict=True):
        # The player is filled first, so that the music can be heard while it is classified.
        filled = button.click(partial(_example, style), None, audio, **private)
        runs.append(filled.then(run, [audio, *options], parts.all(), **heavy))
    gr.on(
        [frame.app.load, frame.tab["Classify"].select],
        lambda chosen, own: gr.Dropdown(**still_offered(chosen, own)),
        [checkpoint, own],
        checkpoint,
        **private,
    )
    upload.upload(_take_own, upload, [own, checkpoint, remark], **private)
    # What is cleared while it is classified must not be answered afterwards.
    audio.clear(lambda: _nothing(parts), None, parts.all(), cancels=runs, **private)

    def classify_after(event: Any, wanted: gr.Checkbox) -> Any:
        classified = event.then(run_if, [audio, *options, wanted], parts.all(), **heavy)
        audio.clear(None, cancels=classified, **private)
        return classified

    frame.classify_after = classify_after
    vote.input(
        lambda state, vote: _revote(parts, state, vote), [state, vote], [card, vote, json_button, csv_button, state], **private
    )
    page.input(
        lambda state, page: (_rows(state.prediction, page) if state else None, ""), [state, page], [table, mark], **private
    )
    # gradio moves the player but does not start it; the script does.
    table.select(_seek, state, [audio, position, mark], **private).then(
        None, position, None, js="(seconds) => genreApp.play(seconds)"
    )


def _classify(
    parts: Parts,
    path: str | None,
    name: str | None,
    checkpoint: str,
    vote: str,
    overlap: str,
    view: Any,
    own: str | None,
) -> Iterator[dict[Any, Any]]:
    """Fill the page in the order in which it is looked at: the vote first, the figure as soon as it is drawn."""
    yield {parts.card: cards.LISTENING}
    try:
        share = None if overlap == "trained" else float(overlap)
        found = answer(path, checkpoint=checkpoint, vote=vote, overlap=share, name=name, own=own)
        if name == _TAKE and path and microphone.hears_noise(path, found.prediction, view):
            raise RequestError(cards.NO_MUSIC)
    except PROBLEMS as error:
        yield {**_nothing(parts), parts.card: cards.problem(str(error)), parts.again: gr.Button(interactive=path is not None)}
        return
    prediction = found.prediction
    yield {
        parts.card: cards.final_vote(prediction),
        parts.vote: _vote_radio(prediction),
        parts.again: gr.Button(interactive=True),
        parts.state: found,
    }
    drawn = draw(prediction, found.overview, View.from_page(view))
    image = base64.b64encode(to_webp(drawn)).decode("ascii")
    pages = _pages(prediction)
    yield {
        parts.figure: cards.figure(image, prediction, time_axes(drawn)),
        parts.mark: "",
        parts.page: gr.Dropdown(pages, value="0", visible=len(pages) > 1),
        parts.table: gr.Dataframe(_rows(prediction, "0"), visible=True),
        **_downloads(parts, prediction),
    }


def _take_own(path: str) -> Any:
    """Offer a checkpoint to the visitor who uploaded it, and to nobody else."""
    try:
        checkpoint = check_own(path)
    except PROBLEMS as error:
        return gr.skip(), gr.skip(), cards.problem(str(error), "Not taken")
    words = f"{checkpoint.model.name}, {len(checkpoint.genres)} genres: {', '.join(checkpoint.genres)}"
    return path, gr.Dropdown(checkpoint_choices(path), value=own_choice(path)), cards.remark(words)


def _example(style: str) -> str:
    return str(example_path(style))


def _nothing(parts: Parts) -> dict[Any, Any]:
    """Return the page to what a first visit shows."""
    return {
        parts.card: cards.WELCOME,
        parts.vote: gr.Radio(
            cards.vote_choices(None, tuple(VOTE_NAMES)), value=DEFAULT_VOTE, info=cards.vote_info(None, DEFAULT_VOTE)
        ),
        parts.figure: cards.NO_FIGURE,
        parts.mark: "",
        parts.page: gr.Dropdown(visible=False),
        parts.table: gr.Dataframe(visible=False),
        parts.json: gr.DownloadButton(visible=False),
        parts.csv: gr.DownloadButton(visible=False),
        parts.state: None,
        parts.again: gr.Button(interactive=False),
    }


def _revote(parts: Parts, state: Answer | None, vote: str) -> dict[Any, Any]:
    """Join the same frames another way; the network has no part in it."""
    if state is None:
        return {parts.vote: gr.Radio(info=cards.vote_info(None, vote))}
    prediction = state.prediction.revote(vote)
    return {
        parts.card: cards.final_vote(prediction),
        parts.vote: _vote_radio(prediction),
        parts.state: Answer(prediction, state.overview),
        **_downloads(parts, prediction),
    }


def _vote_radio(prediction: Prediction) -> gr.Radio:
    choices = cards.vote_choices(prediction, tuple(prediction.votes))
    return gr.Radio(choices, value=prediction.vote, info=cards.vote_info(prediction, prediction.vote))


def _pages(prediction: Prediction) -> list[tuple[str, str]]:
    """Parts of a long clip whose frames fit the table: label and number."""
    starts, duration = prediction.segment_starts, prediction.duration_seconds
    firsts = range(0, len(starts), _ROWS)
    ends = [*(float(starts[first]) for first in firsts[1:]), duration]
    return [
        (f"{clock(float(starts[first]), duration)} to {clock(end, duration)}", str(number))
        for number, (first, end) in enumerate(zip(firsts, ends, strict=True))
    ]


def _rows(prediction: Prediction, page: str) -> list[list[Any]]:
    """Rows of the table: frame number, start, genre, probability."""
    first = int(page) * _ROWS
    rows: list[list[Any]] = []
    for index in range(first, min(first + _ROWS, len(prediction.segment_starts))):
        seconds = float(prediction.segment_starts[index])
        start = f"{seconds:.1f} s" if prediction.duration_seconds < 60 else clock(seconds, prediction.duration_seconds)
        if prediction.segment_sounds[index]:
            p = float(prediction.segment_probabilities[index].max())
            rows.append([index + 1, start, prediction.segment_genres[index], cards.percent(p)])
        else:
            rows.append([index + 1, start, "(silent)", ""])
    return rows


def _seek(state: Answer | None, event: gr.SelectData) -> Any:
    """Move the player to the start of the frame in the row, say where that is, and mark the frame."""
    # The frame's number is read from the row, because sorting or another page changes the row's place.
    frame = int(event.row_value[0]) - 1
    if state is None or not 0 <= frame < len(state.prediction.segment_starts):
        return gr.skip()
    prediction = state.prediction
    seconds, length = float(prediction.segment_starts[frame]), prediction.duration_seconds
    # A clip that is shorter than a frame has one that ends after it.
    mark = cards.frame_mark(event.index[0], seconds / length, min(1.0, float(prediction.segment_ends[frame]) / length))
    return gr.Audio(playback_position=seconds), seconds, mark


def _downloads(parts: Parts, prediction: Prediction) -> dict[Any, Any]:
    stem = Path(prediction.name).stem or "clip"
    texts = {parts.json: (".json", prediction.to_json(indent=1)), parts.csv: (".csv", prediction.to_csv())}
    return {
        button: gr.DownloadButton(value=download(stem + ending, text), visible=True) for button, (ending, text) in texts.items()
    }


def warm_up() -> None:
    """Load the default checkpoint and go through an answer once, so that the first visitor does not wait for it."""
    with suppress(CheckpointError):  # without a usable checkpoint the page still opens, and says so when it is asked
        checkpoint = checkpoint_named(None)
        rate = checkpoint.spec.sample_rate
        noise = np.random.default_rng(0).normal(scale=0.1, size=10 * rate).astype(np.float32)
        tap = OverviewTap(Clip(noise, rate))
        to_webp(draw(tap.classify(checkpoint), tap.overview(), View()))
