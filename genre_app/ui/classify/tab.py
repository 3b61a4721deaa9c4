"""The Classify tab: one clip, its vote, and the evidence for it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import gradio as gr

from genre_app.audio.demos import DEMOS
from genre_app.errors import GenreAppError
from genre_app.ui import cards, microphone
from genre_app.ui.classify import frames, more
from genre_app.ui.classify.answers import AS_TRAINED, Parts, figure
from genre_app.ui.classify.examples import example_path
from genre_app.ui.collect import correct
from genre_app.ui.frame import LAST, PRIVATE, Frame, in_queue
from genre_app.ui.offered import checkpoint_dropdown, offered_now
from genre_app.ui.player import BROWSER_PLAYER
from genre_app.ui.service import CONCURRENT, PROBLEMS, answer, check_own, own_choice, still_offered
from genre_app.vote import DEFAULT_VOTE

OVERLAPS = [("as trained", AS_TRAINED), ("none", "0"), ("25 %", "0.25"), ("50 %", "0.5"), ("75 %", "0.75")]
_WITH_VIEW = "(...values) => [...values.slice(0, 4), genreApp.view(), ...values.slice(5)]"
_WITH_TIME = "(vote, asked, _) => [vote, asked, performance.now()]"
_TELL_PLACE = "genreApp.say('In the queue', `Your clip is number ${place} that wait for an answer.`)"
_IS_SHOWN = "(state, vote, _) => [state, vote, document.querySelector('#final-vote .bars') !== null]"
_HEAVY: dict[str, Any] = {
    **PRIVATE,
    "concurrency_id": "classify",
    "concurrency_limit": CONCURRENT,
    "trigger_mode": "always_last",
    "js": _WITH_VIEW,
}


class Inputs:
    """The components that bring a clip. The constructor adds them to the page."""

    def __init__(self) -> None:
        listen = gr.Button("Listen", variant="primary", size="lg", elem_id="listen")
        listen.click(None, None, None, js="() => genreApp.listen()")
        with gr.Row(elem_classes="sources"):
            # The page's script puts files that are dropped anywhere on the page into this button.
            self.upload = gr.UploadButton("Upload a song", variant="secondary", size="lg", min_width=120, elem_id="upload-song")
            record = gr.Button("Record", variant="secondary", size="lg", min_width=120, elem_id="record-song")
        record.click(None, None, None, js="() => genreApp.record()")
        self.audio = gr.Audio(
            sources=["upload", "microphone"],
            type="filepath",
            label="Music",
            elem_id="music",
            editable=False,
            **BROWSER_PLAYER,  # the page's script reads and sets its time, and the figure shows more than a waveform
        )
        microphone.panel("music", "take")
        with gr.Row(elem_classes="examples"):
            gr.HTML("<span title='Synthesised by this app'>Examples:</span>")
            self.examples = {genre: gr.Button(genre, size="sm", variant="secondary") for genre in DEMOS}

    @property
    def replacing(self) -> list[Any]:
        """Events by which another clip replaces the loaded one, besides those of the player."""
        return [self.upload.upload, *(button.click for button in self.examples.values())]


class Options:
    """The options. The constructor adds them to the page, in a closed accordion."""

    def __init__(self) -> None:
        with gr.Accordion("Options", open=False) as self.accordion:
            self.checkpoint = checkpoint_dropdown()
            self.own_upload = gr.UploadButton("Use a checkpoint of your own", size="sm")
            self.own_remark = gr.HTML(elem_id="own-checkpoint")
            self.overlap = gr.Radio(
                OVERLAPS,
                value=AS_TRAINED,
                label="Overlap of neighbouring frames",
                info="More overlap gives more frames: a finer picture, a longer wait.",
                elem_id="overlap",
            )


def build(frame: Frame) -> None:
    """Lay out the tab and connect it; called within its `gradio.Tab`."""
    with gr.Row(elem_classes="columns"):
        with gr.Column(scale=4, min_width=320):
            inputs = Inputs()
            card = gr.HTML(cards.WELCOME, elem_id="final-vote")
            queue = in_queue("clips", _TELL_PLACE)
            correction = correct.Row("classify")
            vote = gr.Radio(**cards.vote_radio(None, DEFAULT_VOTE), label="Vote", elem_id="vote")
            options = Options()
        with gr.Column(scale=7, min_width=320):
            parts = Parts(card, vote)
    own = gr.State(None)  # path of the visitor's own checkpoint
    frame.parts |= {"audio": inputs.audio, "vote": vote, "overlap": options.overlap}
    frame.parts |= {"checkpoint": options.checkpoint, "own": own, "options": options.accordion}
    frame.redraw = gr.Button(visible="hidden", elem_id="redraw")
    runs = _connect_runs(frame, inputs, options, parts, own, _HEAVY | queue)
    arriving = [frame.app.load, frame.tab["Classify"].select]
    gr.on(arriving, offered_now, [options.checkpoint, own], options.checkpoint, **PRIVATE)
    _connect_evidence(parts)
    correct.connect_classify(frame, correction, inputs.audio, card, parts.state)
    frame.answering = [*runs, *_connect_more(frame, inputs, options, parts, own)]


def _connect_runs(
    frame: Frame, inputs: Inputs, options: Options, parts: Parts, own: gr.State, heavy: dict[str, Any]
) -> list[Any]:
    """Connect everything that classifies a clip; return these events."""
    audio, take = inputs.audio, gr.State(None)  # path of the latest recording
    view = gr.JSON(visible=False)  # the page's script puts its answer to `genreApp.view` here
    clip = [audio, options.checkpoint, parts.vote, options.overlap, view, own, take, parts.asked]
    # The player is filled by an event of its own: where a handler fills it and then yields without it, the browser is left with
    # a value that gradio refuses as the input of the next event.
    filled = [
        audio.stop_recording(lambda path: path, audio, take, **PRIVATE),
        inputs.upload.upload(lambda path: path, inputs.upload, audio, **PRIVATE),
        *(
            button.click(lambda genre: str(example_path(genre)), button, audio, **PRIVATE)
            for button in inputs.examples.values()
        ),
    ]
    loaded: list[Any] = [audio.upload, *(event.then for event in filled)]
    # A clip need not wait for the answer to the one before.
    runs = [event(parts.classified, clip, parts.all(), **heavy | {"trigger_mode": "multiple"}) for event in loaded]
    runs.append(gr.on([options.checkpoint.input, options.overlap.input], parts.classified_again, clip, parts.all(), **heavy))
    taken_own = options.own_upload.upload(
        _take_own, options.own_upload, [own, options.checkpoint, options.own_remark], **PRIVATE
    )
    runs.append(taken_own.then(parts.classified_again, clip, parts.all(), **heavy))
    now = gr.Number(visible=False)
    audio.clear(parts.cleared, [parts.vote, parts.asked, now], parts.all(), js=_WITH_TIME, **PRIVATE)

    def classify_after(event: Any, wanted: gr.Checkbox) -> Any:
        # After the tab has opened, since the figure is drawn as wide as the tab.
        opened = event.then(None, wanted, None, js="(wanted) => wanted && genreApp.opened('classify')")
        return opened.then(parts.classified_if, [*clip, wanted], parts.all(), **heavy)

    frame.classify_after = classify_after
    return runs


def _connect_evidence(parts: Parts) -> None:
    position = gr.Number(visible=False)
    is_shown = gr.Checkbox(visible=False)
    parts.vote.input(
        parts.revoted,
        [parts.state, parts.vote, is_shown],
        [parts.card, parts.vote, parts.json, parts.csv, parts.state, *parts.more.all()],
        js=_IS_SHOWN,
        **PRIVATE | {"trigger_mode": "multiple"},  # an arrow key may be pressed again before the answer has come
    )
    parts.page.input(
        lambda state, page: (frames.rows(state.prediction, page) if state else None, ""),
        [parts.state, parts.page],
        [parts.table, parts.mark],
        **LAST,
    )
    parts.table.select(frames.mark, parts.state, [position, parts.mark], **PRIVATE).then(
        None, position, None, js="(seconds) => genreApp.play(seconds)"
    )


def _connect_more(frame: Frame, inputs: Inputs, options: Options, parts: Parts, own: gr.State) -> list[Any]:
    """Connect what explains the answer; return the events that another answer must cancel."""
    view = gr.JSON(visible=False)
    frame.redraw.click(figure, [parts.state, view], parts.figure, js="(state, _) => [state, genreApp.view()]", **PRIVATE)
    audio = inputs.audio
    explained = more.connect(parts.more, [audio, options.checkpoint, own], parts.state, frame.redraw)
    # An explanation of the last answer would otherwise appear below the next one.
    replaced = [audio.upload, audio.stop_recording, audio.clear, *inputs.replacing]
    changed = [options.checkpoint.input, options.overlap.input, parts.vote.input, options.own_upload.upload]
    gr.on([*replaced, *changed], None, cancels=explained, **PRIVATE)
    return explained


def _take_own(path: str) -> Any:
    """Offer a checkpoint to the visitor who uploaded it, and to nobody else."""
    try:
        checkpoint = check_own(path)
    except PROBLEMS as error:
        return gr.skip(), gr.skip(), cards.problem(cards.told(error), "Not taken")
    networks = " + ".join(member.model.name for member in checkpoint.members)
    words = f"{networks}, {len(checkpoint.genres)} genres: {', '.join(checkpoint.genres)}"
    return path, gr.Dropdown(**still_offered([own_choice(path)], path)), cards.remark(words)


def warm_up() -> None:
    """Answer an example once, so that the first visitor does not wait for imports and the checkpoint; write the others."""
    with suppress(GenreAppError):  # without a usable checkpoint the page opens, and says so when it is asked
        figure(answer(example_path("classical")), None)
    for genre in DEMOS:
        example_path(genre)
