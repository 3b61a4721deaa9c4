"""Players of files."""

from __future__ import annotations

from typing import Any

import gradio as gr


def native_player(label: str, elem_id: str, **options: Any) -> gr.Audio:
    """Lay out a player that is the browser's own, without gradio's waveform; ``options`` are those of `gradio.Audio`."""
    return gr.Audio(
        label=label,
        type="filepath",
        interactive=False,
        buttons=[],
        waveform_options=gr.WaveformOptions(show_recording_waveform=False),
        elem_id=elem_id,
        **options,
    )
