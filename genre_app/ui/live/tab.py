"""The Live tab: it listens, and updates the vote over the last 30 seconds every second."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import gradio as gr

from genre_app.ui import cards, microphone
from genre_app.ui.classify.answers import RECORDING
from genre_app.ui.collect import correct
from genre_app.ui.frame import PRIVATE, Frame
from genre_app.ui.live import view as live_view
from genre_app.ui.live.sessions import LISTENING, Session, Sessions
from genre_app.ui.offered import checkpoint_dropdown, offered_now
from genre_app.ui.service import PROBLEMS
from genre_app.vote import DEFAULT_VOTE

EVERY_SECONDS = 1.0

_heard: WeakValueDictionary[str, Session] = WeakValueDictionary()  # by gradio's session
_sessions = Sessions()


def build(frame: Frame) -> None:
    """Lay out the tab and connect its events; call it within the `gradio.Tab`."""
    with gr.Row(elem_classes="columns"):
        with gr.Column(scale=4, min_width=320):
            audio = microphone.recorder("live", "Live", streaming=True)
            microphone.panel("live", "live")
            card = gr.HTML(live_view.IDLE, elem_id="live-vote")
            correction = correct.Row("live")
            with gr.Accordion("Options", open=False):
                later = "Applies from the next recording."
                checkpoint = checkpoint_dropdown(later)
                vote = gr.Dropdown(cards.vote_choices(), value=DEFAULT_VOTE, label="Vote", info=later)
        with gr.Column(scale=7, min_width=320):
            figure = gr.HTML(live_view.NO_FIGURE, elem_id="live-figure")
            announcement = gr.HTML("<p></p>", elem_id="live-said")
    # Without a time to live: it would count from Record on, and end a longer recording silently.
    session = gr.State(None)
    speech = gr.Checkbox(visible=False)
    own = frame.parts["own"]
    frame.parts["live checkpoint"] = checkpoint
    with_mode = "(...values) => [...values.slice(0, 3), genreMicrophone.suppresses()]"
    begun = audio.start_recording(begin, [checkpoint, vote, own, speech], [session, card], js=with_mode, **PRIVATE)
    chosen = frame.parts["collection"]
    row = [correction.genre, correction.said]
    begun.then(offer, [session, chosen], row, **PRIVATE)
    correction.add.click(add_heard, [correction.genre, session, chosen], correction.said, **PRIVATE)
    frame.app.unload(leave)
    # `session` is no output: handing it back could overwrite the session of a recording that began meanwhile.
    audio.stream(
        listen,
        [audio, session],
        [card, figure, announcement],
        stream_every=EVERY_SECONDS,
        concurrency_limit=LISTENING,
        **PRIVATE,
    )
    audio.stop_recording(end, session, card, **PRIVATE)
    # gradio builds the recorder when its tab is first opened, and then sends ten pieces a second. Set `stream_every` in the
    # browser, at once and again when the recorder surely exists; from the server it would build the recorder anew.
    set_rate = f"() => ({{ __type__: 'update', stream_every: {EVERY_SECONDS} }})"
    frame.tab["Live"].select(None, None, audio, js=set_rate, **PRIVATE)
    arrived = frame.tab["Live"].select(offered_now, [checkpoint, own], checkpoint, **PRIVATE)
    arrived.then(None, None, audio, js=set_rate, **PRIVATE)


def begin(
    checkpoint: list[str], vote: str, own: str | None, speech: bool = False, request: gr.Request | None = None
) -> tuple[Session | None, Any]:
    """Start a session; the page changes only with the first sound, because there may be none."""
    leave(request)  # the sound of the recording before
    try:
        session = Session(checkpoint, vote, own, speech=speech)
        _sessions.admit(session, LISTENING)
    except PROBLEMS as error:
        return None, cards.problem(cards.told(error))
    if request is not None and request.session_hash:
        _heard[request.session_hash] = session
    return session, gr.skip()


def leave(request: gr.Request | None = None) -> None:
    """Drop the sound of a visitor who has left or records again; gradio keeps the state of a visitor for an hour."""
    session = _heard.pop(request.session_hash or "", None) if request is not None else None
    if session is not None:
        session.close()


def add_heard(genre: str | None, session: Session | None, chosen: str | None, request: gr.Request) -> str:
    """Add the last 30 s of the recording to the visitor's collection."""
    if session is None:
        return correct.add_corrected(genre, None, None, chosen, request, origin="live")
    clip = session.recent.clip(RECORDING)
    return correct.add_corrected(
        genre, clip, session.latest, chosen, request, origin="live", name=RECORDING, source_sha256=session.id
    )


def offer(session: Session | None, chosen: str | None, request: gr.Request) -> tuple[Any, str]:
    """Offer the genres of the collection and of the checkpoint that answers, for a new recording."""
    return gr.Dropdown(correct.choices(chosen, request, session.genres if session else ()), value=None), ""


def listen(path: str | None, session: Session | None) -> tuple[Any, Any, Any]:
    """Process one more second; return the card, the figure, and the announcement if it changed."""
    try:
        if path is None or session is None or not session.add(Path(path)):
            return gr.skip(), gr.skip(), gr.skip()
        result = session.listener.result(session.vote)
        session.latest = result.prediction
    except PROBLEMS as error:
        return cards.problem(cards.told(error)), gr.skip(), gr.skip()
    words = live_view.announcement(result)
    changed = f"<p>{words}</p>" if words != session.announced else gr.skip()
    session.announced = words
    return live_view.card(result), live_view.figure(result, session.genres), changed


def end(session: Session | None) -> Any:
    """Delete the session's files and mark the last answer as the final one."""
    if session is None:
        return gr.skip()
    session.end()
    try:
        result = session.listener.result(session.vote)
    except PROBLEMS as error:
        return cards.problem(cards.told(error))
    session.latest = result.prediction
    return live_view.card(result, stopped=True)
