"""The form: its fields, what they become, and its sentences."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from genre_app.runs.recipes import read_recipe, recipe_names
from genre_app.ui.train import data as train_data
from genre_app.ui.train import view as train_view
from genre_app.ui.train.fields import OF_RECIPE, explain, form_fields, of_table, settings_of, shown, table_rows
from tests.pages import handler, named
from tests.ui.train.page import changed


def test_every_setting_of_a_run_has_a_field_with_its_help_and_its_bounds(app):
    fields = {field.path: field for field in form_fields()}
    assert fields["epochs"].info == "Rounds over the training tracks; 1 to 10000"
    assert fields["learning_rate"].info == "Highest learning rate; above 0, at most 1"
    assert fields["augment.waveform.snr_db"].info.endswith("from, to")
    assert [path for path, field in fields.items() if len(field.info) < 8] == []
    blocks = {block.elem_id: block for block in app.blocks.values()}
    for path, field in fields.items():
        if f"set-{path.replace('.', '-')}" not in blocks:
            table = blocks[f"set-{field.group.replace('.', '-')}"].value["data"]
            assert [row[2] for row in table if row[0] == field.label] == [field.info], path
    leaves = {name for name, _ in train_view._flat(read_recipe("mlp").model_dump(exclude={"model_settings"}))}
    constant = {"spec.center", "spec.mel_norm"}
    assert leaves - constant == set(fields) - {"model_settings"}


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_left_as_it_is_needs_no_setting(name):
    config = read_recipe(name)
    assert settings_of(shown(config), config) == {}


def test_only_what_differs_becomes_a_setting_and_gives_the_same_run():
    recipe = read_recipe("cnn")
    values = shown(recipe) | {
        "epochs": 7,
        "learning_rate": 1e-5,
        "model_settings": shown(recipe)["model_settings"].replace("dropout = 0.3", "dropout = 0.1"),
        "spec.kind": "mfcc",
        "split.file": "my split.csv",
        "augment.spare_rest": True,
        "augment.recorded.noise_snr_db": "1; 2.5",
        "seed": 3,
    }
    settings = settings_of(values, recipe)
    assert settings == {
        "epochs": 7,
        "learning_rate": 1e-5,
        "model_settings.dropout": 0.1,
        "spec.kind": "mfcc",
        "split.file": "my split.csv",
        "augment.spare_rest": True,
        "augment.recorded.noise_snr_db": [1.0, 2.5],
        "seed": 3,
    }
    config = read_recipe("cnn", settings)
    assert (config.epochs, config.learning_rate, config.spec.kind, config.seed) == (7, 1e-5, "mfcc", 3)
    assert config.model_settings == recipe.model_settings | {"dropout": 0.1}
    assert config.split.file == Path("my split.csv")
    assert config.augment.recorded.noise_snr_db == (1.0, 2.5)
    assert config.augment.mild == recipe.augment.mild
    assert shown(config) == shown(config) | {
        path: value for path, value in values.items() if path != "augment.recorded.noise_snr_db"
    }


def test_a_table_of_settings_reads_back_as_it_was_written():
    for name in recipe_names():
        values = shown(read_recipe(name))
        for group in ("augment.mild", "augment.recorded", "augment.waveform"):
            fields = [field for field in form_fields() if field.group == group]
            rows = [*table_rows(fields, values), ["Unknown", "1", ""], ["Split file", "/etc/passwd", ""], []]
            assert of_table(fields, rows) == {field.path: values[field.path] for field in fields}


def test_another_network_does_not_inherit_settings():
    recipe = read_recipe("default")
    settings = settings_of(shown(recipe) | {"model": "mlp", "model_settings": "hidden = [8]"}, recipe)
    assert read_recipe("default", settings).model_settings == {"hidden": [8]}
    settings = settings_of(shown(recipe) | {"model": "resnet18", "model_settings": ""}, recipe)
    assert read_recipe("default", settings).model_settings == {}


def test_a_preset_is_one_setting_and_can_be_changed_further(app):
    recipe = read_recipe("default")
    filled = handler(app, "train-preset", "input").fn("default", "noise+pitch")
    groups = {
        group: [field for field in form_fields() if field.group == group] for group in ("augment.mild", "augment.recorded")
    }
    values = shown(recipe)
    for block, value in filled.items():
        path = block.elem_id.removeprefix("set-").replace("-", ".")
        values |= of_table(groups[path], value) if path in groups else {path: value}
    assert settings_of(values, recipe, "noise+pitch") == {"augment": "noise+pitch"}
    values["augment.mild.pitch_semitones"] = 2
    config = read_recipe("default", settings_of(values, recipe, "noise+pitch"))
    assert (config.augment.mild.pitch_semitones, config.augment.mild.gaussian_probability) == (2, 1)
    assert config.augment.recorded_share == 0


def test_choosing_a_recipe_fills_the_form(app):
    filled = named(handler(app, "train-recipe", "input").fn("kth-lstm"))
    config = read_recipe("kth-lstm")
    assert filled["set-model"] == "lstm"
    assert filled["set-epochs"] == config.epochs
    assert filled["set-spec-kind"] == config.spec.kind == "mfcc_delta"
    assert "units = [128, 32]" in filled["set-model_settings"].value
    assert "KTH" in filled["train-recipe"].info
    assert filled["train-preset"].value == OF_RECIPE


def test_the_command_is_the_same_as_the_form(app):
    command = changed(app, **{"train-source": "/my music", "set-epochs": 5, "Name of the run": "mine"})["train-command"]
    words = shlex.split(command)
    assert words[:5] == ["genre-app", "train", "default", "--data", "/my music"]
    assert words[words.index("--set") + 1] == "epochs=5"
    assert words[words.index("--out") + 1].endswith("runs/mine")
    assert "--data DATA" in changed(app)["train-command"]
    for source, full in (
        ("music", str(Path("music").absolute())),
        ("hub:confit/gtzan", "hub:confit/gtzan"),
        ("~no-such-user", "~no-such-user"),
    ):
        data = shlex.split(changed(app, **{"train-source": source})["train-command"])[4]
        assert data.endswith(full)


@pytest.mark.parametrize(
    ("changes", "words", "place"),
    [
        ({"set-epochs": 0}, "Epochs: must be 1 to 10000.", "recipe"),
        ({"set-epochs": 2.5}, "Epochs: must be a whole number, 1 to 10000.", "recipe"),
        ({"set-batch_size": None}, "Batch size (batch_size): write a number, 2 to 65536.", "recipe"),
        ({"set-learning_rate": 2}, "Learning rate: must be above 0, at most 1.", "recipe"),
        ({"set-warmup": -1}, "Warmup: must be 0 to 0.9.", "warmup"),
        ({"set-seed": -1}, "Seed: must be at least 0, below 2147483648.", "seed"),
        ({"set-spec-n_mels": 0}, "(spec.n_mels): must be", "spec-hop_length"),  # which stands beside it
        ({"set-spec-fmax": 20000}, "fmin &lt; fmax &lt;= sample_rate / 2 must hold", "spec"),
        ({"set-split-train": 0.99}, "train + valid must not exceed 1", "split"),
        (
            {"set-augment-mild": [["Noise SNR dB", "loud", ""]]},
            "Noise SNR dB (augment.mild.noise_snr_db): write two numbers",
            "augment-mild",
        ),
        (
            {"set-augment-recorded": [["Noise probability", "often", ""]]},
            "(augment.recorded.noise_probability): write a number, 0 to 1.",
            "augment-recorded",
        ),
        ({"set-augment-waveform": [["Background probability", "0.5", ""]]}, "needs a background_folder", "augment-waveform"),
        (
            {"set-augment-waveform": [["SNR probability", "7", ""]]},
            "(augment.waveform.snr_probability): must be 0 to 1.",
            "augment-waveform",
        ),
        ({"set-model_settings": "dropout 3"}, "Model settings (model_settings)", "model_settings"),
        ({"set-model_settings": "droppout = 0.3"}, "Droppout", "model_settings"),
        ({"set-model": "cnn", "set-model_settings": "dropout = 3"}, "Dropout: must be at least 0, below 1.", "model_settings"),
        ({"set-model": "mlp"}, "Networks", "model_settings"),
        (
            {"set-model_settings": "networks = [{settings = {dropout = 3}}]"},
            "cnn: dropout: must be less than 1",
            "model_settings",
        ),
        ({"CPU threads": 0}, "Threads: must be 1 to 256.", "threads"),
        ({"Name of the run": "../up"}, "cannot name a run", None),
        ({"Begin with": "run: gone"}, "There is no checkpoint", None),
    ],
)
def test_a_wrong_value_is_a_sentence_in_place(app, changes, words, place):
    said = changed(app, **changes)
    # Under its own row of fields, and under no others.
    told = {
        name.removeprefix("wrong-"): html.value for name, html in said.items() if name.startswith("wrong-") and html.visible
    }
    assert list(told) == [name for name in [place] if name]
    assert all(words in html for html in told.values())
    assert words in said["plan"]
    assert 'role="alert"' in said["plan"]
    assert "Traceback" not in said["plan"]
    assert "\n" not in re.sub("<[^>]+>", "", said["plan"]).strip()
    assert said["train-start"].interactive is said["train-check"].interactive is False
    assert {html.visible for name, html in changed(app).items() if name.startswith("wrong-")} == {False}


def test_an_error_with_a_sentence_of_its_own_keeps_it():
    assert explain(ValueError("plain words")) == "plain words."
    error = train_data.RequestError("Say it")
    error.__cause__ = ValueError("not this")
    assert explain(error) == "Say it."
