"""Players of sound."""

from __future__ import annotations

from typing import Any

import gradio as gr

BROWSER_PLAYER: dict[str, Any] = {"buttons": [], "waveform_options": gr.WaveformOptions(show_recording_waveform=False)}
"""Arguments of a `gradio.Audio` whose player is the browser's own, which needs less room than gradio's and no waveform."""


def native_player(label: str, elem_id: str, **options: Any) -> gr.Audio:
    """Lay out the browser's own player; ``options`` are those of `gradio.Audio`."""
    return gr.Audio(label=label, type="filepath", interactive=False, elem_id=elem_id, **BROWSER_PLAYER, **options)
