"""Step 3 of the Train tab: check the data, see what will happen, start the run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from genre_app.errors import RunError
from genre_app.progress import Progress
from genre_app.runs import zerogpu
from genre_app.runs.request import Request
from genre_app.runs.run import checked_name, new_run, runs_folder
from genre_app.ui import cards, permission
from genre_app.ui.frame import PRIVATE
from genre_app.ui.train import data as train_data
from genre_app.ui.train import plan_card
from genre_app.ui.train.data import PROBLEMS, sentence, shortened
from genre_app.ui.train.fields import FormError
from genre_app.ui.train.form import Form, error_mark
from genre_app.ui.train.markup import progress_bar
from genre_app.ui.train.snapshot import snapshots

if TYPE_CHECKING:
    from genre_app.runs.plan import Plan

_CHANGING: dict[str, Any] = {**PRIVATE, "trigger_mode": "always_last", "concurrency_limit": 8}
# A browser that forbids storage raises an error.
_SAVE = "(form) => { try { localStorage.setItem('genre-app-train', JSON.stringify(form)) } catch {} }"
_READ_SAVED = "() => { try { return JSON.parse(localStorage.getItem('genre-app-train')) } catch { return null } }"


class Start:
    """The components of the step, laid out when the object is made, inside a `gradio.Column`; and their handlers.

    Attributes
    ----------
    chosen : gr.Textbox
        The name of the run that the page shows; the start of a run fills it.
    checked : gr.State
        The plan that the visitor was shown last. Only this one can be started.
    saved : gr.JSON
        The values of the form, which the browser keeps over a reload. `gradio.BrowserState` does not work here: it is read when
        its tab is first opened, after the page's load event.
    mark : gr.HTML
        A style sheet that writes an error under its field.
    """

    def __init__(self, form: Form, chosen: gr.Textbox) -> None:
        self.form, self.chosen = form, chosen
        self.checked = gr.State(None)
        self.saved = gr.JSON(visible=False)
        with gr.Column(elem_classes="step"):
            gr.HTML("<h2><b>3</b> Check and start</h2>")
            self.plan = gr.HTML(plan_card.NO_PLAN, elem_id="plan")
            self.name = gr.Textbox(label="Name of the run", placeholder="the recipe's name and a number", elem_id="set-name")
            with gr.Row():
                self.check = gr.Button("Check the data", variant="primary", elem_id="train-check", min_width=120)
                self.stop = gr.Button("Stop checking", visible=False, min_width=120)
                self.start = gr.Button("Start training", interactive=False, elem_id="train-start", min_width=120)
            text: dict[str, Any] = {"interactive": False, "buttons": ["copy"], "elem_classes": "code"}
            self.command = gr.Textbox(label="The same in a terminal", lines=1, max_lines=8, elem_id="train-command", **text)
            self.mark = gr.HTML(elem_id="train-mark")

    @property
    def _outputs(self) -> list[Any]:
        own = (self.plan, self.checked, self.start, self.check, self.stop, self.command, self.mark, self.saved)
        return [*own, self.form.problem, self.form.level]

    @property
    def _inputs(self) -> set[Any]:
        return {*self.form.inputs, self.form.surveyed, self.name, self.checked}

    def follow(self, event: Any) -> None:
        """Update the command and the plan, and keep the form in the browser, after an event that has filled the form."""
        changed = event.then(self.change, self._inputs, self._outputs, **_CHANGING)
        changed.then(None, self.saved, None, js=_SAVE)

    def connect(self, app: gr.Blocks) -> Any:
        """Connect the events of the form; return the start event."""
        form, inputs = self.form, self._inputs
        model, seen = form.widgets["model"], form.surveyed
        looking = [form.source, form.level, form.recipe], [*form.inputs, seen]
        filled: list[Any] = [
            form.level.input(form.choose_level, [form.level, seen], form.inputs, **PRIVATE),
            form.recipe.input(form.choose_recipe, [form.recipe, seen], form.inputs, **PRIVATE),
            form.preset.input(form.choose_preset, [form.recipe, form.preset], form.inputs, **PRIVATE),
            model.input(form.choose_model, [form.recipe, model], form.inputs, **PRIVATE),
            form.upload.upload(self.take_upload, form.upload, [form.source, form.problem, form.upload], **PRIVATE),
            app.load(self.restore, self.saved, [*form.inputs, self.name], js=_READ_SAVED, **PRIVATE),
        ]
        # The music is looked at before the values are read: if it needs another recipe, many fields change with it.
        filled[-2:] = [event.then(form.look, *looking, **PRIVATE) for event in filled[-2:]]
        for event in [*filled, form.source.blur(form.look, *looking, **PRIVATE)]:
            self.follow(event)
        filling = (form.level, form.recipe, form.preset, model)
        typed = [part.input for part in [*form.inputs, self.name] if part not in filling]
        # A browser reports pasted text only when the field is left.
        changed = gr.on([*typed, self.name.blur], self.change, inputs, self._outputs, **_CHANGING)
        changed.then(None, self.saved, None, js=_SAVE)
        checking = self.check.click(self.look, inputs, self._outputs, concurrency_id="look", concurrency_limit=2, **PRIVATE)
        # In a second step, so that no report of the cancelled check arrives after this one.
        self.stop.click(None, cancels=checking, **PRIVATE).then(
            lambda: self._idle() | {self.plan: plan_card.STOPPED}, None, self._outputs, **PRIVATE
        )
        return self.start.click(self.begin, inputs, [*self._outputs, self.name, self.chosen], **PRIVATE)

    def check_after(self, event: Any) -> None:
        """Look at the music and update the plan after an event that has filled the form."""
        form = self.form
        self.follow(event.then(form.look, [form.source, form.level, form.recipe], [*form.inputs, form.surveyed], **PRIVATE))

    def change(self, values: dict[Any, Any]) -> dict[Any, Any]:
        """Return what the values in the form amount to: the command, the plan if it still holds, or what is wrong."""
        off = gr.Button(interactive=False, variant="secondary")
        kept = {self.saved: self.form.saved(values) | {"set-name": values[self.name]}}
        try:
            name = self._run_name(values)
            request = self.form.request(values)
        except PROBLEMS as error:
            alert = cards.problem(sentence(error), plan_card.CANNOT)
            return {self.plan: alert, self.start: off, self.check: off, self.mark: error_mark(error), **kept}
        shown: dict[Any, Any] = {self.command: _command(request, name), self.mark: "", **kept}
        plan: Plan | None = values[self.checked]
        valid = plan and plan.of(request)
        if valid:
            return shown | self._tell(valid)
        card = plan_card.CHANGED if plan else plan_card.NO_PLAN
        return shown | {self.plan: card, self.start: off, self.check: gr.Button(interactive=True, variant="primary")}

    def look(self, values: dict[Any, Any], profile: gr.OAuthProfile | None) -> Iterator[dict[Any, Any]]:
        """Open the data; yield the progress, then the plan."""
        off = gr.Button(interactive=False)
        yield {self.check: off, self.start: off, self.stop: gr.Button(visible=True), self.form.problem: ""}
        try:
            permission.check(profile)
            train_data.resolve(values[self.form.source])
            for found in train_data.look(self.form.request(values)):
                if isinstance(found, Progress):
                    yield {self.plan: progress_bar(found.stage, found.done, found.total, found.eta_seconds)}
                else:
                    yield self._idle() | self._tell(found) | self.form.timed(found, values[self.form.surveyed])
        except PROBLEMS as error:
            yield self._idle() | {self.plan: cards.problem(sentence(error), plan_card.CANNOT), self.checked: None}

    def begin(self, values: dict[Any, Any], profile: gr.OAuthProfile | None) -> dict[Any, Any]:
        """Start a run of the plan that the visitor was shown."""
        plan: Plan | None = values[self.checked]
        off = gr.Button(interactive=False, variant="secondary")
        try:
            permission.check(profile)
            request = self.form.request(values)
            if plan is None or plan.of(request) is None:
                return {self.plan: plan_card.CHANGED, self.start: off}
            run = new_run(request, self._run_name(values))
            zerogpu.begin(run)
        except PROBLEMS as error:
            return {self.plan: cards.problem(sentence(error), plan_card.CANNOT), self.mark: error_mark(error)}
        return {
            self.chosen: run.name,
            self.name: "",
            self.checked: None,
            self.plan: plan_card.started(run.name),
            self.start: off,
            self.check: gr.Button(interactive=True, variant="primary"),
        }

    def take_upload(self, path: str, profile: gr.OAuthProfile | None) -> dict[Any, Any]:
        """Keep an uploaded file, and name it in the field for the music."""
        try:
            permission.check(profile)
            return {self.form.source: train_data.keep_upload(path), self.form.problem: ""}
        except PROBLEMS as error:
            return {self.form.problem: cards.problem(sentence(error), "Not taken"), self.form.upload: None}

    def restore(self, saved: Any) -> dict[Any, Any]:
        """Return updates that fill the form with what the browser has kept."""
        updates = self.form.restore(saved)
        # gradio takes an empty dictionary for a value.
        return {**updates, self.name: saved.get("set-name", "")} if updates else {self.name: gr.skip()}

    def _run_name(self, values: dict[Any, Any]) -> str | None:
        """Return the name that the visitor has given the run, None if there is none.

        Raises
        ------
        FormError
            If no run can have this name.
        """
        name = (values[self.name] or "").strip()
        if " " in name:
            raise FormError("name", "Names can't contain spaces")
        try:
            if name and (runs_folder() / checked_name(name)).exists():
                raise FormError("name", f"There is already a run {name}; choose another name")
        except RunError as error:
            raise FormError("name", str(error)) from error
        return name or None

    def _idle(self) -> dict[Any, Any]:
        return {self.check: gr.Button(interactive=True), self.stop: gr.Button(visible=False)}

    def _tell(self, plan: Plan) -> dict[Any, Any]:
        waits = any(seen.status.is_active for seen in snapshots())
        return {
            self.plan: plan_card.plan_card(plan, waits=waits),
            self.checked: plan,
            self.start: gr.Button(interactive=True, variant="primary"),
            self.check: gr.Button(interactive=True, variant="secondary"),
        }


def _command(request: Request, name: str | None) -> str:
    """Return the command that does the same as Start."""
    folder = runs_folder() / (name or "")
    out = str(folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder) if name else None
    return shortened(request.command(out, data=permission.shown_data()))
