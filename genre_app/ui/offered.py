"""The checkpoints that a dropdown offers when a visitor comes to its tab."""

from __future__ import annotations

import gradio as gr

from genre_app.ui.service import still_offered


def checkpoint_dropdown(info: str = "The trained model that answers. Several are averaged.") -> gr.Dropdown:
    """Lay out the choice of the checkpoints that answer."""
    return gr.Dropdown(**still_offered(None), label="Checkpoint", info=info)


def offered_now(chosen: list[str] | None, own: str | None = None) -> gr.Dropdown:
    """Return an update of a checkpoint dropdown, as from `still_offered`; tell the visitor if a chosen checkpoint is gone."""
    offered = still_offered(chosen, own)
    gone = [name for name in chosen or [] if name not in offered["choices"]]
    if gone:
        verb = "is" if len(gone) == 1 else "are"
        answers = " + ".join(offered["value"])
        gr.Warning(f"{' + '.join(gone)} {verb} no longer offered, so {answers} answers from now on.")
    return gr.Dropdown(**offered)
