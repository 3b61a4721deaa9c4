"""The Train tab: the form on the left, the runs on the right, and what happens when a visitor acts on a run.

Training is a process of its own, started by the command that the tab shows. The page only reads what the process writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import gradio as gr

from genre_app.checkpoint import DEFAULT_CHECKPOINT
from genre_app.errors import RunError
from genre_app.hub import PREFIX, repository_of
from genre_app.runs import zerogpu
from genre_app.runs.events import Stopped
from genre_app.runs.failure import EXPECTED
from genre_app.runs.push import push as upload
from genre_app.runs.run import Run, is_kept_by_space
from genre_app.runs.status import Status
from genre_app.ui import cards, permission
from genre_app.ui.collect.store import collection_of
from genre_app.ui.frame import LAST, PRIVATE, Frame
from genre_app.ui.permission import NotAllowedError
from genre_app.ui.service import PROBLEMS, RUN, still_offered
from genre_app.ui.train import hear, run_card
from genre_app.ui.train.data import sentence
from genre_app.ui.train.form import Form, Profile, Values
from genre_app.ui.train.panel import Panel
from genre_app.ui.train.refresh import compare, refresh
from genre_app.ui.train.search_parts import SearchSettings
from genre_app.ui.train.searching import Searching
from genre_app.ui.train.snapshot import find, snapshots
from genre_app.ui.train.start import Start
from genre_app.ui.train.weights import init_choices

_UNKEPT = (
    "This Space has no storage, so a restart deletes its runs. Upload a finished run to the hub (below it: Download, share, "
    "rename, delete), or add storage in the Space's settings."
)
_FINE_TUNING = "transfer"  # the recipe of "Train longer"
_VIEWERS = 16  # pages that look at runs at the same time
_WITH_VIEW = '(view, ...others) => [genreApp.view("#run-head"), ...others]'
_TICK_WHILE_OPEN = '() => genreApp.whileOpen("train")'
_LOOKING: dict[str, Any] = {**PRIVATE, "js": _WITH_VIEW, "concurrency_id": "watch", "concurrency_limit": _VIEWERS}


def build(frame: Frame) -> None:
    """Lay out the tab and connect it; inside its `gradio.Tab`."""
    if zerogpu.is_zero():
        zerogpu.turn()
    refused = permission.refusal(None)
    note = gr.HTML(_note(refused), elem_id="train-note")
    if permission.login_offered():
        gr.LoginButton(size="sm", min_width=160)
    view = gr.JSON(visible=False)
    chosen = gr.Textbox(elem_id="run-chosen", visible=False)
    with gr.Row(elem_classes="columns"):
        with gr.Column(scale=4, min_width=320, visible=refused is None, elem_id="train-form") as column:
            form = Form()
            hear.build()
            start = Start(form, chosen)
            settings = SearchSettings()
        with gr.Column(scale=7, min_width=320):
            panel = Panel(view, chosen)
    actions = Actions(panel)

    def arrive(values: Values, profile: Profile) -> Values:
        """Show the runs and the form to a visitor who opens the tab."""
        refused = permission.refusal(profile)
        return {
            **actions.look(values, profile),
            note: _note(refused),
            column: gr.Column(visible=refused is None),
            form.init_from: gr.Dropdown(choices=init_choices()),
        }

    outputs = [*panel.outputs, note, column, form.init_from]
    frame.tab["Train"].select(arrive, panel.inputs, outputs, **_LOOKING)
    gr.on([frame.tabs.select, frame.tabs.change], None, None, panel.timer, js=_TICK_WHILE_OPEN, **PRIVATE)
    actions.connect(start.connect(frame.app))
    searching = Searching(start, settings, panel.searches)
    start.follow(searching.connect(frame.tab["Train"].select))
    _connect_classify(panel, frame)
    start.look_after(_connect_collect(form, frame))
    start.follow(_connect_room(form, frame))


def _note(refused: str | None) -> str:
    note = refused or (_UNKEPT if permission.on_space() and not is_kept_by_space() else "")
    return f'<p class="intro">{note}</p>' if note else ""


class Actions:
    """The handlers of the panel."""

    def __init__(self, panel: Panel) -> None:
        self.panel = panel

    def look(self, values: Values, profile: Profile) -> Values:
        """Return what has changed."""
        return refresh(self.panel, values, profile)

    def choose(self, values: Values, event: gr.SelectData, profile: Profile) -> Values:
        """Show the run in the row that was chosen."""
        return refresh(self.panel, values, profile, name=str(event.row_value[0]))

    def compare(self, name: str | None, other: str | None) -> Values:
        """Show another run beside the chosen one."""
        runs = {seen.run.name: seen for seen in snapshots()}
        return compare(self.panel, runs.get(name or ""), runs.get(other or ""))

    def tick(self, values: Values, profile: Profile) -> Values:
        """Return what has changed since the last look."""
        updates = self.look(values, profile)
        if updates[self.panel.chosen] == values[self.panel.chosen]:
            del updates[self.panel.chosen]  # the visitor may have chosen another run meanwhile
        return updates

    def connect(self, started: Any) -> None:
        """Connect the events of the panel; after ``started`` it shows the new run."""
        panel = self.panel
        panel.timer.tick(self.tick, panel.inputs, panel.outputs, **_LOOKING)
        shown = started.then(self.look, panel.inputs, panel.outputs, **_LOOKING)
        shown.then(None, None, None, js="() => genreApp.show('#run-head')")
        panel.table.select(self.choose, panel.inputs, panel.outputs, **_LOOKING)
        comparison = [panel.compared, panel.compared_loss, panel.compared_accuracy]
        panel.other.input(self.compare, [panel.chosen, panel.other], comparison, **LAST)
        for trigger, action, place in (
            (panel.stop.click, _stop, panel.error),
            (panel.resume.click, lambda run, _: zerogpu.begin(run), panel.error),
            (panel.rename.click, self.rename, panel.manage_error),
            (panel.new_name.submit, self.rename, panel.manage_error),
            (panel.really.click, self.delete, panel.manage_error),
        ):
            trigger(self._acting(action, place), panel.inputs, panel.outputs, **_LOOKING | {"concurrency_id": None})
        panel.push.click(push, [panel.chosen, panel.repository], panel.manage_error, **PRIVATE)
        panel.delete.click(self.ask, panel.chosen, [panel.sure, panel.doomed, panel.question, panel.manage_error], **PRIVATE)
        panel.keep.click(lambda: (gr.Column(visible=False), ""), None, [panel.sure, panel.doomed], **PRIVATE)

    def _acting(self, action: Callable[[Run, Values], str | None], place: gr.HTML) -> Callable[..., Values]:
        """Return a handler that acts on the chosen run, if the visitor may; an error appears in ``place``.

        ``action`` returns the name of the run to show next, None for the same run.
        """

        def handle(values: Values, profile: Profile) -> Values:
            panel, name, error = self.panel, values[self.panel.chosen], ""
            try:
                permission.check(profile)
                name = action(_found(name), values) or name
            except (NotAllowedError, RunError, OSError) as problem:
                error = cards.problem(sentence(problem), "Not done")
            updates = refresh(panel, values, profile, name=name)
            shown = find(updates[panel.chosen])
            # For an active run, or without one, the buttons of `manage_error` are hidden, and so is the place.
            visible = place if shown is not None and not shown.status().is_active else panel.error
            return {**updates, panel.error: "", panel.manage_error: "", visible: error}

        return handle

    def rename(self, run: Run, values: Values) -> str:
        """Rename a run; return its name."""
        name = (values[self.panel.new_name] or "").strip()
        return run.name if name == run.name else run.rename(name).name

    def delete(self, run: Run, values: Values) -> None:
        """Delete a run if it is the one that the question was about."""
        if values[self.panel.doomed] != run.name:
            raise RunError("Another run is shown now; press Delete again.")
        run.delete()

    def ask(self, name: str) -> tuple[Any, str, str, str]:
        """Ask whether a run is to be deleted."""
        return gr.Column(visible=True), name, run_card.question(name), ""


def _stop(run: Run, _: Values) -> None:
    if run.status() is Status.paused and not zerogpu.is_going(run):
        run.record_end(Stopped())
    elif run.status().is_active:
        run.request_stop()


def _found(name: str) -> Run:
    run = find(name)
    if run is None:
        raise RunError(f"There is no run {name!r} any more.")
    return run


def push(name: str, repository: str | None, profile: Profile, token: gr.OAuthToken | None) -> Iterator[str]:
    """Upload a run to the hub, on a Space with the token of the owner who has signed in."""
    try:
        permission.check(profile)
        run = _found(name)
        if token is None and permission.on_space():
            raise NotAllowedError("Sign in above first: the upload uses your account of the hub.")
        if token is None and permission.on_network():  # the token of this machine is not the visitor's
            raise NotAllowedError("Upload from the machine that serves this page: genre-app push RUN OWNER/NAME.")
        repository = (repository or "").strip()
        if not repository:
            raise RunError("Write OWNER/NAME of the model into the field first.")
        yield cards.remark("Uploading …")
        upload(run, repository, token=token.token if token else None)
        yield cards.remark(f"Uploaded. Use it anywhere as --checkpoint {PREFIX}{repository_of(repository)[0]}")
    except EXPECTED as error:
        yield cards.problem(sentence(error), "Not uploaded")
    except PROBLEMS as error:
        yield cards.problem(cards.told(error), "Not uploaded")


def _connect_classify(panel: Panel, frame: Frame) -> None:
    """Connect the button that uses the checkpoint of a run in the Classify tab."""
    checkpoint, own, options = (frame.parts[part] for part in ("checkpoint", "own", "options"))
    used = gr.Checkbox(visible=False)

    def use(name: str, own: str | None) -> Values:
        offered = still_offered([RUN + name], own)
        if RUN + name not in offered["choices"]:
            return {panel.error: cards.problem(f"The run {name!r} has no checkpoint to use.", "Not done"), used: False}
        return {
            checkpoint: gr.Dropdown(**offered),
            options: gr.Accordion(open=True),
            frame.tabs: gr.Tabs(selected="Classify"),
            panel.error: "",
            used: True,
        }

    clicked = panel.use.click(use, [panel.chosen, own], [checkpoint, options, frame.tabs, panel.error, used], **PRIVATE)
    frame.classify_after(clicked, used)


def _connect_collect(form: Form, frame: Frame) -> Any:
    """Connect the button that fills the form with a collection and the recipe that fine-tunes all layers; return the event."""

    def fill(name: str | None, surveyed: Any, request: gr.Request) -> Values:
        folder = collection_of(request.session_hash, name).folder
        return {
            **form.fill_recipe(_FINE_TUNING, surveyed),
            form.source: str(folder),
            form.init_from: gr.Dropdown(choices=init_choices(), value=DEFAULT_CHECKPOINT),
            frame.tabs: gr.Tabs(selected="Train"),
        }

    return _connect_fill("train longer", fill, [frame.parts["collection"], form.surveyed], form, frame, "#train-form")


def _connect_room(form: Form, frame: Frame) -> Any:
    """Connect the button that fills the augmentation of the form with a room that was checked; return the event."""

    def fill(settings: Any) -> Values:
        told = gr.Dropdown(info="The room that you checked, over the recipe's augmentation: see All settings.")
        return {**form.fill_settings(settings or {}), form.preset: told, frame.tabs: gr.Tabs(selected="Train")}

    return _connect_fill("train for room", fill, [frame.parts["room settings"]], form, frame, "#train-preset")


def _connect_fill(button: str, fill: Callable[..., Values], inputs: list[Any], form: Form, frame: Frame, place: str) -> Any:
    """Connect a button of another tab that fills the form; then the page opens this tab and scrolls to ``place``."""
    clicked = cast(gr.Button, frame.parts[button]).click(fill, inputs, [*form.inputs, frame.tabs], **PRIVATE)
    clicked.then(None, None, None, js=f"() => genreApp.opened('train').then(() => genreApp.show('{place}'))")
    return clicked
