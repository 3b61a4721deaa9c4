"""What stands beside a recorder: the switch between music and speech, the level, and what to do better.

The work is done in the browser, by ``assets/microphone.js``, for the two recorders alike.
"""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any, Literal

import gradio as gr

from genre_app.audio import load_clip
from genre_app.features import noise
from genre_app.predict import Prediction

_ASSETS = Path(__file__).parent / "assets"


def panel(recorder: str, kind: Literal["take", "live"]) -> gr.HTML:
    """Put the panel of a recorder on the page.

    Parameters
    ----------
    recorder : str
        The id of its `gradio.Audio`.
    kind : {"take", "live"}
        Whether the recording is classified once it has stopped, or while it goes on.
    """
    modes = "".join(
        f'<label><input type="radio" name="mic-mode-{escape(recorder)}" value="{mode}"{checked}> {mode.capitalize()}</label>'
        for mode, checked in (("music", " checked"), ("speech", ""))
    )
    return gr.HTML(
        f"""
<section class="mic-panel" data-recorder="{escape(recorder)}" data-kind="{kind}" aria-label="Microphone">
  <fieldset class="mic-mode"><legend>Microphone</legend>{modes}</fieldset>
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


def hears_noise(path: str, prediction: Prediction, view: Any) -> bool:
    """Tell whether a take holds nothing but noise, or what the browser's processing for speech leaves of it.

    Parameters
    ----------
    path : str
    prediction : Prediction
        Of the take.
    view : Any
        What the page's script has sent.
    """
    if prediction.is_noise or not (isinstance(view, dict) and view.get("speech") is True):
        return prediction.is_noise
    clip = load_clip(path)
    detector = noise.NoiseDetector(clip.sample_rate, suppressed=True)
    detector.add(clip.samples)
    return detector.is_noise()


def script() -> str:
    """Return the script that the page's head has to hold, so that it runs before a recorder asks for the microphone."""
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
    }
    return f"window.genreNoise = {json.dumps(numbers)};\n{(_ASSETS / 'microphone.js').read_text(encoding='utf-8')}"


def styles() -> str:
    """Return the panel's style sheet."""
    return (_ASSETS / "microphone.css").read_text(encoding="utf-8")
