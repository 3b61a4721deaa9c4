"""The Train tab: music, a recipe, a look at what will happen, and the run as it goes.

Training is a process of its own, begun by the same command that the tab shows; the page only reads what it writes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from genre_app.errors import RunError
from genre_app.runs import zerogpu
from genre_app.runs.events import Stopped
from genre_app.runs.run import Run, Status
from genre_app.ui import permission
from genre_app.ui.frame import Frame
from genre_app.ui.permission import NotAllowedError
from genre_app.ui.service import checkpoint_choices, run_choice
from genre_app.ui.train import form as train_form
from genre_app.ui.train import hear
from genre_app.ui.train import view as train_view
from genre_app.ui.train.panel import Panel, compare_with, refresh
from genre_app.ui.train.snapshot import find
from genre_app.ui.train.start import Start

_VIEWERS = 16  # pages that look at runs at once
_WITH_VIEW = '(...values) => values.map((value, index) => (index === 2 ? genreApp.view("#run-head") : value))'
_PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


def build(frame: Frame) -> None:
    """Lay out the tab and connect it; called within its `gradio.Tab`."""
    if zerogpu.is_zero():
        zerogpu.turn()
    refused = permission.refusal(None)
    note = gr.HTML(train_view.note(refused), elem_id="train-note")
    if permission.login_offered():
        gr.LoginButton(size="sm", min_width=160)
    with gr.Row(elem_classes="columns"):
        with gr.Column(scale=4, min_width=320, visible=refused is None, elem_id="train-form") as making:
            form = train_form.build()
            hear.build()
            start = Start(form)
        with gr.Column(scale=7, min_width=320):
            panel = Panel()
    watch = _Watch(panel)

    def arrive(
        name: str, other: str, view: Any, shown: dict[str, int] | None, profile: gr.OAuthProfile | None
    ) -> dict[Any, Any]:
        refused = permission.refusal(profile)
        return {
            **watch.look(name, other, view, shown, profile),
            note: train_view.note(refused),
            making: gr.Column(visible=refused is None),
            form.init_from: gr.Dropdown(choices=train_form.init_choices()),
        }

    gr.on(
        [frame.app.load, frame.tab["Train"].select],
        arrive,
        panel.inputs,
        [*panel.outputs, note, making, form.init_from],
        js=_WITH_VIEW,
        concurrency_limit=_VIEWERS,
        **_PRIVATE,
    )
    frame.tabs.select(_leave, None, panel.timer, **_PRIVATE)
    begun = start.connect(panel.chosen, frame.app)
    watch.connect(begun)
    _connect_classify(panel, frame)


def _leave(event: gr.SelectData) -> Any:
    """Let a page that shows another tab look at runs no longer."""
    return gr.skip() if event.value == "Train" else gr.Timer(active=False)


class _Watch:
    """What happens in the panel."""

    def __init__(self, panel: Panel) -> None:
        self.panel = panel

    def look(
        self, name: str, other: str, view: Any, shown: dict[str, int] | None, profile: gr.OAuthProfile | None
    ) -> dict[Any, Any]:
        """Return what has changed."""
        return refresh(self.panel, name, other, view, shown, allowed=permission.refusal(profile) is None)

    def connect(self, begun: Any) -> None:
        """Connect the panel's events; after ``begun`` it shows another run."""
        panel = self.panel
        watching: dict[str, Any] = {"concurrency_id": "watch", "concurrency_limit": _VIEWERS, "js": _WITH_VIEW, **_PRIVATE}

        def look(
            name: str, other: str, view: Any, shown: dict[str, int] | None, profile: gr.OAuthProfile | None
        ) -> dict[Any, Any]:
            return self.look(name, other, view, shown, profile)

        def choose(
            name: str,
            other: str,
            view: Any,
            shown: dict[str, int] | None,
            event: gr.SelectData,
            profile: gr.OAuthProfile | None,
        ) -> dict[Any, Any]:
            return self.look(str(event.row_value[0]), other, view, shown, profile)

        def tick(
            name: str, other: str, view: Any, shown: dict[str, int] | None, profile: gr.OAuthProfile | None
        ) -> dict[Any, Any]:
            found = self.look(name, other, view, shown, profile)
            if found[panel.timer].active:
                del found[panel.timer]  # it may have been switched off meanwhile
            if found[panel.chosen] == name:
                del found[panel.chosen]  # another run may have been chosen meanwhile
            return found

        panel.timer.tick(tick, panel.inputs, panel.outputs, **watching)
        begun.then(look, panel.inputs, panel.outputs, **watching).then(None, None, None, js="() => genreApp.show('#run-head')")
        panel.table.select(choose, panel.inputs, panel.outputs, **watching)
        panel.other.input(
            lambda name, other: compare_with(panel, name, other),
            [panel.chosen, panel.other],
            [panel.compared, panel.compared_loss, panel.compared_accuracy],
            **_PRIVATE,
        )
        for trigger, change, extra, place in (
            (panel.stop.click, self.stop, [], panel.said),
            (panel.resume.click, self.resume, [], panel.said),
            (panel.rename.click, self.rename, [panel.new_name], panel.unmanaged),
            (panel.new_name.submit, self.rename, [panel.new_name], panel.unmanaged),
            (panel.really.click, self.delete, [panel.doomed], panel.unmanaged),
        ):
            trigger(
                self._changing(change, place),
                [*panel.inputs, *extra],
                panel.outputs,
                concurrency_limit=_VIEWERS,
                js=_WITH_VIEW,
                **_PRIVATE,
            )
        panel.delete.click(self.ask, panel.chosen, [panel.sure, panel.doomed, panel.question, panel.unmanaged], **_PRIVATE)
        panel.keep.click(lambda: (gr.Column(visible=False), ""), None, [panel.sure, panel.doomed], **_PRIVATE)

    def _changing(self, change: Callable[..., str], place: gr.HTML) -> Callable[..., dict[Any, Any]]:
        """Return a handler that changes a run, if the visitor may, and shows what came of it; why it did not, in ``place``."""

        def handle(
            name: str,
            other: str,
            view: Any,
            shown: dict[str, int] | None,
            extra: str | None = None,
            profile: gr.OAuthProfile | None = None,
        ) -> dict[Any, Any]:
            said = ""
            try:
                permission.check(profile)
                run = find(name)
                if run is None:
                    raise RunError(f"There is no run {name!r} any more.")
                name = change(run) if extra is None else change(run, extra)
            except (NotAllowedError, RunError, OSError) as error:
                said = train_view.problem(str(error), "Not done")
            panel = self.panel
            found = self.look(name, other, view, shown, profile)
            run = find(found[panel.chosen])
            # A run that is at work by now, or none at all, hides the buttons further down and what is told there.
            seen = place if run is not None and not run.status().is_active else panel.said
            return {**found, panel.said: "", panel.unmanaged: "", seen: said}

        return handle

    @staticmethod
    def stop(run: Run) -> str:
        """Ask a run to stop; return its name."""
        if run.status() is Status.paused and not zerogpu.is_going(run):
            run.record_end(Stopped())
        elif run.status().is_active:
            run.request_stop()
        return run.name

    @staticmethod
    def resume(run: Run) -> str:
        """Go on with a run; return its name."""
        zerogpu.begin(run)
        return run.name

    @staticmethod
    def rename(run: Run, name: str) -> str:
        """Give a run another name; return that."""
        name = name.strip()
        return run.name if name == run.name else run.rename(name).name

    @staticmethod
    def delete(run: Run, doomed: str) -> str:
        """Delete a run if it is the one that was asked about; return a name that none has, so that another run is shown."""
        if doomed != run.name:
            raise RunError("Another run is shown by now; press Delete again.")
        run.delete()
        return ""

    @staticmethod
    def ask(name: str) -> tuple[Any, str, str, str]:
        """Ask whether a run is to be deleted."""
        return gr.Column(visible=True), name, train_view.question(name), ""


def _connect_classify(panel: Panel, frame: Frame) -> None:
    checkpoint, own, options = (frame.parts[part] for part in ("checkpoint", "own", "options"))
    used = gr.Checkbox(visible=False)

    def use(name: str, own: str | None) -> dict[Any, Any]:
        choices = checkpoint_choices(own)
        if run_choice(name) not in choices:
            words = train_view.problem(f"The run {name!r} has no checkpoint to use.", "Not done")
            return {panel.said: words, used: False}
        return {
            checkpoint: gr.Dropdown(choices=choices, value=run_choice(name)),
            options: gr.Accordion(open=True),
            frame.tabs: gr.Tabs(selected="Classify"),
            panel.said: "",
            used: True,
        }

    chosen = panel.use.click(use, [panel.chosen, own], [checkpoint, options, frame.tabs, panel.said, used], **_PRIVATE)
    # Once the tab is open, for the figure is drawn as wide as there is room for it.
    opened = chosen.then(None, used, None, js="(used) => used && genreApp.opened('classify')")
    if frame.classify_after is not None:
        frame.classify_after(opened, used)
