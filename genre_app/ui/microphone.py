"""The panel beside a recorder: the switch between music and speech, the level, and advice.

The script and style sheet in ``assets`` do the work in the browser, for the recorders of Classify, Live and Collect alike.
"""

from __future__ import annotations

import json
from html import escape
from typing import Literal

import gradio as gr

from genre_app.features import noise
from genre_app.ui.frame import assets
from genre_app.ui.player import BROWSER_PLAYER

JUDGED_SECONDS = 6.0
"""Noise is told from music by this much of the latest sound, here and in the browser."""

_SCRIPTS = ("microphone_noise.js", "microphone_recording.js", "microphone.js")  # each uses those before it


def panel(recorder: str, kind: Literal["take", "live", "example", "room"]) -> gr.HTML:
    """Put the panel of a recorder on the page.

    Parameters
    ----------
    recorder : str
        ``elem_id`` of the `gradio.Audio`.
    kind : {"take", "live", "example", "room"}
        A take is classified once it has stopped, Live while it goes on. An example goes to the visitor's collection.
        The check of a room records the test signal.
    """
    recorder = escape(recorder)
    modes = "".join(
        f'<label><input type="radio" name="mic-mode-{recorder}" value="{mode}"{checked}> {mode.capitalize()}</label>'
        for mode, checked in (("music", " checked"), ("speech", ""))
    )
    return gr.HTML(
        f"""
<section class="mic-panel" data-recorder="{recorder}" data-kind="{kind}" aria-label="Microphone">
  <fieldset class="mic-mode"><legend>Microphone for</legend>{modes}</fieldset>
  <p class="mic-about"></p>
  <div class="mic-level">
    <time class="mic-time" aria-label="Recorded so far">0:00</time>
    <div class="mic-meter" role="meter" aria-label="Level" aria-valuemin="-60" aria-valuemax="0" aria-valuenow="-60">
      <span class="mic-bar"></span><span class="mic-hold"></span>
    </div>
    <span class="mic-db" aria-hidden="true"></span>
  </div>
  <p class="mic-say" role="status" aria-live="polite"></p>
  <p class="mic-problem" role="alert"></p>
</section>
""",
        elem_id=f"{recorder}-microphone",
    )


def recorder(elem_id: str, label: str, *, streaming: bool = False) -> gr.Audio:
    """Lay out a recorder whose player is the browser's own; with ``streaming``, it sends the sound while it records."""
    return gr.Audio(
        sources=["microphone"], type="filepath", streaming=streaming, label=label, elem_id=elem_id, **BROWSER_PLAYER
    )


def script() -> str:
    """Return the script for the page's head, where it runs before a recorder asks for the microphone."""
    numbers = {
        "frame": noise.FRAME_SECONDS,
        "bands": noise.N_BANDS,
        "lowest": noise.LOWEST_HZ,
        "lowestTone": noise.LOWEST_TONE_HZ,
        "peak": noise.PEAK,
        "around": noise.NEIGHBOURS,
        "faint": noise.FAINT,
        "variation": noise.MOST_VARIATION,
        "suppressedVariation": noise.MOST_SUPPRESSED_VARIATION,
        "tonal": noise.MOST_TONAL,
        "judged": JUDGED_SECONDS,
    }
    return f"{{\nconst NOISE = {json.dumps(numbers)};\n{assets(*_SCRIPTS)}}}"  # in a block, the names are the script's own
