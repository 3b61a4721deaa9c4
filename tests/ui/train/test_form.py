"""The form: its fields, what they become, and its sentences."""

from __future__ import annotations

import html
import re
import shlex
from pathlib import Path

import pandas as pd
import pytest

from genre_app.runs.recipes import read_recipe, recipe_names
from genre_app.runs.status import Status
from genre_app.ui.train import data as train_data
from genre_app.ui.train.fields import OF_RECIPE, changed_settings, form_fields, shown_values
from tests.pages import handler, named
from tests.ui.train.page import changed, form_of, marked, values_of


def test_every_setting_of_a_run_has_a_widget_with_its_help_and_its_bounds(app):
    fields = {field.path: field for field in form_fields()}
    assert fields["epochs"].info.endswith("; 1 to 10000")
    assert fields["learning_rate"].info.endswith("; above 0, at most 1")
    assert fields["augment.waveform.snr_db"].info.endswith("; -80 to 80; from, to")
    assert fields["augment.mild.coloured_noise_snr_db"].label == "Coloured noise SNR dB"
    assert [path for path, field in fields.items() if len(field.info) < 8] == []
    blocks = {block.elem_id: block for block in app.blocks.values()}
    for path, field in fields.items():
        assert field.info in blocks[f"set-{path.replace('.', '-')}"].info or path == "model_settings"
    leaves = {*pd.json_normalize(read_recipe("mlp").model_dump(exclude={"model_settings"}))}
    constant = {"spec.center", "spec.mel_norm"}
    assert leaves - constant == set(fields) - {"model_settings"}


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_left_as_it_is_needs_no_setting(name):
    config = read_recipe(name)
    assert changed_settings(shown_values(config), config) == {}


def test_only_what_differs_becomes_a_setting_and_gives_the_same_run():
    recipe = read_recipe("cnn")
    values = shown_values(recipe) | {
        "epochs": 7,
        "learning_rate": 1e-5,
        "model_settings": shown_values(recipe)["model_settings"].replace("dropout = 0.3", "dropout = 0.1"),
        "spec.kind": "mfcc",
        "split.file": "my split.csv",
        "augment.spare_rest": True,
        "augment.recorded.coloured_noise_snr_db": "1; 2.5",
        "unfreeze": "0.25, 0.5",
        "seed": 3,
    }
    settings = changed_settings(values, recipe)
    assert settings == {
        "epochs": 7,
        "learning_rate": 1e-5,
        "model_settings.dropout": 0.1,
        "spec.kind": "mfcc",
        "split.file": "my split.csv",
        "augment.spare_rest": True,
        "augment.recorded.coloured_noise_snr_db": [1.0, 2.5],
        "unfreeze": [0.25, 0.5],
        "seed": 3,
    }
    config = read_recipe("cnn", settings)
    assert (config.epochs, config.learning_rate, config.spec.kind, config.seed) == (7, 1e-5, "mfcc", 3)
    assert config.model_settings == recipe.model_settings | {"dropout": 0.1}
    assert config.split.file == Path("my split.csv")
    assert config.augment.recorded.coloured_noise_snr_db == (1.0, 2.5)
    assert config.augment.mild == recipe.augment.mild
    assert shown_values(config) == shown_values(config) | {
        path: value for path, value in values.items() if path != "augment.recorded.coloured_noise_snr_db"
    }


def test_another_network_does_not_inherit_settings():
    recipe = read_recipe("default")
    settings = changed_settings(shown_values(recipe) | {"model": "mlp", "model_settings": "hidden = [8]"}, recipe)
    assert read_recipe("default", settings).model_settings == {"hidden": [8]}
    settings = changed_settings(shown_values(recipe) | {"model": "resnet18", "model_settings": ""}, recipe)
    assert read_recipe("default", settings).model_settings == {}


def test_a_preset_is_one_setting_and_can_be_changed_further(app):
    recipe = read_recipe("default")
    filled = handler(app, "train-preset", "input").fn("default", "noise+pitch")
    paths = {f"set-{field.path.replace('.', '-')}": field.path for field in form_fields()}
    values = shown_values(recipe) | {paths[block.elem_id]: v for block, v in filled.items() if block.elem_id in paths}
    assert changed_settings(values, recipe, "noise+pitch") == {"augment": "noise+pitch"}
    values["augment.mild.pitch_semitones"] = 2
    config = read_recipe("default", changed_settings(values, recipe, "noise+pitch"))
    assert (config.augment.mild.pitch_semitones, config.augment.mild.white_noise_probability) == (2, 1)
    assert config.augment.recorded_share == 0


def test_a_reload_keeps_the_form(app):
    """What the browser keeps fills the form again; what is no longer offered is left out."""
    changes = {"train-recipe": "cnn", "train-source": "/my music", "set-epochs": 7, "set-name": "mine", "set-seed": 3}
    kept = form_of(app) | changes
    (load,) = [one for one in app.fns.values() if one.name == "restore"]
    restored = named(load.fn(kept))
    for place, value in changes.items():
        filled = restored[place]
        assert (filled["value"] if isinstance(filled, dict) else filled) == value
    assert "info" in restored["train-recipe"]
    assert "set-init_from" not in named(load.fn(kept | {"set-init_from": "run: gone"}))
    for unusable in (None, {}, [], kept | {"train-recipe": "gone"}):
        assert list(named(load.fn(unusable))) == ["set-name", "State"]  # no field of the form


def test_choosing_a_recipe_fills_the_form(app):
    filled = named(handler(app, "train-recipe", "input").fn("kth-lstm", None))
    config = read_recipe("kth-lstm")
    assert filled["set-model"] == "lstm"
    assert filled["set-epochs"] == config.epochs
    assert filled["set-spec-kind"] == config.spec.kind == "mfcc_delta"
    assert "units = [128, 32]" in filled["set-model_settings"].value
    assert "KTH" in filled["train-recipe"]["info"]
    assert filled["train-preset"]["value"] == OF_RECIPE
    assert filled["train-level"] is None
    assert filled["set-init_from"] == "random weights"


def test_one_keystroke_reads_the_recipe_once(app, told, monkeypatch):
    plan, values = told
    read = []
    opened = Path.read_text
    monkeypatch.setattr(Path, "read_text", lambda path, **options: read.append(path) or opened(path, **options))
    function = handler(app, "train-typed", "click")
    state = next(block for block in values if type(block).__name__ == "State")
    assert "for 3 epochs" in named(function.fn(values | {state: plan}))["plan"]
    assert len([path for path in read if path.suffix == ".toml"]) <= 1


def test_the_command_is_the_same_as_the_form(app):
    command = changed(app, **{"train-source": "/my music", "set-epochs": 5, "set-name": "mine"})["train-command"]
    words = shlex.split(command)
    assert words[:5] == ["genre-app", "train", "lstm", "--data", "/my music"]
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
        ({"set-epochs": 0}, "epochs: must be at least 1, got 0", "epochs"),
        ({"set-epochs": 2.5}, "epochs: must be a valid integer", "epochs"),
        ({"set-batch_size": None}, "batch_size: write a number", "batch_size"),
        ({"set-learning_rate": 2}, "learning_rate: must be at most 1, got 2", "learning_rate"),
        ({"set-warmup": -1}, "warmup: must be at least 0, got -1", "warmup"),
        ({"set-seed": -1}, "seed: must be at least 0, got -1", "seed"),
        ({"set-spec-n_mels": 0}, "spec.n_mels: must be", "spec-n_mels"),
        ({"set-spec-fmax": 20000}, "fmin < fmax <= sample_rate / 2", "spec"),
        ({"set-split-train": 0.99}, "train + valid must not exceed 1", "split"),
        (
            {"set-augment-mild-coloured_noise_snr_db": "loud"},
            "augment.mild.coloured_noise_snr_db: write two numbers",
            "augment-mild-coloured_noise_snr_db",
        ),
        (
            {"set-augment-recorded-coloured_noise_probability": 7},
            "augment.recorded.coloured_noise_probability: must be at most 1, got 7",
            "augment-recorded-coloured_noise_probability",
        ),
        ({"set-augment-waveform-background_probability": 0.5}, "needs a background_folder", "augment-waveform"),
        ({"set-model_settings": "dropout 3"}, "model_settings: write lines such as dropout = 0.2", "model_settings"),
        ({"set-model_settings": "dropout = 1979-05-27"}, "no value may be a date, nan or inf", "model_settings"),
        ({"set-model_settings": "dropout = " + "[" * 100_000}, "nested too deeply", "model_settings"),
        ({"set-model_settings": "dropout = nan"}, "no value may be a date, nan or inf", "model_settings"),
        ({"set-model_settings": "droppout = 0.3"}, "there is no field 'droppout'", "model_settings"),
        ({"set-model": "cnn", "set-model_settings": "dropout = 3"}, "dropout: must be less than 1, got 3", "model_settings"),
        ({"set-model": "mlp"}, "there is no field 'channels'", "model_settings"),
        (
            {"set-model": "committee", "set-model_settings": "networks = [{settings = {dropout = 3}}]"},
            "cnn: dropout: must be less than 1",
            "model_settings",
        ),
        ({"set-threads": 0}, "threads: must be at least 1, got 0", "threads"),
        ({"set-name": "my first"}, "Names can't contain spaces", "name"),
        ({"set-name": "../up"}, "cannot name a run", "name"),
        ({"set-init_from": "run: gone"}, "There is no checkpoint 'run: gone'", "init_from"),
        ({"set-unfreeze": "0.5, soon"}, "unfreeze: write numbers, such as 0.25, 0.5", "unfreeze"),
        ({"set-unfreeze": "7"}, "unfreeze.0: must be at most 1, got 7", "unfreeze"),
        ({"set-unfreeze": "0.5"}, "no checkpoint is named", None),
        ({"set-freeze": "convolutions"}, "no checkpoint is named", None),
    ],
)
def test_a_wrong_value_is_a_sentence_under_its_field(app, changes, words, place):
    said = changed(app, **changes)
    if place is None:
        assert said["train-mark"] == ""
    else:
        element, message = marked(said["train-mark"])
        assert element == f"set-{place}"
        assert words in message
        assert element in {block.elem_id for block in app.blocks.values()}
    alert = html.unescape(said["plan"])
    assert words in alert
    assert 'role="alert"' in alert
    assert "Traceback" not in alert
    assert "\n" not in re.sub("<[^>]+>", "", alert).strip()
    assert said["train-start"].interactive is said["train-check"].interactive is False
    assert changed(app)["train-mark"] == ""


def test_a_taken_name_is_told_before_start(app, make_run):
    make_run("mine", Status.stopped)
    assert marked(changed(app, **{"set-name": "mine"})["train-mark"])[1].startswith("There is already a run mine")


def test_an_error_cannot_leave_the_style_sheet(app):
    hostile = "</style><script>alert(1)</script>"
    said = changed(app, **{"set-augment-mild-coloured_noise_snr_db": hostile, "set-name": hostile})
    assert marked(said["train-mark"])
    assert "<script" not in said["plan"]


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "nonsense",
        [],
        {},
        {"train-recipe": ["cnn"]},
        {"train-preset": {}},
        {"set-model": {"a": 1}},
        {"set-init_from": {"a": 1}},
        {"set-columns": 3},
        {"set-threads": "many"},
        {"set-epochs": "7"},
        {"set-epochs": float("inf")},
        {"set-fit_temperature": "perhaps"},
        {"set-unfreeze": [1]},
        {"set-model_settings": 5},
        {"set-name": ["x"]},
    ],
)
def test_a_browser_may_send_anything(app, sent):
    function = handler(app, "train-typed", "click")
    values = values_of(app, function)
    (gathered,) = [block for block in values if block.elem_id == "train-values"]
    form = form_of(app) | sent if isinstance(sent, dict) and sent else sent
    said = named(function.fn(values | {gathered: form}))
    assert 'role="alert"' in said["plan"]
    assert said["train-check"].interactive is False


def test_the_servers_own_folders_are_not_shown(tmp_path):
    work = tmp_path / "runs" / ".data"
    for path, short in (
        ("uploads/0123456789-my music.zip", "my music.zip"),
        ("zip-0123456789abcdef/jazz/a.wav", "jazz/a.wav"),
        ("mel-0123", "mel-0123"),
    ):
        assert train_data.shortened(f"There is no {work / path}.") == f"There is no {short}."
    assert train_data.sentence(train_data.RequestError("Say it")) == "Say it"
