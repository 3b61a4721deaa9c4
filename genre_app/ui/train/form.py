"""The form of the Train tab: music, recipe, settings, made from the fields of `TrainConfig`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from genre_app.augment.presets import DESCRIPTIONS, PRESETS
from genre_app.checkpoint import bundled_checkpoints
from genre_app.runs.recipes import describe_recipe, read_recipe, recipe_names
from genre_app.runs.request import Request
from genre_app.runs.run import checked_name, free_name, runs_folder
from genre_app.training import TrainConfig
from genre_app.ui.permission import on_space, shown_data
from genre_app.ui.service import RequestError, checkpoint_choices, run_choice
from genre_app.ui.train import data as train_data
from genre_app.ui.train import view as train_view
from genre_app.ui.train.fields import (
    OF_RECIPE,
    FormField,
    blamed,
    check_network,
    form_fields,
    network_info,
    of_table,
    preset_values,
    settings_of,
    shown,
    table_rows,
)
from genre_app.ui.train.snapshot import find

_VISIBLE = ("model", "spec.kind", "epochs", "batch_size", "learning_rate")
_LABELS = {"spec.kind": "Features"}
_GROUPS = {
    "": "Training",
    "spec": "Features and segments",
    "split": "Split of the tracks",
    "augment": "Augmentation of a batch",
    "augment.mild": "Augmentation: the mild chain",
    "augment.recorded": "Augmentation: as if recorded in a room",
    "augment.waveform": "Augmentation of waveforms",
}
_MOST_WIDGETS = 16  # of a group; a larger one becomes a table
_FRESH = "random weights"
_COLUMNS = [("the recipe's, from audio", "recipe"), ("those of the mel cache", "data")]


@dataclass(frozen=True, eq=False)
class Form:
    """The widgets of the form.

    Attributes
    ----------
    source, upload, problem
        The music: where it is, a file, and what is wrong with that.
    recipe, preset, name, init_from, columns, threads
        What is not a field of `TrainConfig`.
    widgets : dict
        A widget for each field, by its path.
    wrong : dict
        Where a wrong value is told, under the row of fields in which it was typed, by the path of each; by that of a group
        what is wrong with several of its fields, or with one in a table.
    tables : dict
        For each large group of fields, a table with a row for each, since dozens of widgets would slow the page down.
    """

    source: gr.Textbox
    upload: gr.File
    problem: gr.HTML
    recipe: gr.Dropdown
    preset: gr.Dropdown
    name: gr.Textbox
    init_from: gr.Dropdown
    columns: gr.Radio
    threads: gr.Number
    widgets: dict[str, Any]
    wrong: dict[str, gr.HTML]
    tables: dict[tuple[FormField, ...], gr.Dataframe]

    @property
    def inputs(self) -> set[Any]:
        """Everything that a request is made from."""
        others = (self.source, self.recipe, self.preset, self.name, self.init_from, self.columns, self.threads)
        return {*others, *self.filled}

    @property
    def filled(self) -> list[Any]:
        """Everything that a recipe fills."""
        return [*self.widgets.values(), *self.tables.values()]

    def config(self, values: Mapping[Any, Any]) -> TrainConfig:
        """Return the settings that the values on the page make.

        Raises
        ------
        ValueError
            `genre_app.ui.train.fields.explain` puts it into words.
        """
        config = self._request(values, data="DATA").config()
        check_network(config)
        return config

    def told(self, error: Exception | None) -> dict[Any, Any]:
        """Return updates that tell what is wrong where it was typed, and nothing elsewhere."""
        path = (blamed(error) if error is not None else None) or ""
        told = self.wrong.get(path, self.wrong.get(path.rpartition(".")[0]))
        return {
            place: gr.HTML(train_view.wrong(train_data.sentence(error)), visible=True)
            if error is not None and place is told
            else gr.HTML("", visible=False)
            for place in self.wrong.values()
        }

    def request(self, values: Mapping[Any, Any]) -> Request:
        """Return what the values on the page ask for.

        Raises
        ------
        ValueError
            If a value is wrong, or there is no music; `genre_app.ui.train.fields.explain` puts it into words.
        """
        self.config(values)
        return self._request(values, train_data.resolve(values[self.source]))

    def command(self, values: Mapping[Any, Any]) -> str:
        """Return the command that does the same as Start."""
        try:
            data = train_data.resolve(values[self.source])
        except RequestError:
            data = "DATA"
        named = (values[self.name] or "").strip()
        out = os.path.relpath(runs_folder() / self.run_name(values)) if named else None
        return self._request(values, data).command(out, data=shown_data())

    def run_name(self, values: Mapping[Any, Any]) -> str:
        """Return the name of the run to be; errors as those of `given_name`."""
        return self.given_name(values) or free_name(_recipe(values[self.recipe]))

    def given_name(self, values: Mapping[Any, Any]) -> str | None:
        """Return the name on the page, None if there is none.

        Raises
        ------
        RunError
            If the name on the page cannot be used.
        """
        name = (values[self.name] or "").strip()
        return checked_name(name) if name else None

    def of_recipe(self, recipe: str) -> dict[Any, Any]:
        """Return updates that put the values of a recipe into the form."""
        config = read_recipe(_recipe(recipe))
        values = shown(config)
        updates = self._fill(values)
        updates[self.widgets["model_settings"]] = gr.Textbox(values["model_settings"], info=network_info(config.model))
        return updates | {self.preset: _preset(OF_RECIPE), self.recipe: gr.Dropdown(info=describe_recipe(recipe))}

    def of_preset(self, recipe: str, preset: str) -> dict[Any, Any]:
        """Return updates that put the values of a preset of augmentation into the form."""
        values = preset_values(preset, read_recipe(_recipe(recipe)))
        return self._fill(values) | {self.preset: _preset(preset)}

    def of_model(self, recipe: str, model: str) -> dict[Any, Any]:
        """Return updates that give a network its settings: those of the recipe if it is the recipe's, else its own defaults."""
        config = read_recipe(_recipe(recipe))
        text = shown(config)["model_settings"] if model == config.model else ""
        return {self.widgets["model_settings"]: gr.Textbox(text, info=network_info(model))}

    def _fill(self, values: Mapping[str, Any]) -> dict[Any, Any]:
        updates = {widget: values[path] for path, widget in self.widgets.items() if path in values}
        return updates | {
            table: table_rows(fields, values) for fields, table in self.tables.items() if fields[0].path in values
        }

    def _request(self, values: Mapping[Any, Any], data: str) -> Request:
        recipe = _recipe(values[self.recipe])
        preset = values[self.preset]
        if preset not in PRESETS and preset != OF_RECIPE:
            raise RequestError(f"There is no augmentation {preset!r}; choose one of: {', '.join(PRESETS)}")
        of_fields = {path: values[widget] for path, widget in self.widgets.items()}
        for fields, table in self.tables.items():
            of_fields |= of_table(fields, values[table])
        return Request(
            recipe=recipe,
            data=data,
            settings=settings_of(of_fields, read_recipe(recipe), preset),
            init_from=_init_from(values[self.init_from]),
            columns=values[self.columns],
            threads=values[self.threads],
        )


def build() -> Form:
    """Lay out the first two steps; called within a `gradio.Column`."""
    with gr.Column(elem_classes="step"):
        gr.HTML("<h2><b>1</b> Music</h2>")
        home = not on_space()
        source = gr.Textbox(
            label="Folder, zip, mel cache, CSV or hub data set" if home else "Data set of the hub",
            placeholder="/home/me/music or hub:confit/gtzan" if home else "hub:confit/gtzan",
            info="A folder for each genre, with its songs within."
            if home
            else "hub:OWNER/NAME, or upload a zip with a folder for each genre.",
            elem_id="train-source",
        )
        upload = gr.File(label="or upload a zip of genre folders", elem_id="train-upload", height=80)
        problem = gr.HTML(elem_id="train-upload-problem")
    recipes = recipe_names()
    config = read_recipe(recipes[0])
    values = shown(config)
    fields = {field.path: field for field in form_fields() if field.kind != "path" or home}
    widgets: dict[str, Any] = {}
    wrong: dict[str, gr.HTML] = {}
    tables: dict[tuple[FormField, ...], gr.Dataframe] = {}
    with gr.Column(elem_classes="step"):
        gr.HTML("<h2><b>2</b> Recipe</h2>")
        recipe = gr.Dropdown(
            recipes, value=recipes[0], label="Recipe", info=describe_recipe(recipes[0]), elem_id="train-recipe", filterable=True
        )
        with gr.Row():
            for path in _VISIBLE[:2]:
                widgets[path] = _widget(fields[path], values[path])
        with gr.Row():
            for path in _VISIBLE[2:]:
                widgets[path] = _widget(fields[path], values[path], min_width=120)
        wrong |= dict.fromkeys(_VISIBLE, _place("recipe"))
        preset = gr.Dropdown(
            [OF_RECIPE, *PRESETS], value=OF_RECIPE, label="Augmentation", info=_preset_info(OF_RECIPE), elem_id="train-preset"
        )
        with gr.Accordion("All other settings", open=False):
            widgets["model_settings"] = gr.Textbox(
                values["model_settings"],
                label="Settings of the network",
                info=network_info(config.model),
                lines=3,
                max_lines=12,
                elem_id="set-model_settings",
                elem_classes="code",
            )
            wrong["model_settings"] = _place("model_settings")
            for group, label in _grouped(fields):
                of_group = tuple(field for field in fields.values() if field.group == group)
                with gr.Accordion(label, open=False):
                    if group and len(of_group) > _MOST_WIDGETS:
                        tables[of_group] = _table(of_group, values)
                    else:
                        _rows(of_group, values, widgets, wrong)
                    if group:
                        wrong[group] = _place(group)
            with gr.Accordion("Begin, columns, threads", open=False):
                init_from = gr.Dropdown(init_choices(), value=_FRESH, label="Begin with", info="A checkpoint to learn on from.")
                columns = gr.Radio(
                    _COLUMNS, value="recipe", label="Columns", info="Sample rate, hop and mel bands of the spectrograms."
                )
                threads = gr.Number(2, label="CPU threads", info="Part of what makes weights repeat; 1 to 256")
                wrong["threads"] = _place("threads")
    name = gr.Textbox(label="Name of the run", placeholder="the recipe's, with a number", render=False)
    return Form(source, upload, problem, recipe, preset, name, init_from, columns, threads, widgets, wrong, tables)


def init_choices() -> list[str]:
    """Return what a run may begin with."""
    return [_FRESH, *checkpoint_choices()]


def _grouped(fields: Mapping[str, FormField]) -> list[tuple[str, str]]:
    """Return the groups of fields in the order of `TrainConfig`, its own first, and what they are called."""
    groups = dict.fromkeys(field.group for field in fields.values())
    return [(group, _GROUPS.get(group, group)) for group in ("", *(group for group in groups if group))]


def _table(fields: tuple[FormField, ...], values: Mapping[str, Any]) -> gr.Dataframe:
    return gr.Dataframe(
        table_rows(fields, values),
        headers=["Setting", "Value", "What it is"],
        datatype=["str", "str", "str"],
        type="array",
        label="Double-click a value to change it",
        column_widths=["36%", "20%", "44%"],
        static_columns=[0, 2],
        interactive=True,
        wrap=True,
        max_height=380,
        buttons=[],
        elem_id=f"set-{fields[0].group.replace('.', '-')}",
        elem_classes="settings",
    )


def _rows(fields: Sequence[FormField], values: Mapping[str, Any], widgets: dict[str, Any], wrong: dict[str, gr.HTML]) -> None:
    left = [field for field in fields if field.path not in (*_VISIBLE, "model_settings")]
    for index in range(0, len(left), 2):
        row = left[index : index + 2]
        with gr.Row():
            for field in row:
                widgets[field.path] = _widget(field, values[field.path])
        wrong |= dict.fromkeys((field.path for field in row), _place(row[0].path))


def _widget(field: FormField, value: Any, min_width: int = 130) -> Any:
    common: dict[str, Any] = {
        "label": _LABELS.get(field.path, field.label),
        "info": field.info or None,
        "min_width": min_width,
        "elem_id": f"set-{field.path.replace('.', '-')}",
        "interactive": True,
    }
    if field.kind == "choice":
        return gr.Dropdown(list(field.choices), value=value, **common)
    if field.kind == "flag":
        return gr.Checkbox(value, **common)
    if field.kind == "number":
        # No bounds here: gradio would tell of them in a passing message, the page does in place.
        return gr.Number(value, **common)
    return gr.Textbox(value, **common)


def _place(path: str) -> gr.HTML:
    return gr.HTML(elem_id=f"wrong-{path.replace('.', '-')}", visible=False)


def _recipe(name: str | None) -> str:
    if name not in recipe_names():
        raise RequestError(f"There is no recipe {name!r}; choose one of: {', '.join(recipe_names())}")
    return str(name)


def _preset(preset: str) -> gr.Dropdown:
    return gr.Dropdown([OF_RECIPE, *PRESETS], value=preset, info=_preset_info(preset))


def _preset_info(preset: str) -> str:
    return DESCRIPTIONS.get(preset, "How training changes segments, so that there is more to learn from.")


def _init_from(choice: str | None) -> str | None:
    if choice is None or choice == _FRESH or choice in bundled_checkpoints():
        return None if choice == _FRESH else choice
    run = find(choice.removeprefix(run_choice("")))
    if run is None or choice not in checkpoint_choices():
        raise RequestError(f"There is no checkpoint {choice!r} to begin with; choose another")
    return str(run.best)
