"""“Check your room” in the Collect tab: play a test signal, record it, show what the room does, and train for it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import gradio as gr

from genre_app.audio import load_clip, wav_file
from genre_app.augment.room_check import SAMPLE_RATE, RoomCheck, check_room, preset_settings, room_signal
from genre_app.augment.room_check.check import MAX_SECONDS
from genre_app.errors import DataError
from genre_app.evaluation.conditions.expected import expected
from genre_app.runs.recipes import recipe_names, recipe_text
from genre_app.ui import cards, microphone
from genre_app.ui.collect import actions, room_card
from genre_app.ui.collect.store import belongs_to_session
from genre_app.ui.downloads import download
from genre_app.ui.frame import PRIVATE, Frame, assets
from genre_app.ui.player import native_player
from genre_app.ui.service import PROBLEMS

RECIPE_FILE = "my-room.toml"

_INTRO = """
<p class="intro">Plays 5 s of a rising tone and music, and records them. Put loudspeaker and microphone where you will use them,
then keep quiet. The recording is deleted within two hours.</p>
"""
_TRAINING = f"""
<p><b>Train for this room.</b> <em>Use in Train</em> fills the Train tab with augmentation that simulates this room. The recipe
does the same in a terminal: <code>genre-app train {RECIPE_FILE} --data FOLDER</code></p>
"""
_WITH_SETTINGS = "(take, _) => [take, genreRoom.settings()]"


def build(frame: Frame) -> None:
    """Lay out the accordion and connect it; leave the button and the settings for Train in ``frame.parts``."""
    settings = gr.State(None)
    browser = gr.JSON(visible=False)
    with gr.Accordion("Check your room", open=False, elem_id="room"):
        gr.HTML(_INTRO, js_on_load=assets("collect_shared.js", "room.js"))
        microphone.panel("room-take", "room")
        with gr.Row(elem_classes="actions"):
            start = gr.Button("Play and record", variant="primary", min_width=220, scale=0, elem_id="room-start")
        gr.HTML('<p role="status"></p>', elem_id="room-said")
        take = microphone.recorder("room-take", "Room")
        signal = native_player("Test signal", "room-signal")
        card = gr.HTML("", elem_id="room-card")
        with gr.Column(visible=False) as training:
            gr.HTML(_TRAINING)
            with gr.Row(elem_classes="actions"):
                use = gr.Button("Use in Train", min_width=160, scale=0, elem_id="room-use")
                recipe = gr.DownloadButton("Download the recipe", min_width=160, scale=0, elem_id="room-recipe")
    start.click(play, None, signal, **PRIVATE).then(None, None, None, js="() => genreRoom.run()")
    checked = [take, card, training, recipe, settings]
    measuring: dict[str, Any] = {**PRIVATE, "concurrency_id": "room", "concurrency_limit": 2}
    heard = take.stop_recording(check, [take, browser], checked, js=_WITH_SETTINGS, **measuring)
    heard.then(None, None, None, js="() => genreRoom.done()")
    frame.parts["train for room"], frame.parts["room settings"] = use, settings


def play() -> str:
    """Return the path of the test signal, as a file that the page may play."""
    return download("test-signal.wav", _signal_file())


def check(path: str | None, browser: Any) -> tuple[Any, ...]:
    """Measure a recording; return the recorder, the card, and what the visitor can train with.

    Parameters
    ----------
    path : str or None
        The recording.
    browser : dict
        ``noiseSuppression`` of the browser's settings of the microphone, None if it does not say.
    """
    try:
        if path is None:
            raise DataError("No recording arrived; check again.")
        file = actions.uploaded(path)
        clip = load_clip(file, sample_rate=SAMPLE_RATE, name="The recording", max_seconds=MAX_SECONDS)
        suppresses = browser.get("noiseSuppression") if isinstance(browser, dict) else None
        found = check_room(clip, browser_suppresses=suppresses if isinstance(suppresses, bool) else None)
    except PROBLEMS as error:
        return None, cards.problem(cards.told(error), "Not measured"), gr.Column(visible=False), None, None
    shown = room_card.card(found, expected(found))
    if belongs_to_session():
        return None, shown, gr.Column(visible=False), None, None
    recipe = download(RECIPE_FILE, recipe_for(found))
    return None, shown, gr.Column(visible=True), recipe, preset_settings(found)


def recipe_for(found: RoomCheck) -> str:
    """Return the recipe `default` with the augmentation of a room, as TOML."""
    t60 = "unknown" if found.t60_seconds is None else f"{found.t60_seconds:.2f} s"
    about = f"Ours, for a room with a reverberation time of {t60} and noise {found.snr_db:.0f} dB under the music"
    return recipe_text(recipe_names()[0], preset_settings(found), about)


@lru_cache(maxsize=1)
def _signal_file() -> bytes:
    return wav_file(room_signal(), SAMPLE_RATE)
