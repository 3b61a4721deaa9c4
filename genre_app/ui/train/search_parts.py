"""The components of hyperparameter searches: their settings below the form, and their results below the list of runs."""

from __future__ import annotations

from typing import Any

import gradio as gr

_TICK_SECONDS = 3.0  # between two looks of a page at a running search
_SAMPLERS = [("near the best so far", "tpe"), ("independently", "random")]


class SearchSettings:
    """What a new search needs besides the form; laid out when the object is made, inside a `gradio.Column`."""

    def __init__(self) -> None:
        with gr.Accordion("Search settings", open=False, elem_id="train-search"):
            gr.HTML(
                "<p>Trains the recipe many times with different settings, and keeps the best. The table [search] of a recipe "
                "names the settings to vary: default, cnn, lstm, mlp and both of Groningen have one.</p>"
            )
            common: dict[str, Any] = {"min_width": 110, "precision": 0}
            with gr.Row():
                self.trials = gr.Number(20, label="Trials", info="1 to 10000.", elem_id="search-trials", **common)
                info = "2 to 20 for cross-validation; 0: the validation tracks."
                self.folds = gr.Number(0, label="Folds", info=info, elem_id="search-folds", **common)
            info = "Near the best, good settings are found with fewer trials."
            self.sampler = gr.Radio(_SAMPLERS, value="tpe", label="Draw settings", info=info, elem_id="search-sampler")
            self.start = gr.Button("Start search", elem_id="search-start", min_width=120)
            self.error = gr.HTML(elem_id="search-problem")


class SearchPanel:
    """The search that is shown; laid out when the object is made, inside a `gradio.Column`.

    Attributes
    ----------
    folded : gr.Accordion
        Around all others; visible if there is a search.
    chosen : gr.Dropdown
        Name of the search that is shown.
    listed : gr.JSON
        The names that the dropdown offers. The browser keeps them, so that an open dropdown is not filled anew without need.
    said : gr.HTML
        What became of an action.
    """

    def __init__(self) -> None:
        with gr.Accordion("Searches: trials and best settings", open=False, visible=False, elem_id="searches") as self.folded:
            self.chosen = gr.Dropdown([], label="Search", elem_id="search-chosen", interactive=True)
            self.listed = gr.JSON(visible=False, elem_id="searches-listed")
            self.card = gr.HTML(elem_id="search-card")
            with gr.Row(elem_classes="actions"):
                hidden: dict[str, Any] = {"visible": False, "min_width": 120}
                self.fill = gr.Button("Fill the form with the best", variant="primary", elem_id="search-fill", **hidden)
                self.stop = gr.Button("Stop search", variant="stop", elem_id="search-stop", **hidden)
                self.resume = gr.Button("Resume search", elem_id="search-resume", **hidden)
            self.said = gr.HTML(elem_id="search-said")
            self.timer = gr.Timer(_TICK_SECONDS, active=False)

    @property
    def inputs(self) -> set[Any]:
        """Components whose values a look needs."""
        return {self.chosen, self.listed}

    @property
    def outputs(self) -> list[Any]:
        """Components that a look fills."""
        return [self.folded, self.chosen, self.listed, self.card, self.fill, self.stop, self.resume, self.timer]
