"""The Live tab: it listens, and says every second what the last half minute was."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any

import gradio as gr
import soundfile

from genre_app.ui import cards, microphone
from genre_app.ui.frame import Frame
from genre_app.ui.live import view as live_view
from genre_app.ui.live.listener import Listener
from genre_app.ui.service import PROBLEMS, VOTE_NAMES, RequestError, checkpoint_choices, checkpoint_named, still_offered
from genre_app.vote import DEFAULT_VOTE, available_votes

EVERY_SECONDS = 1.0
LISTENING = 64  # visitors at once; each holds a place as long as it listens
_KEPT = 5  # seconds of sound on the disk; an hour would be half a gigabyte


class Session:
    """One visitor's listening, from Record to Stop.

    Parameters
    ----------
    checkpoint : str
        One of `checkpoint_choices`.
    vote : str
    own : str, optional
        Path of the visitor's own checkpoint.
    speech : bool
        The browser's microphone is set up for speech, or was the last time although music was asked for.

    Raises
    ------
    CheckpointError, RequestError
        With one sentence for the visitor.
    """

    def __init__(self, checkpoint: str, vote: str, own: str | None, *, speech: bool = False) -> None:
        chosen = checkpoint_named(checkpoint, own)
        self.listener = Listener(chosen, suppressed=speech)
        self.genres = chosen.genres
        self.vote = vote if vote in available_votes(chosen.references) else DEFAULT_VOTE
        self.said = ""
        self._pieces: deque[Path] = deque()

    def hear(self, piece: Path) -> bool:
        """Read a piece of the stream, and return whether it was there.

        Raises
        ------
        RequestError
            If it is damaged.
        """
        try:
            with piece.open("rb") as file:
                samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
        except FileNotFoundError:
            return False
        except soundfile.LibsndfileError as error:
            raise RequestError("A second of sound did not arrive whole; stop and record again") from error
        # Its folder is named after what it holds: all silence lies in one place, whoever sent it.
        if samples.any():
            self._pieces.append(piece)
            self.forget(_KEPT)
        self.listener.hear(samples.mean(axis=1), rate)
        return True

    def forget(self, keep: int = 0) -> None:
        """Delete the pieces but for the latest ones, which others who hear the same may yet have to read."""
        while len(self._pieces) > keep:
            piece = self._pieces.popleft()
            if piece not in self._pieces:
                piece.unlink(missing_ok=True)
                with suppress(OSError):
                    piece.parent.rmdir()


def build(frame: Frame) -> None:
    """Lay out the tab and connect it; called within its `gradio.Tab`."""
    checkpoints = checkpoint_choices()
    with gr.Row(elem_classes="columns"):
        with gr.Column(scale=4, min_width=320):
            audio = gr.Audio(
                sources=["microphone"],
                type="filepath",
                streaming=True,
                label="Live",
                elem_id="live",
                buttons=[],
                waveform_options=gr.WaveformOptions(show_recording_waveform=False),
            )
            microphone.panel("live", "live")
            card = gr.HTML(live_view.IDLE, elem_id="live-vote")
            with gr.Accordion("Options", open=False):
                checkpoint = gr.Dropdown(
                    checkpoints, value=checkpoints[0], label="Checkpoint", info="From the next recording on."
                )
                vote = gr.Dropdown(
                    [(label, name) for name, label in VOTE_NAMES.items()],
                    value=DEFAULT_VOTE,
                    label="Vote",
                    info="From the next recording on.",
                )
        with gr.Column(scale=7, min_width=320):
            figure = gr.HTML(live_view.NO_FIGURE, elem_id="live-figure")
            said = gr.HTML("<p></p>", elem_id="live-said")
    speech = gr.Checkbox(visible=False)
    # Kept as long as the page is open: a time to live would count from Record on, and end a longer listening without a word.
    session = gr.State(None)
    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    own = frame.parts["own"]
    with_mode = "(...values) => [...values.slice(0, 3), genreMicrophone.suppresses()]"
    audio.start_recording(begin, [checkpoint, vote, own, speech], [session, card], js=with_mode, **private)
    # The session is changed in place and not handed back: a beginning that comes in between must not be undone.
    audio.stream(
        listen,
        [audio, session],
        [card, figure, said],
        stream_every=EVERY_SECONDS,
        concurrency_limit=LISTENING,
        **private,
    )
    audio.stop_recording(end, session, card, **private)
    # A recorder in a tab that is opened later forgets how often it has to send, which is ten times a second if it is not told
    # again: at once, and once it is surely there.
    tell = f"() => ({{ __type__: 'update', stream_every: {EVERY_SECONDS} }})"
    frame.tab["Live"].select(None, None, audio, js=tell, **private)
    refreshed = frame.tab["Live"].select(
        lambda chosen, own: gr.Dropdown(**still_offered(chosen, own)), [checkpoint, own], checkpoint, **private
    )
    # Not from the server, which would make the recorder anew with a setting that only the stream event knows.
    refreshed.then(None, None, audio, js=tell, **private)


def begin(checkpoint: str, vote: str, own: str | None, speech: bool = False) -> tuple[Session | None, Any]:
    """Start anew, whatever was heard before; the page changes with the first sound, for there may be none."""
    try:
        return Session(checkpoint, vote, own, speech=speech), gr.skip()
    except PROBLEMS as error:
        return None, cards.problem(str(error))


def listen(path: str | None, session: Session | None) -> tuple[Any, Any, Any]:
    """Hear one more second, and say what the last half minute was."""
    if path is None or session is None:
        return gr.skip(), gr.skip(), gr.skip()
    try:
        if not session.hear(Path(path)):
            return gr.skip(), gr.skip(), gr.skip()
        heard = session.listener.heard(session.vote)
    except PROBLEMS as error:
        return cards.problem(str(error)), gr.skip(), gr.skip()
    words = live_view.spoken(heard)
    said = gr.skip() if words == session.said else f"<p>{words}</p>"
    session.said = words
    return live_view.card(heard), live_view.figure(heard, session.genres), said


def end(session: Session | None) -> Any:
    """Leave the last answer where it is, and say that it is the last."""
    if session is None:
        return gr.skip()
    session.forget()
    return live_view.card(session.listener.heard(session.vote), stopped=True)
