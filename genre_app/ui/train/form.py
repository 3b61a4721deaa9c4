"""Steps 1 and 2 of the Train tab: the music, one of three choices or a recipe, and a widget for each field of `TrainConfig`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

import gradio as gr
from pydantic import ValidationError

from genre_app.augment.presets import DESCRIPTIONS, PRESETS
from genre_app.errors import RecipeError
from genre_app.runs import estimate
from genre_app.runs.plan import Plan
from genre_app.runs.recipes import check_model_settings, describe_recipe, read_recipe, recipe_names
from genre_app.runs.request import Request
from genre_app.training import TrainConfig
from genre_app.ui import permission
from genre_app.ui.service import RequestError
from genre_app.ui.train import data as train_data
from genre_app.ui.train.fields import OF_RECIPE, FormError, FormField, changed_settings, form_fields, network_info, shown_values
from genre_app.ui.train.levels import choices, initial_of, level_of, recipe_choices, way_of
from genre_app.ui.train.survey import UNKNOWN, read_survey, survey
from genre_app.ui.train.weights import RANDOM, choice_of, init_choices, init_from
from genre_app.ui.train.widgets import element, widget

Values = dict[Any, Any]
"""What a handler gets or returns: a value or an update for each component."""

Profile = gr.OAuthProfile | None
"""The account with which a visitor has signed in."""

# Above the others, which are folded in groups.
_MAIN_FIELDS = ("model", "spec.kind", "epochs", "batch_size", "learning_rate", "model_settings")
_GROUPS = {
    "": "Training",
    "spec": "Features and segments",
    "split": "Training, validation and test tracks",
    "augment": "Augmentation of a batch",
    "augment.mild": "Augmentation: mild chain",
    "augment.recorded": "Augmentation: simulated recording",
    "augment.waveform": "Augmentation of waveforms",
}
_FIRST = "Balanced"  # the level that is chosen when the page is opened
_COLUMNS = [("the recipe's", "recipe"), ("those of the mel cache", "data")]


class Form:
    """The components of the two steps, laid out when the object is made; inside a `gradio.Column`.

    Attributes
    ----------
    source, upload, problem
        Where the music is, an upload field, and a message about the upload.
    level
        Quick, Balanced or Best: each stands for a recipe, and says how long it takes.
    surveyed
        What was seen of the music, a `genre_app.ui.train.survey.Survey` as a dictionary.
    recipe, preset, init_from, columns, threads
        Inputs that are not fields of `TrainConfig`.
    widgets : dict
        The widget of each field of `TrainConfig`, by path.
    """

    def __init__(self) -> None:
        fields = {field.path: field for field in form_fields() if not (field.is_path and permission.on_space())}
        self.widgets: dict[str, Any] = {}
        with gr.Column(elem_classes="step"):
            self._lay_out_music()
        with gr.Column(elem_classes="step"):
            self._lay_out_recipe(fields)

    def _lay_out_music(self) -> None:
        gr.HTML("<h2><b>1</b> Music</h2>")
        if permission.on_space():
            label, example = "Data set of the hub", "hub:confit/gtzan"
            info = "hub:OWNER/NAME, or upload a zip with one folder for each genre."
        else:
            label, example = "Folder, zip, mel cache, CSV or data set of the hub", "/home/me/music or hub:confit/gtzan"
            info = "The folder holds one folder for each genre, with its songs."
        self.source = gr.Textbox(label=label, placeholder=example, info=info, elem_id="train-source")
        self.upload = gr.File(label="or upload a zip of genre folders", elem_id="train-upload", height=80)
        self.problem = gr.HTML(elem_id="train-upload-problem")

    def _lay_out_recipe(self, fields: Mapping[str, FormField]) -> None:
        gr.HTML('<h2 id="train-level-name"><b>2</b> How long may it take?</h2>')
        way = way_of(_FIRST, UNKNOWN)
        values = shown_values(config := read_recipe(way.recipe))
        self.surveyed = gr.JSON(asdict(UNKNOWN), visible=False, elem_id="train-surveyed")
        self.level = gr.Radio(
            choices(UNKNOWN), value=_FIRST, label="How long may it take?", show_label=False, elem_id="train-level"
        )
        with gr.Accordion("Recipes and published systems", open=False, elem_id="train-recipes"):
            label, info = "Our recipes, then published systems", describe_recipe(way.recipe)
            self.recipe = gr.Dropdown(recipe_choices(), value=way.recipe, label=label, info=info, elem_id="train-recipe")
            presets, info = [OF_RECIPE, *PRESETS], _preset_info(OF_RECIPE)
            self.preset = gr.Dropdown(presets, value=OF_RECIPE, label="Augmentation", info=info, elem_id="train-preset")
        with gr.Accordion("All settings", open=False, elem_id="train-settings"):
            for path in _MAIN_FIELDS:
                self.widgets[path] = widget(fields[path], values[path])
            self.widgets["model_settings"].info = network_info(config.model)
            for group in dict.fromkeys(["", *(field.group for field in fields.values())]):
                with gr.Accordion(_GROUPS.get(group, group), open=False, elem_id=element(group or "training")):
                    for path, field in fields.items():
                        if field.group == group and path not in self.widgets:
                            self.widgets[path] = widget(field, values[path])
            with gr.Accordion("Starting weights, spectrogram, CPU threads", open=False):
                label, info = "Starting weights", "Start from these weights."
                self.init_from = gr.Dropdown(init_choices(), value=RANDOM, label=label, info=info, elem_id=element("init_from"))
                label, info = "Spectrogram settings", "Sample rate, hop length and mel bands."
                self.columns = gr.Radio(_COLUMNS, value="recipe", label=label, info=info, elem_id=element("columns"))
                label, info = "CPU threads", "1 to 256. A run repeats exactly only with the same number of threads."
                self.threads = gr.Number(2, label=label, info=info, elem_id=element("threads"))

    @property
    def inputs(self) -> list[Any]:
        """Everything that a request is made from."""
        others = (self.source, self.level, self.recipe, self.preset, self.init_from, self.columns, self.threads)
        return [*others, *self.widgets.values()]

    def request(self, values: Mapping[Any, Any]) -> Request:
        """Return the request that the form describes; its data is ``DATA`` while no usable music is named.

        Parameters
        ----------
        values : mapping
            The values of `inputs` by element id, as a browser sends them: anything.

        Raises
        ------
        FormError, RequestError
            If a value is wrong.
        """
        recipe, preset = str(values.get(self.recipe.elem_id)), str(values.get(self.preset.elem_id))
        if recipe not in recipe_names():
            raise RequestError(f"There is no recipe {recipe!r}; choose one of: {', '.join(recipe_names())}")
        if preset not in PRESETS and preset != OF_RECIPE:
            raise RequestError(f"There is no augmentation {preset!r}; choose one of: {', '.join(PRESETS)}")
        try:
            data = train_data.resolve(self.music(values))
        except RequestError:
            data = "DATA"
        shown = {path: values.get(widget.elem_id) for path, widget in self.widgets.items()}
        try:
            request = Request(
                recipe=recipe,
                data=data,
                settings=changed_settings(shown, read_recipe(recipe), preset),
                init_from=init_from(str(values.get(self.init_from.elem_id) or RANDOM)),
                columns=values.get(self.columns.elem_id),
                threads=values.get(self.threads.elem_id),
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

    def choose_level(self, level: str, surveyed: Any) -> Values:
        """Return updates after the visitor has chosen Quick, Balanced or Best; they may have chosen again meanwhile."""
        way = way_of(level, read_survey(surveyed))
        updates = self.fill_recipe(way.recipe, surveyed) | {self.init_from: way.init_from or RANDOM}
        del updates[self.level]
        return updates

    def choose_recipe(self, recipe: str, surveyed: Any) -> Values:
        """Return updates after the visitor has chosen a recipe; they may have chosen again meanwhile."""
        return self.fill_recipe(recipe, surveyed) | {self.recipe: gr.update(info=describe_recipe(recipe))}

    def fill_recipe(self, recipe: str, surveyed: Any) -> Values:
        """Return updates that fill the form with a recipe."""
        initial = initial_of(recipe)
        return {
            **self._fill_config(read_recipe(recipe)),
            self.recipe: gr.update(value=recipe, info=describe_recipe(recipe)),
            self.preset: gr.update(value=OF_RECIPE, info=_preset_info(OF_RECIPE)),
            self.init_from: initial or RANDOM,
            self.level: level_of(recipe, initial, read_survey(surveyed)),
        }

    def look(self, source: str | None, profile: Profile) -> Values:
        """Look at the music that a visitor names; return how long each choice takes with it."""
        seen = UNKNOWN
        if permission.refusal(profile) is None:
            with suppress(RequestError):
                seen = survey(train_data.resolve(source))
        return {self.surveyed: asdict(seen), self.level: gr.Radio(choices(seen))}

    def fit(self, level: str | None, recipe: str, surveyed: Any) -> Values:
        """Return updates that fill the form with another recipe if the chosen level trains the music by that."""
        if level and way_of(level, read_survey(surveyed)).recipe != recipe:
            return self.choose_level(level, surveyed)
        return {self.level: gr.skip()}  # gradio takes an empty dictionary for a value

    def timed(self, plan: Plan, surveyed: Any) -> Values:
        """Return the choices with the time that a plan has measured."""
        tracks = sum(sum(of_genre.values()) for of_genre in plan.tracks.values())
        if plan.seconds is not None and not plan.request.settings:
            estimate.learn(plan.request.recipe, tracks, plan.seconds)
        return {self.level: gr.Radio(choices(replace(read_survey(surveyed), tracks=tracks)))}

    def choose_preset(self, recipe: str, preset: str) -> Values:
        """Return updates that fill the augmentation fields with a preset."""
        config = read_recipe(recipe)
        if preset != OF_RECIPE:
            config = config.model_copy(update={"augment": PRESETS[preset]})
        values = {path: value for path, value in shown_values(config).items() if path.startswith("augment.")}
        return {**self._fill(values), self.preset: gr.Dropdown(info=_preset_info(preset))}

    def fill_settings(self, settings: Mapping[str, Any]) -> Values:
        """Return updates of the fields named by the settings' dotted paths; the others stay."""
        fields = {field.path: field for field in form_fields()}
        return self._fill({path: fields[path].show(value) for path, value in settings.items() if path in fields})

    def fill_request(self, request: Request, surveyed: Any) -> Values:
        """Return updates that fill the form with a request; the music stays, as a visitor may train on more.

        Raises
        ------
        RequestError
            If the form offers its recipe or its starting weights no longer.
        RecipeError
            If a setting is wrong.
        """
        if request.recipe not in recipe_names():
            raise RequestError("This page does not offer the recipe of that search; use its command in a terminal")
        return {
            **self.fill_recipe(request.recipe, surveyed),
            **self._fill_config(request.config()),
            self.level: level_of(request.recipe, request.init_from, read_survey(surveyed)),
            self.init_from: choice_of(request.init_from),
            self.columns: request.columns,
            self.threads: request.threads,
        }

    def choose_model(self, recipe: str, model: str) -> Values:
        """Return updates that give a network its settings: the recipe's for the recipe's network, else the defaults."""
        config = read_recipe(recipe)
        return self._fill_network(model, shown_values(config)["model_settings"] if model == config.model else "")

    def music(self, values: Mapping[Any, Any]) -> str:
        """Return what the form says where the music is."""
        return str(values.get(self.source.elem_id) or "")

    def restore(self, saved: Any) -> Values:
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
        updates: Values = {part: gr.update(value=value) for part, value in kept.items()}
        start = kept.get(self.init_from)
        updates[self.level] = level_of(kept[self.recipe], None if start == RANDOM else start, UNKNOWN)
        return updates | {part: gr.update(value=kept[part], info=info) for part, info in infos.items() if part in kept}

    def _fill_config(self, config: TrainConfig) -> Values:
        values = shown_values(config)
        return self._fill(values) | self._fill_network(config.model, values["model_settings"])

    def _fill_network(self, model: str, settings: str) -> Values:
        return {self.widgets["model_settings"]: gr.Textbox(settings, info=network_info(model))}

    def _fill(self, values: Mapping[str, Any]) -> Values:
        return {widget: values[path] for path, widget in self.widgets.items() if path in values}


def _preset_info(preset: str) -> str:
    return DESCRIPTIONS.get(preset, "Changes segments at random during training.")
