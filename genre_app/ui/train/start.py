"""Step 3 of the Train tab: check the data, see what will happen, start the run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from genre_app.errors import RunError
from genre_app.progress import Progress
from genre_app.runs import zerogpu
from genre_app.runs.plan import Plan
from genre_app.runs.request import Request
from genre_app.runs.run import checked_name, new_run, runs_folder
from genre_app.ui import cards, permission
from genre_app.ui.frame import LAST, PRIVATE, turn
from genre_app.ui.service import PROBLEMS
from genre_app.ui.train import data as train_data
from genre_app.ui.train import plan_card
from genre_app.ui.train.data import sentence, shortened
from genre_app.ui.train.fields import FormError
from genre_app.ui.train.form import Form, Profile, Values
from genre_app.ui.train.markup import progress_bar
from genre_app.ui.train.snapshot import snapshots
from genre_app.ui.train.widgets import error_mark

# One event follows all changes of the form, and a browser sends it again only when its answer has arrived. With one event for
# each cause, the answer for an older form could come last.
_LAST: dict[str, Any] = {**LAST, "concurrency_limit": 8}
# A browser that forbids storage raises an error.
_GATHER = """(...values) => {
  const form = Object.fromEntries(%s.map((name, place) => [name, values[place]]))
  try { localStorage.setItem('genre-app-train', JSON.stringify(form)) } catch {}
  return form
}"""
_READ_SAVED = "() => { try { return JSON.parse(localStorage.getItem('genre-app-train')) ?? {} } catch { return {} } }"


@dataclass(frozen=True)
class Checked:
    """What the latest check has found; nothing while it goes on.

    Attributes
    ----------
    plan : Plan or None
        Only this plan can be started.
    card : str
        Shown as long as the form is ``form``: an error, or that a run was started.
    form : dict or None
    """

    plan: Plan | None = None
    card: str = ""
    form: dict[str, Any] | None = None


class Start:
    """The components of the step, laid out when the object is made, inside a `gradio.Column`; and their handlers.

    Attributes
    ----------
    chosen : gr.Textbox
        The name of the run that the page shows; the start of a run fills it.
    checked : gr.State
        A `Checked`; None before the first check.
    filled, named : gr.State
        Numbers that change after an event has filled the form, and after one that has named other music.
    values : gr.JSON
        The values of the form and the name, by element id.
    saved : gr.JSON
        What the browser has kept of these from an earlier visit. `gradio.BrowserState` does not work here: it is read when
        its tab is first opened, after the page's load event.
    mark : gr.HTML
        A style sheet that writes an error under its field.
    typed : gr.Button
        Pressed by the page's script when something is typed. An event for each field would slow the opening of the page:
        gradio then compares each part of the page with each event.
    """

    def __init__(self, form: Form, chosen: gr.Textbox) -> None:
        self.form, self.chosen = form, chosen
        self.checked = gr.State(None)
        self.filled, self.named = gr.State(0), gr.State(0)
        self.values, self.saved = gr.JSON(visible=False, elem_id="train-values"), gr.JSON({}, visible=False)
        with gr.Column(elem_classes="step"):
            gr.HTML("<h2><b>3</b> Check and start</h2>")
            self.plan = gr.HTML(plan_card.NO_PLAN, elem_id="plan")
            self.name = gr.Textbox(label="Name of the run", placeholder="the recipe's name and a number", elem_id="set-name")
            with gr.Row():
                self.check = gr.Button("Check the data", variant="primary", elem_id="train-check", min_width=120)
                self.stop = gr.Button("Stop checking", visible=False, min_width=120)
                self.start = gr.Button("Start training", interactive=False, elem_id="train-start", min_width=120)
            self.command = gr.Textbox(
                _command(form.request({part.elem_id: part.value for part in form.inputs}), None),
                label="The same in a terminal",
                lines=1,
                max_lines=8,
                interactive=False,
                buttons=["copy"],
                elem_id="train-command",
                elem_classes="code",
            )
            self.mark = gr.HTML(elem_id="train-mark")
            self.typed = gr.Button(elem_id="train-typed")  # hidden by page.css

    @property
    def _outputs(self) -> list[Any]:
        own = (self.plan, self.checked, self.start, self.check, self.stop, self.command, self.mark)
        return [*own, self.form.problem, self.form.level]

    def gather(self, *triggers: Any) -> Any:
        """Connect an event that puts the form's values into `values`, and keeps them in the browser; return it.

        It runs in the browser. If each field were an input of the events that follow, gradio would look it up in the tree of
        the page again and again, to show on it how far an event is: this took seconds.
        """
        parts = [*self.form.inputs, self.name]
        return gr.on(triggers, None, parts, self.values, js=_GATHER % json.dumps([part.elem_id for part in parts]), **PRIVATE)

    def follow(self, event: Any) -> None:
        """Update the command and the plan, and keep the form in the browser, after an event that has filled the form."""
        event.then(turn, None, self.filled, **PRIVATE)

    def connect(self, app: gr.Blocks) -> Any:
        """Connect the events of the form; return the start event."""
        form, inputs = self.form, {self.values, self.form.surveyed, self.checked}
        model, seen = form.widgets["model"], form.surveyed
        for event in (
            form.level.input(form.choose_level, [form.level, seen], form.inputs, **_LAST),
            form.recipe.input(form.choose_recipe, [form.recipe, seen], form.inputs, **_LAST),
            form.preset.input(form.choose_preset, [form.recipe, form.preset], form.inputs, **_LAST),
            model.input(form.choose_model, [form.recipe, model], form.inputs, **_LAST),
        ):
            self.follow(event)
        form.upload.upload(self.take_upload, form.upload, [form.source, form.problem, form.upload, self.named], **PRIVATE)
        app.load(None, None, self.saved, js=_READ_SAVED, **PRIVATE)
        self.saved.change(self.restore, self.saved, [*form.inputs, self.name, self.named], **PRIVATE)
        looked = gr.on([form.source.blur, self.named.change], form.look, form.source, [form.level, seen], **_LAST)
        # A look at a large folder takes seconds, so what the form holds is read after it.
        self.follow(looked.then(form.fit, [form.level, form.recipe, seen], form.inputs, **_LAST))
        filling = (form.level, form.recipe, form.preset, model)
        others = [part for part in form.inputs if part not in filling and not isinstance(part, gr.Number | gr.Textbox)]
        entered = [self.typed.click, *[part.input for part in others]]
        self.gather(*entered, self.filled.change).then(self.change, inputs, self._outputs, **_LAST)
        looking: dict[str, Any] = {"concurrency_id": "look", "concurrency_limit": 2, **PRIVATE}
        checking = self.gather(self.check.click).then(self.look, inputs, self._outputs, **looking)
        self.follow(checking)
        # In a second step, so that no report of the cancelled check arrives after this one.
        self.stop.click(None, cancels=checking, **PRIVATE).then(
            lambda: self._idle() | {self.plan: plan_card.STOPPED, self.checked: None}, None, self._outputs, **PRIVATE
        )
        started = self.gather(self.start.click).then(self.begin, inputs, [*self._outputs, self.name, self.chosen], **PRIVATE)
        self.follow(started)
        return started

    def look_after(self, event: Any) -> None:
        """Look at the music, and update the plan, after an event that has named other music."""
        event.then(turn, None, self.named, **PRIVATE)

    def change(self, values: Values) -> Values:
        """Return what the values in the form amount to: the command, the plan if it still holds, or what is wrong."""
        off = gr.Button(interactive=False, variant="secondary")
        form = self.gathered(values)
        try:
            name = self._run_name(form)
            request = self.form.request(form)
        except PROBLEMS as error:
            alert = cards.problem(sentence(error), plan_card.CANNOT)
            return {self.plan: alert, self.start: off, self.check: off, self.mark: error_mark(error)}
        shown: Values = {self.command: _command(request, name), self.mark: ""}
        checked: Checked | None = values[self.checked]
        if checked and not (checked.plan or checked.card):  # the check goes on
            return shown
        plan = checked.plan.of(request) if checked and checked.plan else None
        if plan:
            card = plan_card.plan_card(plan, waits=any(seen.status.is_active for seen in snapshots()))
            shown |= self._ready(card, can_start=True) | self.form.timed(plan, values[self.form.surveyed])
        else:
            shown |= self._ready(plan_card.CHANGED if checked else plan_card.NO_PLAN, can_start=False)
        return shown | {self.plan: checked.card} if checked and checked.form == self._without_name(form) else shown

    def look(self, values: Values, profile: Profile) -> Iterator[Values]:
        """Open the data; yield the progress, then the plan, which `change` shows if the form is still the same."""
        form, off = self.gathered(values), gr.Button(interactive=False)
        stop = gr.Button(visible=True)
        yield {self.check: off, self.start: off, self.stop: stop, self.form.problem: "", self.checked: Checked()}
        try:
            permission.check(profile)
            train_data.resolve(self.form.music(form))
            for found in train_data.look(self.form.request(form)):
                if isinstance(found, Progress):
                    yield {self.plan: progress_bar(found.stage, found.done, found.total, found.eta_seconds)}
                else:
                    yield self._idle() | {self.checked: Checked(found)}
        except PROBLEMS as error:
            card = cards.problem(sentence(error), plan_card.CANNOT)
            yield self._idle() | {self.plan: card, self.checked: Checked(None, card, self._without_name(form))}

    def begin(self, values: Values, profile: Profile) -> Values:
        """Start a run of the plan that the visitor was shown."""
        checked: Checked = values[self.checked] or Checked()
        form, off = self.gathered(values), gr.Button(interactive=False, variant="secondary")
        fields = self._without_name(form)
        try:
            permission.check(profile)
            request = self.form.request(form)
            if checked.plan is None or checked.plan.of(request) is None:
                return {self.plan: plan_card.CHANGED, self.start: off}
            run = new_run(request, self._run_name(form))
            zerogpu.begin(run)
        except PROBLEMS as error:
            card = cards.problem(sentence(error), plan_card.CANNOT)
            return {self.plan: card, self.mark: error_mark(error), self.checked: replace(checked, card=card, form=fields)}
        card = plan_card.started(run.name)
        shown = self._ready(card, can_start=False)
        return {**shown, self.chosen: run.name, self.name: "", self.checked: Checked(None, card, fields)}

    def take_upload(self, path: str, profile: Profile) -> Values:
        """Keep an uploaded file, and name it in the field for the music."""
        try:
            permission.check(profile)
            return {self.form.source: train_data.keep_upload(path), self.form.problem: "", self.named: turn()}
        except PROBLEMS as error:
            return {self.form.problem: cards.problem(sentence(error), "Not taken"), self.form.upload: None}

    def restore(self, saved: Any) -> Values:
        """Return updates that fill the form with what the browser has kept."""
        updates = self.form.restore(saved)
        name = saved.get(self.name.elem_id, "") if updates else gr.skip()
        return {**updates, self.name: name, self.named: turn()}

    def gathered(self, values: Mapping[Any, Any]) -> Values:
        """Return the values of the form by element id; an empty dictionary if a request holds none."""
        form = values[self.values]
        return form if isinstance(form, dict) else {}

    def _without_name(self, form: Mapping[Any, Any]) -> dict[str, Any]:
        return {place: value for place, value in form.items() if place != self.name.elem_id}

    def _run_name(self, form: Mapping[Any, Any]) -> str | None:
        """Return the name that the visitor has given the run, None if there is none.

        Raises
        ------
        FormError
            If no run can have this name.
        """
        name = str(form.get(self.name.elem_id) or "").strip()
        if " " in name:
            raise FormError("name", "Names can't contain spaces")
        try:
            if name and (runs_folder() / checked_name(name)).exists():
                raise FormError("name", f"There is already a run {name}; choose another name")
        except RunError as error:
            raise FormError("name", str(error)) from error
        return name or None

    def _idle(self) -> Values:
        return {self.check: gr.Button(interactive=True), self.stop: gr.Button(visible=False)}

    def _ready(self, card: str, *, can_start: bool) -> Values:
        """Return updates that show a card, and emphasise the button to press next."""
        return {
            self.plan: card,
            self.start: gr.Button(interactive=can_start, variant="primary" if can_start else "secondary"),
            self.check: gr.Button(interactive=True, variant="secondary" if can_start else "primary"),
        }


def _command(request: Request, name: str | None) -> str:
    """Return the command that does the same as Start."""
    folder = runs_folder() / (name or "")
    out = str(folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder) if name else None
    return shortened(request.command(out, data=permission.shown_data()))
