"""The last step of the Train tab's form: a look at the data, what will happen, and the start of a run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import gradio as gr

from genre_app.progress import Progress
from genre_app.runs import zerogpu
from genre_app.runs.run import new_run
from genre_app.ui import permission
from genre_app.ui.train import data as train_data
from genre_app.ui.train import view as train_view
from genre_app.ui.train.data import PROBLEMS, sentence
from genre_app.ui.train.form import Form
from genre_app.ui.train.snapshot import briefs

if TYPE_CHECKING:
    from genre_app.runs.plan import Plan

_PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


class Start:
    """The components of the step, laid out when it is made, within a `gradio.Column`, and what they do.

    ``looked`` holds the plan that the visitor was told last; only that can be started.
    """

    def __init__(self, form: Form) -> None:
        self.form = form
        self.looked = gr.State(None)
        with gr.Column(elem_classes="step"):
            gr.HTML("<h2><b>3</b> Check and start</h2>")
            self.plan = gr.HTML(train_view.NO_PLAN, elem_id="plan")
            with gr.Row():
                self.check = gr.Button("Check the data", variant="primary", elem_id="train-check", min_width=120)
                self.halt = gr.Button("Stop checking", visible=False, min_width=120)
                self.start = gr.Button("Start training", interactive=False, elem_id="train-start", min_width=120)
            form.name.render()
            self.command = gr.Textbox(
                label="The same from a terminal",
                lines=1,
                max_lines=8,
                interactive=False,
                buttons=["copy"],
                elem_id="train-command",
                elem_classes="code",
            )

    @property
    def _told(self) -> list[Any]:
        return [
            self.plan,
            self.looked,
            self.start,
            self.check,
            self.halt,
            self.command,
            *dict.fromkeys(self.form.wrong.values()),
        ]

    def connect(self, chosen: gr.Textbox, app: gr.Blocks) -> Any:
        """Connect the events of the whole form; return the one after which ``chosen`` names a run that has begun."""
        form, inputs = self.form, {*self.form.inputs, self.looked}

        def change(values: dict[Any, Any]) -> dict[Any, Any]:
            return self.changed(values)

        def look(values: dict[Any, Any], profile: gr.OAuthProfile | None) -> Iterator[dict[Any, Any]]:
            yield from self.look(values, profile)

        def begin(values: dict[Any, Any], profile: gr.OAuthProfile | None) -> dict[Any, Any]:
            return self.begin(values, chosen, profile)

        def upload(path: str, profile: gr.OAuthProfile | None) -> dict[Any, Any]:
            return self.upload(path, profile)

        changing: dict[str, Any] = {**_PRIVATE, "trigger_mode": "always_last", "concurrency_limit": 8}
        by_themselves = {form.recipe, form.preset, form.widgets["model"]}
        typed = [widget.input for widget in form.inputs - by_themselves]
        # What is pasted, a browser tells gradio of only when the field is left.
        gr.on([*typed, form.source.blur, form.name.blur], change, inputs, self._told, **changing)
        app.load(change, inputs, self._told, **_PRIVATE)
        for trigger, fill, sources in (
            (form.recipe.input, form.of_recipe, [form.recipe]),
            (form.preset.input, form.of_preset, [form.recipe, form.preset]),
            (form.widgets["model"].input, form.of_model, [form.recipe, form.widgets["model"]]),
        ):
            filled = trigger(fill, sources, [*form.filled, form.recipe, form.preset], **_PRIVATE)
            filled.then(change, inputs, self._told, **changing)
        form.upload.upload(upload, form.upload, [form.source, form.problem], **_PRIVATE).then(
            change, inputs, self._told, **changing
        )
        looking = self.check.click(look, inputs, self._told, concurrency_id="look", concurrency_limit=2, **_PRIVATE)
        # In a second step, so that no word of the work that was ended comes after this one.
        self.halt.click(None, cancels=looking, **_PRIVATE).then(
            lambda: self._idle() | {self.plan: train_view.HALTED}, None, self._told, **_PRIVATE
        )
        return self.start.click(begin, inputs, [*self._told, form.name, chosen], **_PRIVATE)

    def changed(self, values: dict[Any, Any]) -> dict[Any, Any]:
        """Say what the values in the form come to: the command, the plan if it still holds, or what is wrong."""
        looked: Plan | None = values[self.looked]
        off = gr.Button(interactive=False, variant="secondary")
        try:
            command = self.form.command(values)
            self.form.config(values)
        except ValueError as error:
            return {self.plan: train_view.problem(sentence(error)), self.start: off, self.check: off, **self.form.told(error)}
        shown: dict[Any, Any] = {self.command: command, **self.form.told(None)}
        try:
            plan = looked.of(self.form.request(values)) if looked is not None else None
        except ValueError:
            plan = None
        if plan is not None:
            return shown | self._tell(plan)
        words = train_view.NO_PLAN if looked is None else train_view.CHANGED
        return shown | {self.plan: words, self.start: off, self.check: gr.Button(interactive=True, variant="primary")}

    def look(self, values: dict[Any, Any], profile: gr.OAuthProfile | None) -> Iterator[dict[Any, Any]]:
        """Open the data and tell how far that is, then what will happen."""
        off = gr.Button(interactive=False)
        yield {self.check: off, self.start: off, self.halt: gr.Button(visible=True)}
        try:
            permission.check(profile)
            for found in train_data.look(self.form.request(values)):
                if isinstance(found, Progress):
                    yield {self.plan: train_view.preparing(found.stage, found.done, found.total, found.eta_seconds)}
                else:
                    yield self._idle() | {self.command: self.form.command(values)} | self._tell(found)
        except PROBLEMS as error:
            yield self._idle() | {self.plan: train_view.problem(sentence(error)), self.looked: None}

    def begin(self, values: dict[Any, Any], chosen: gr.Textbox, profile: gr.OAuthProfile | None) -> dict[Any, Any]:
        """Make a run of what the visitor was told, and begin it."""
        looked: Plan | None = values[self.looked]
        off = gr.Button(interactive=False, variant="secondary")
        try:
            permission.check(profile)
            request = self.form.request(values)
            if looked is None or looked.of(request) is None:
                return {self.plan: train_view.CHANGED, self.start: off}
            run = new_run(request, self.form.given_name(values))
            zerogpu.begin(run)
        except PROBLEMS as error:
            return {self.plan: train_view.problem(sentence(error))}
        return {
            chosen: run.name,
            self.form.name: "",
            self.looked: None,
            self.plan: train_view.begun(run.name),
            self.start: off,
            self.check: gr.Button(interactive=True, variant="primary"),
        }

    def upload(self, path: str, profile: gr.OAuthProfile | None) -> dict[Any, Any]:
        """Keep an uploaded file, and put what stands for it where the music is named."""
        try:
            permission.check(profile)
            return {self.form.source: train_data.keep_upload(path), self.form.problem: ""}
        except PROBLEMS as error:
            return {self.form.problem: train_view.problem(sentence(error), "Not taken")}

    def _idle(self) -> dict[Any, Any]:
        return {self.check: gr.Button(interactive=True), self.halt: gr.Button(visible=False)}

    def _tell(self, plan: Plan) -> dict[Any, Any]:
        waits = any(brief.status.is_active for brief in briefs())
        return {
            self.plan: train_view.plan_card(plan, waits=waits),
            self.looked: plan,
            self.start: gr.Button(interactive=True, variant="primary"),
            self.check: gr.Button(interactive=True, variant="secondary"),
        }
