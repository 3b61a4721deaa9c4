"""The right half of the Train tab: the components of the list of runs, of the searches and of the run that is shown."""

from __future__ import annotations

from typing import Any

import gradio as gr

from genre_app.ui.train.charts import chart
from genre_app.ui.train.run_card import NO_RUNS
from genre_app.ui.train.search_parts import SearchPanel

NO_OTHER = "none"
"""Choice of the comparison that shows no other run."""

ACTIVE_SECONDS, IDLE_SECONDS = 1.0, 5.0
"""Time between two looks of a page while a run is active, and while none is: another process may start one."""


class Panel:
    """The components, laid out when the object is made, inside a `gradio.Column`.

    Attributes
    ----------
    view : gr.JSON
        Size and theme of the page, from the page's script. It has to be the first of the inputs that is made.
    chosen, other : gr.Textbox, gr.Dropdown
        Names of the run that is shown and of the one it is compared with.
    timer : gr.Timer
        Active while the tab is open. Only the page's script starts and stops it, because answers of the server may overtake
        each other.
    shown : gr.JSON
        A key of each part that the browser has, so that only what has changed is sent again. The browser keeps it: the server
        does not know whether an answer has arrived, nor in which order.
    doomed : gr.Textbox
        Name of the run whose deletion is asked about.
    searches : SearchPanel
        The searches, which have handlers of their own: `genre_app.ui.train.searching`.
    error, manage_error : gr.HTML
        What became of an action, under the button that was pressed: stop and resume, or upload, rename and delete.
    """

    def __init__(self, view: gr.JSON, chosen: gr.Textbox) -> None:
        hidden: dict[str, Any] = {"visible": False}
        self.view, self.chosen = view, chosen
        self.doomed = gr.Textbox(elem_id="run-doomed", **hidden)
        self.timer = gr.Timer(IDLE_SECONDS, active=False)
        self.shown = gr.JSON(elem_id="run-shown", **hidden)
        self.empty = gr.HTML(NO_RUNS)
        self.table = gr.Dataframe(
            headers=["Run", "Status", "Accuracy", "Epochs"],
            datatype=["str", "str", "str", "str"],
            column_widths=["35%", "23%", "22%", "20%"],
            label="Runs: choose one to watch it",
            interactive=False,
            max_height=210,
            elem_id="runs",
            buttons=[],
            **hidden,
        )
        self.damaged = gr.HTML(elem_id="runs-damaged")
        self.mark = gr.HTML(elem_id="run-mark")
        self.searches = SearchPanel()
        self.state = gr.HTML(elem_id="run-head")
        with gr.Row(elem_classes="actions"):
            self.stop = gr.Button("Stop", variant="stop", elem_id="run-stop", **hidden)
            self.resume = gr.Button("Resume", variant="primary", elem_id="run-resume", **hidden)
            self.use = gr.Button("Use in Classify", variant="primary", elem_id="run-use", **hidden)
        self.error = gr.HTML(elem_id="run-said")
        with gr.Row(elem_classes="evidence"):
            self.loss = chart("Loss", "nats", elem_id="plot-loss")
            self.accuracy = chart("Validation accuracy", percent=True, elem_id="plot-accuracy")
        with gr.Row(elem_classes="evidence"):
            self.report = gr.HTML(elem_id="run-report")
            self.confusion = gr.HTML(elem_id="confusion")
            self.rate = chart("Learning rate", color=None, height=200, elem_id="plot-rate")
        with gr.Column(elem_id="run-more", **hidden) as self.more:
            with gr.Accordion("Compare with another run", open=False):
                self._lay_out_comparison()
            with gr.Accordion("Log and command", open=False):
                text: dict[str, Any] = {"interactive": False, "elem_classes": "code"}
                self.command = gr.Textbox(label="Command", lines=1, max_lines=6, buttons=["copy"], **text)
                self.log = gr.Textbox(label="Last lines of the log", lines=8, max_lines=16, elem_id="run-log", **text)
            with gr.Accordion("Download, share, rename, delete", open=False, elem_id="run-manage") as self.manage:
                self._lay_out_management()

    def _lay_out_comparison(self) -> None:
        self.other = gr.Dropdown([(NO_OTHER, "")], value="", label="The other run", interactive=True, elem_id="run-other")
        self.compared = gr.HTML(elem_id="run-compared")
        with gr.Row():
            self.compared_loss = chart("Validation log-loss", "nats", color_map=None, elem_id="compared-loss")
            self.compared_accuracy = chart(
                "Accuracy of whole tracks", percent=True, color_map=None, elem_id="compared-accuracy"
            )

    def _lay_out_management(self) -> None:
        with gr.Row(elem_classes="actions"):
            self.checkpoint = gr.DownloadButton("Download checkpoint", size="md", visible=False)
            self.card = gr.DownloadButton("Download model card", size="md", visible=False)
        with gr.Column(elem_id="run-changing") as self.changing:
            with gr.Row(elem_classes="actions"):
                label, example = "Model on the Hugging Face hub", "OWNER/NAME on the Hugging Face hub"
                self.repository = gr.Textbox(label=label, placeholder=example, max_length=120, container=False, min_width=180)
                self.push = gr.Button("Upload to the hub", elem_id="run-push", size="md", min_width=140)
            with gr.Row(elem_classes="actions"):
                self.new_name = gr.Textbox(label="New name", max_length=64, container=False, min_width=140)
                self.rename = gr.Button("Rename", elem_id="run-rename", size="md", min_width=90)
                self.delete = gr.Button("Delete …", elem_id="run-delete", size="md", min_width=90)
        with gr.Column(visible=False, elem_classes="card problem", elem_id="run-sure") as self.sure:
            self.question = gr.HTML(elem_id="run-question")
            with gr.Row(elem_classes="actions"):
                self.really = gr.Button("Delete for good", elem_id="run-really", variant="stop", size="md")
                self.keep = gr.Button("Keep it", size="md")
        self.manage_error = gr.HTML(elem_id="run-unmanaged")

    @property
    def inputs(self) -> set[Any]:
        """Components whose values a handler gets, as a dictionary."""
        return {self.view, self.chosen, self.other, self.shown, self.new_name, self.doomed}

    @property
    def outputs(self) -> list[Any]:
        """Components that a handler fills."""
        return [part for part in vars(self).values() if part is not self.view and part is not self.searches]
