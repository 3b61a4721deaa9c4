"""Hyperparameter searches on the page: start one, watch any of them, and fill the form with the best settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from genre_app.errors import RunError
from genre_app.runs import launch, zerogpu
from genre_app.runs.run import free_name, runs_folder
from genre_app.runs.search.results import Results, read
from genre_app.runs.search.search import Search, SearchFolder, list_searches
from genre_app.ui import cards, permission
from genre_app.ui.frame import PRIVATE, turn
from genre_app.ui.service import PROBLEMS
from genre_app.ui.train import data as train_data
from genre_app.ui.train.data import sentence
from genre_app.ui.train.form import Profile, Values
from genre_app.ui.train.search_card import best_request, search_card
from genre_app.ui.train.search_parts import SearchPanel, SearchSettings
from genre_app.ui.train.start import Start


class Searching:
    """The handlers of searches.

    Parameters
    ----------
    start : Start
    settings : SearchSettings
    panel : SearchPanel
    """

    def __init__(self, start: Start, settings: SearchSettings, panel: SearchPanel) -> None:
        self._start, self.form, self.settings, self.panel = start, start.form, settings, panel
        self._done = gr.Checkbox(visible=False)  # whether the page is to show what an action has changed
        self._turn = gr.State(0)  # a number that changes after an action

    def connect(self, arriving: Any) -> Any:
        """Connect the events; at the event ``arriving``, a visitor opens the tab.

        Returns
        -------
        The event that has filled the form.
        """
        settings, panel, form, done = self.settings, self.panel, self.form, self._done
        inputs = {self._start.values, settings.trials, settings.folds, settings.sampler}
        new = [panel.folded, panel.chosen, panel.listed, panel.said, self._turn]
        started = self._start.gather(settings.start.click).then(self.begin, inputs, [settings.error, done, *new], **PRIVATE)
        started.then(None, done, None, js="(done) => done && genreApp.show('#searches')")
        for button, act in ((panel.stop, SearchFolder.request_stop), (panel.resume, _resume)):
            button.click(self._acting(act), {panel.chosen}, [panel.said, self._turn], **PRIVATE)
        # One event for all causes: a browser sends it again only when its answer has arrived, so no older answer comes last.
        looking = [arriving, panel.chosen.input, panel.timer.tick, self._turn.change]
        gr.on(looking, self.look, panel.inputs, panel.outputs, trigger_mode="always_last", **PRIVATE)
        panel.chosen.input(lambda: "", None, panel.said, **PRIVATE)
        filled = panel.fill.click(self.fill, {panel.chosen, form.surveyed}, [*form.inputs, panel.said, done], **PRIVATE)
        filled.then(None, done, None, js="(done) => done && genreApp.show('#train-form')")
        return filled

    def look(self, values: Values, profile: Profile) -> Values:
        """Show the chosen search, or the newest one if it is gone."""
        panel, searches = self.panel, list_searches()
        if not searches:
            return {panel.folded: gr.Accordion(visible=False), panel.listed: [], panel.timer: gr.Timer(active=False)}
        folder = _named(values[panel.chosen], searches) or searches[0]
        names = [one.path.name for one in searches]
        updates = self._shown(folder, allowed=permission.refusal(profile) is None)
        if names != values[panel.listed]:
            updates[panel.listed] = names
            updates[panel.chosen] = gr.Dropdown(names)  # the choice stays: it may be newer than the one that was sent
            is_running = folder.is_running()
            updates[panel.folded] = gr.Accordion(visible=True, open=True) if is_running else gr.Accordion(visible=True)
        if folder.path.name != values[panel.chosen]:
            updates[panel.chosen] = gr.Dropdown(names, value=folder.path.name)
        return updates

    def _shown(self, folder: SearchFolder, *, allowed: bool) -> Values:
        """Return updates that show a search."""
        panel = self.panel
        try:
            search, is_running, results = folder.search(), folder.is_running(), _results(folder)
        except RunError as error:
            hidden = {button: gr.Button(visible=False) for button in (panel.stop, panel.resume, panel.fill)}
            card = cards.problem(sentence(error), "Not shown")
            return {**hidden, panel.card: card, panel.timer: gr.Timer(active=False)}
        is_done = len(results.rows) >= search.trials
        return {
            panel.stop: gr.Button(visible=allowed and is_running),
            panel.resume: gr.Button(visible=allowed and not is_running and not is_done),
            panel.fill: gr.Button(visible=allowed and results.best is not None),
            panel.card: search_card(folder, search, results, is_running=is_running),
            panel.timer: gr.Timer(active=is_running),
        }

    def begin(self, values: Values, profile: Profile) -> Values:
        """Start a search of the recipe in the form, and show it."""
        settings, form, panel = self.settings, self.form, self.panel
        gathered = self._start.gathered(values)
        try:
            permission.check(profile)
            if zerogpu.is_zero():
                raise RunError("This Space lends its GPU for minutes only; search on a machine of your own.")
            if any(found.is_running() for found in list_searches()):
                raise RunError("A search is running already; stop it first.")
            train_data.resolve(form.music(gathered))
            request = form.request(gathered)
            trials, folds = int(values[settings.trials] or 0), int(values[settings.folds] or 0)
            search = Search.of(request, trials, folds, values[settings.sampler])
            folder = SearchFolder.create(runs_folder() / free_name(request.recipe, "-search"), search)
            launch.resume(folder.path)
        except PROBLEMS as error:
            return {settings.error: cards.problem(sentence(error), "Can't search yet"), self._done: False}
        names = [one.path.name for one in list_searches()]
        return {
            settings.error: "",
            self._done: True,
            panel.folded: gr.Accordion(visible=True, open=True),
            panel.chosen: gr.Dropdown(names, value=folder.path.name),
            panel.listed: names,
            panel.said: "",
            self._turn: turn(),
        }

    def _acting(self, act: Callable[[SearchFolder], None]) -> Callable[[Values, Profile], Values]:
        """Return a handler that acts on the chosen search, if the visitor may."""

        def handle(values: Values, profile: Profile) -> Values:
            try:
                permission.check(profile)
                act(self._chosen(values))
            except PROBLEMS as error:
                return {self.panel.said: cards.problem(sentence(error), "Not done")}
            return {self.panel.said: "", self._turn: turn()}

        return handle

    def fill(self, values: Values, profile: Profile) -> Values:
        """Fill the form with the recipe of the chosen search and the settings of its best trial."""
        said = self.panel.said
        try:
            permission.check(profile)
            folder = self._chosen(values)
            best = _results(folder).best
            if best is None:
                raise RunError("No trial of this search is done yet.")
            filled = self.form.fill_request(best_request(folder.search(), best), values[self.form.surveyed])
        except PROBLEMS as error:
            return {said: cards.problem(sentence(error), "Not filled"), self._done: False}
        words = f"The form holds the settings of trial {best.number} of {folder.path.name} now: check the data, then start."
        return {**filled, said: cards.remark(words), self._done: True}

    def _chosen(self, values: Values) -> SearchFolder:
        name = values[self.panel.chosen]
        found = _named(name, list_searches())
        if found is None:
            raise RunError(f"There is no search {name!r} any more.")
        return found


def _resume(folder: SearchFolder) -> None:
    if not folder.is_running():
        folder.expect_process()
        launch.resume(folder.path)


def _named(name: Any, searches: list[SearchFolder]) -> SearchFolder | None:
    return next((found for found in searches if found.path.name == name), None)


def _results(folder: SearchFolder) -> Results:
    """Read the results of a search; they have no rows before the first trial has ended."""
    return read(folder.path) or Results(trials=0, folds=0, rows=(), importance={})
