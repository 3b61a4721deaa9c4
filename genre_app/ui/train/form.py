"""Steps 1 and 2 of the Train tab: the music, the recipe, and a widget for each field of `TrainConfig`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr
from pydantic import ValidationError

from genre_app.augment.presets import DESCRIPTIONS, PRESETS
from genre_app.checkpoint import bundled_checkpoints
from genre_app.errors import RecipeError
from genre_app.runs.recipes import check_model_settings, describe_recipe, read_recipe, recipe_names
from genre_app.runs.request import Request
from genre_app.ui.permission import on_space
from genre_app.ui.service import RequestError, checkpoint_choices, run_choice
from genre_app.ui.train import data as train_data
from genre_app.ui.train.fields import OF_RECIPE, FormError, FormField, changed_settings, form_fields, network_info, shown_values
from genre_app.ui.train.snapshot import find

_MAIN_FIELDS = ("model", "spec.kind", "epochs", "batch_size", "learning_rate")  # always visible; the others are folded away
_LABELS = {"spec.kind": "Features", "model_settings": "Settings of the network", "split.file": "Split file"}
_GROUPS = {
    "": "Training",
    "spec": "Features and segments",
    "split": "Training, validation and test tracks",
    "augment": "Augmentation of a batch",
    "augment.mild": "Augmentation: mild chain",
    "augment.recorded": "Augmentation: simulated recording",
    "augment.waveform": "Augmentation of waveforms",
}
_RANDOM = "random weights"
_MAX_INFO = 150  # letters of a help text: six lines in half the form's width
_COLUMNS = [("the recipe's", "recipe"), ("those of the mel cache", "data")]


class Form:
    """The components of the two steps, laid out when the object is made; inside a `gradio.Column`.

    Attributes
    ----------
    source, upload, problem
        Where the music is, an upload field, and a message about the upload.
    recipe, preset, init_from, columns, threads
        Inputs that are not fields of `TrainConfig`.
    widgets : dict
        The widget of each field of `TrainConfig`, by path.
    """

    def __init__(self) -> None:
        fields = {field.path: field for field in form_fields() if not (field.is_path and on_space())}
        self.widgets: dict[str, Any] = {}
        with gr.Column(elem_classes="step"):
            self._lay_out_music()
        with gr.Column(elem_classes="step"):
            self._lay_out_recipe(fields)

    def _lay_out_music(self) -> None:
        gr.HTML("<h2><b>1</b> Music</h2>")
        if on_space():
            label, example = "Data set of the hub", "hub:confit/gtzan"
            info = "hub:OWNER/NAME, or upload a zip with one folder for each genre."
        else:
            label, example = "Folder, zip, mel cache, CSV or data set of the hub", "/home/me/music or hub:confit/gtzan"
            info = "The folder holds one folder for each genre, with its songs."
        self.source = gr.Textbox(label=label, placeholder=example, info=info, elem_id="train-source")
        self.upload = gr.File(label="or upload a zip of genre folders", elem_id="train-upload", height=80)
        self.problem = gr.HTML(elem_id="train-upload-problem")

    def _lay_out_recipe(self, fields: Mapping[str, FormField]) -> None:
        gr.HTML("<h2><b>2</b> Recipe</h2>")
        recipes = recipe_names()
        values = shown_values(config := read_recipe(recipes[0]))
        info = describe_recipe(recipes[0])
        self.recipe = gr.Dropdown(recipes, value=recipes[0], label="Recipe", info=info, elem_id="train-recipe")
        for row in (_MAIN_FIELDS[:2], _MAIN_FIELDS[2:]):
            with gr.Row():
                for path in row:
                    self.widgets[path] = _widget(fields[path], values[path], min_width=120)
        presets, info = [OF_RECIPE, *PRESETS], _preset_info(OF_RECIPE)
        self.preset = gr.Dropdown(presets, value=OF_RECIPE, label="Augmentation", info=info, elem_id="train-preset")
        with gr.Accordion("All other settings", open=False):
            settings = "model_settings"
            self.widgets[settings] = _widget(fields[settings], values[settings])
            self.widgets[settings].info = network_info(config.model)
            for group in dict.fromkeys(["", *(field.group for field in fields.values())]):
                with gr.Accordion(_GROUPS.get(group, group), open=False, elem_id=_element(group or "training")):
                    rest = [field for path, field in fields.items() if field.group == group and path not in self.widgets]
                    for row_fields in _in_rows(rest):
                        with gr.Row():
                            for field in row_fields:
                                self.widgets[field.path] = _widget(field, values[field.path])
            with gr.Accordion("Starting weights, spectrogram, CPU threads", open=False):
                label, info = "Starting weights", "Start from these weights."
                self.init_from = gr.Dropdown(
                    init_choices(), value=_RANDOM, label=label, info=info, elem_id=_element("init_from")
                )
                label, info = "Spectrogram settings", "Sample rate, hop length and mel bands."
                self.columns = gr.Radio(_COLUMNS, value="recipe", label=label, info=info, elem_id=_element("columns"))
                label, info = "CPU threads", "1 to 256. A run repeats exactly only with the same number of threads."
                self.threads = gr.Number(2, label=label, info=info, elem_id=_element("threads"))

    @property
    def inputs(self) -> list[Any]:
        """Everything that a request is made from."""
        others = (self.source, self.recipe, self.preset, self.init_from, self.columns, self.threads)
        return [*others, *self.widgets.values()]

    def request(self, values: Mapping[Any, Any]) -> Request:
        """Return the request that the form describes; its data is ``DATA`` while no usable music is named.

        Raises
        ------
        FormError, RequestError
            If a value is wrong.
        """
        recipe, preset = values[self.recipe], values[self.preset]
        if recipe not in recipe_names():
            raise RequestError(f"There is no recipe {recipe!r}; choose one of: {', '.join(recipe_names())}")
        if preset not in PRESETS and preset != OF_RECIPE:
            raise RequestError(f"There is no augmentation {preset!r}; choose one of: {', '.join(PRESETS)}")
        try:
            data = train_data.resolve(values[self.source])
        except RequestError:
            data = "DATA"
        shown = {path: values[widget] for path, widget in self.widgets.items()}
        try:
            request = Request(
                recipe=recipe,
                data=data,
                settings=changed_settings(shown, read_recipe(recipe), preset),
                init_from=_init_from(values[self.init_from]),
                columns=values[self.columns],
                threads=values[self.threads],
            )
            config = request.config()
        except (ValidationError, RecipeError) as error:
            wrong = error if isinstance(error, ValidationError) else error.__cause__
            if not isinstance(wrong, ValidationError):
                raise
            raise FormError.of(wrong) from error
        try:
            check_model_settings(config)
        except RecipeError as error:
            raise FormError("model_settings", str(error)) from error
        return request

    def choose_recipe(self, recipe: str) -> dict[Any, Any]:
        """Return updates that fill the form with a recipe."""
        config = read_recipe(recipe)
        values = shown_values(config)
        return {
            **self._fill(values),
            self.widgets["model_settings"]: gr.Textbox(values["model_settings"], info=network_info(config.model)),
            self.recipe: gr.Dropdown(info=describe_recipe(recipe)),
            self.preset: gr.update(value=OF_RECIPE, info=_preset_info(OF_RECIPE)),
        }

    def choose_preset(self, recipe: str, preset: str) -> dict[Any, Any]:
        """Return updates that fill the augmentation fields with a preset."""
        config = read_recipe(recipe)
        if preset != OF_RECIPE:
            config = config.model_copy(update={"augment": PRESETS[preset]})
        values = {path: value for path, value in shown_values(config).items() if path.startswith("augment.")}
        return {**self._fill(values), self.preset: gr.Dropdown(info=_preset_info(preset))}

    def fill_settings(self, settings: Mapping[str, Any]) -> dict[Any, Any]:
        """Return updates of the fields named by the settings' dotted paths; the others stay."""
        fields = {field.path: field for field in form_fields()}
        return self._fill({path: fields[path].show(value) for path, value in settings.items() if path in fields})

    def choose_model(self, recipe: str, model: str) -> dict[Any, Any]:
        """Return updates that give a network its settings: the recipe's for the recipe's network, else the defaults."""
        config = read_recipe(recipe)
        text = shown_values(config)["model_settings"] if model == config.model else ""
        return {self.widgets["model_settings"]: gr.Textbox(text, info=network_info(model))}

    def saved(self, values: Mapping[Any, Any]) -> dict[str, Any]:
        """Return the values of the form by element id, for the browser to keep."""
        return {part.elem_id: values[part] for part in self.inputs}

    def restore(self, saved: Any) -> dict[Any, Any]:
        """Return updates that fill the form with saved values; choices that no longer exist are left out."""
        choices = {self.init_from: init_choices()}
        kept = {}
        for part in self.inputs:
            value = saved.get(part.elem_id) if isinstance(saved, dict) else None
            allowed = choices.get(part) or [choice for _, choice in getattr(part, "choices", None) or ()]
            if value is not None and (not allowed or value in allowed):
                kept[part] = value
        if self.recipe not in kept:
            return {}
        infos = {
            self.recipe: describe_recipe(kept[self.recipe]),
            self.preset: _preset_info(kept.get(self.preset, OF_RECIPE)),
            self.widgets["model_settings"]: network_info(kept.get(self.widgets["model"], self.widgets["model"].value)),
        }
        updates = {part: gr.update(value=value) for part, value in kept.items()}
        return updates | {part: gr.update(value=kept[part], info=info) for part, info in infos.items() if part in kept}

    def _fill(self, values: Mapping[str, Any]) -> dict[Any, Any]:
        return {widget: values[path] for path, widget in self.widgets.items() if path in values}


def init_choices() -> list[str]:
    """Return the choices of starting weights."""
    return [_RANDOM, *checkpoint_choices()]


def error_mark(error: Exception | None) -> str:
    """Return a style sheet that writes an error under the field that it belongs to; empty if there is none.

    The sentence is in the plan's alert too, for those who do not see the page.
    """
    if not isinstance(error, FormError) or not error.path:
        return ""
    # Each letter as CSS's escape, so that no text can leave the quotes.
    text = "".join(f"\\{ord(letter):06x}" for letter in train_data.sentence(error))
    return f'<style>#{_element(error.path)}::after{{content:"{text}"}}</style>'


def _element(path: str) -> str:
    return f"set-{path.replace('.', '-')}"


def _in_rows(fields: Sequence[FormField]) -> list[list[FormField]]:
    """Return the fields in rows of two; a field with a long help text has a row of its own."""
    rows: list[list[FormField]] = []
    for field in fields:
        is_long = len(field.info) > _MAX_INFO
        if is_long or not rows or len(rows[-1]) == 2 or len(rows[-1][0].info) > _MAX_INFO:
            rows.append([])
        rows[-1].append(field)
    return rows


def _widget(field: FormField, value: Any, min_width: int = 130) -> Any:
    common: dict[str, Any] = {"info": field.info or None, "min_width": min_width, "interactive": True}
    common |= {"label": _LABELS.get(field.path, field.label), "elem_id": _element(field.path)}
    if field.kind == "choice":
        return gr.Dropdown(list(field.choices), value=value, **common)
    if field.kind == "flag":
        return gr.Checkbox(value, **common)
    if field.kind == "number":
        return gr.Number(value, **common)  # without bounds: gradio would report them in a toast, the page does it in place
    if field.kind == "toml":
        return gr.Textbox(value, lines=3, max_lines=12, elem_classes="code", **common)
    return gr.Textbox(value, **common)


def _preset_info(preset: str) -> str:
    return DESCRIPTIONS.get(preset, "Changes segments at random during training.")


def _init_from(choice: str | None) -> str | None:
    if choice is None or choice == _RANDOM:
        return None
    if choice in bundled_checkpoints():
        return choice
    run = find(choice.removeprefix(run_choice("")))
    if run is None or choice not in checkpoint_choices():
        raise FormError("init_from", f"There is no checkpoint {choice!r}; choose other starting weights")
    return str(run.best)
