"""Search settings: starts a hyperparameter search of the form's recipe, and shows its trials."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from genre_app.errors import RunError
from genre_app.runs import launch, zerogpu
from genre_app.runs.run import Run, free_name, runs_folder
from genre_app.runs.search.results import Results, Row, read
from genre_app.runs.search.search import Search, SearchFolder, list_searches
from genre_app.ui import cards, permission
from genre_app.ui.frame import PRIVATE
from genre_app.ui.train import data as train_data
from genre_app.ui.train.data import PROBLEMS, sentence, shortened
from genre_app.ui.train.form import Form
from genre_app.ui.train.markup import NO_VALUE, bar, breakable, head_row, percent

_SHOWN = 10  # trials
_TICK_SECONDS = 3.0
_SAMPLERS = [("near the best so far", "tpe"), ("independently", "random")]


class Searching:
    """The components, laid out when the object is made, inside a `gradio.Column`; and their handlers."""

    def __init__(self, form: Form) -> None:
        self.form = form
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
            self.sampler = gr.Radio(_SAMPLERS, value="tpe", label="Draw settings", elem_id="search-sampler")
            with gr.Row():
                self.start = gr.Button("Start search", elem_id="search-start", min_width=120)
                self.stop = gr.Button("Stop search", elem_id="search-stop", visible=False, min_width=120)
                self.resume = gr.Button("Resume search", elem_id="search-resume", visible=False, min_width=120)
            self.error = gr.HTML(elem_id="search-problem")
            self.card = gr.HTML(elem_id="search-card")
            self.timer = gr.Timer(_TICK_SECONDS, active=False)

    @property
    def outputs(self) -> list[Any]:
        """Components that `look` fills."""
        return [self.start, self.stop, self.resume, self.card, self.timer]

    def connect(self, *arriving: Any) -> None:
        """Connect the events; at each event of ``arriving``, a visitor opens the page or the tab."""
        shown = [self.error, *self.outputs]
        inputs = {*self.form.inputs, self.trials, self.folds, self.sampler}
        self.start.click(self.begin, inputs, shown, **PRIVATE)
        self.stop.click(self.end, None, shown, **PRIVATE)
        self.resume.click(self.go_on, None, shown, **PRIVATE)
        gr.on([*arriving, self.timer.tick], self.look, None, self.outputs, **PRIVATE)

    def look(self) -> dict[Any, Any]:
        """Show the newest search."""
        newest = next(iter(list_searches()), None)
        if newest is None:
            return {self.card: "", self.timer: gr.Timer(active=False)}
        search, is_running = newest.search(), newest.is_running()
        try:
            results = read(newest.path)
        except RunError as error:
            return {self.card: cards.problem(sentence(error), "Not shown"), self.timer: gr.Timer(active=False)}
        is_done = results is not None and len(results.rows) >= search.trials
        return {
            self.start: gr.Button(interactive=not is_running),
            self.stop: gr.Button(visible=is_running),
            self.resume: gr.Button(visible=not is_running and not is_done),
            self.card: search_card(newest, search, results, is_running=is_running),
            self.timer: gr.Timer(active=is_running),
        }

    def begin(self, values: dict[Any, Any], profile: gr.OAuthProfile | None) -> dict[Any, Any]:
        """Start a search of the recipe in the form."""
        try:
            permission.check(profile)
            if zerogpu.is_zero():
                raise RunError("This Space lends its GPU for minutes only; search on a machine of your own.")
            if any(found.is_running() for found in list_searches()):
                raise RunError("A search is running already; stop it first.")
            train_data.resolve(values[self.form.source])
            request = self.form.request(values)
            trials, folds = int(values[self.trials] or 0), int(values[self.folds] or 0)
            search = Search.of(request, trials, folds, values[self.sampler])
            folder = SearchFolder.create(runs_folder() / free_name(f"{Path(request.recipe).stem}-search"), search)
            launch.resume(folder.path)
        except PROBLEMS as error:
            return {self.error: cards.problem(sentence(error), "Can't search yet")}
        return {self.error: "", **self.look()}

    def end(self, profile: gr.OAuthProfile | None) -> dict[Any, Any]:
        """Stop the running search; it can be resumed."""
        return self._act(profile, is_running=True)

    def go_on(self, profile: gr.OAuthProfile | None) -> dict[Any, Any]:
        """Resume the newest search."""
        return self._act(profile, is_running=False)

    def _act(self, profile: gr.OAuthProfile | None, *, is_running: bool) -> dict[Any, Any]:
        try:
            permission.check(profile)
            for found in list_searches()[:1]:
                if is_running:
                    found.request_stop()
                elif not found.is_running():
                    launch.resume(found.path)
        except PROBLEMS as error:
            return {self.error: cards.problem(sentence(error), "Not done")}
        return {self.error: "", **self.look(), self.timer: gr.Timer(active=True)}


def search_card(folder: SearchFolder, search: Search, results: Results | None, *, is_running: bool) -> str:
    """Return the state of a search: its progress, its best trials, and how much each field matters."""
    rows = results.rows if results else ()
    is_done = len(rows) >= search.trials
    state = (
        "stopping" if is_running and folder.should_stop else "running" if is_running else "finished" if is_done else "stopped"
    )
    progress = "" if is_done else bar(f"{len(rows)} of {search.trials} trials", len(rows), search.trials)
    body = _failure(folder) if not rows and state == "stopped" else ""
    if results is not None:
        body += _best(search, results) + _table(rows, list(search.space)) + _importance(results)
    name = f"<h3>{escape(folder.path.name)} <span class='badge {state}'>{state}</span></h3>"
    return f'<section class="card run" aria-label="Search"><p class="eyebrow">Search</p>{name}{progress}{body}</section>'


def _failure(folder: SearchFolder) -> str:
    """Return the last line of the log of a search that ended before its first trial did."""
    last = Run(folder.path).log_tail(1)
    return f"<p>{escape(shortened(last))}</p>" if last else ""


def _best(search: Search, results: Results) -> str:
    if results.best is None:
        return ""
    request = search.request.model_copy(update={"settings": search.request.settings | results.best.settings})
    command = shortened(request.command(data=permission.shown_data()))
    return f'<p>Train with the best settings:</p><p><code class="wide">{escape(command)}</code></p>'


def _table(rows: tuple[Row, ...], fields: list[str]) -> str:
    body = "".join(_row(row, fields) for row in rows[:_SHOWN])
    head = head_row(["trial", "log-loss", "accuracy", *map(breakable, fields)])
    more = f"<p>And {len(rows) - _SHOWN} more in search.csv.</p>" if len(rows) > _SHOWN else ""
    return f'<div class="scroll" tabindex="0"><table class="counts">{head}<tbody>{body}</tbody></table></div>{more}'


def _row(row: Row, fields: list[str]) -> str:
    log_loss = NO_VALUE if row.log_loss is None else f"{row.log_loss:.3f}"
    cells = [log_loss + ("" if row.state == "done" else f" ({row.state})"), percent(row.accuracy)]
    cells += [escape(str(row.settings.get(field, ""))) for field in fields]
    return f'<tr><th scope="row">{row.number}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'


def _importance(results: Results) -> str:
    if not results.importance:
        return ""
    rows = ""
    for field, share in results.importance.items():
        drawn = f'<span class="track"><span class="bar" style="width:{100 * share:.1f}%"></span></span>'
        rows += f'<tr><th scope="row">{breakable(field)}</th><td>{drawn}</td><td>{100 * share:.0f} %</td></tr>'
    head = head_row(["", "", "importance"])
    return f'<table class="counts f1">{head}<tbody>{rows}</tbody></table>'
