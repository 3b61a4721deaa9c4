"""Recipes: read, changed, and refused in a sentence."""

from __future__ import annotations

import pytest

from genre_app.errors import RecipeError
from genre_app.runs.recipes import describe_recipe, read_recipe, recipe_names, recipes_folder


def test_recipes_are_read_and_changed(tmp_path):
    path = tmp_path / "beat.toml"
    path.write_text('epochs = 12\naugment = "noise"')
    config = read_recipe(str(path), {"epochs": 3, "augment.mild_share": 0.25, "precision": "bfloat16"}, 9)
    assert (config.epochs, config.augment.mild_share, config.precision, config.seed) == (3, 0.25, "bfloat16", 9)
    assert config.augment.mild == read_recipe(str(path)).augment.mild  # the rest of the preset stays
    path.write_text("# Mine\nepochs = 13", encoding="utf-8-sig")  # as editors on Windows save it
    assert (describe_recipe(str(path)), read_recipe(str(path)).epochs) == ("Mine", 13)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("nothing", {}, "no recipe 'nothing'; choose one of: default"),
        ("default", {"epoch": 3}, "default.toml: there is no field 'epoch'; did you mean epochs\\?$"),
        ("default", {"augment.mild.noise": 1}, "no field 'augment.mild.noise'; did you mean .*augment.mild.\\w*noise"),
        ("default", {"epochs": 0}, "epochs: must be at least 1, got 0$"),
        (
            "default",
            {"split.method": "none", "keep": "best"},
            r"\(split.method=none\), no epoch is known to be the best; set keep=last",
        ),
        ("default", {"augment": "loud"}, "augment: there is no augmentation 'loud'"),
        ("default", {"epochs.a": 1}, "epochs has no fields"),
        ("/etc/passwd", {}, "no recipe '/etc/passwd'"),
    ],
)
def test_wrong_recipes_and_settings_are_named(name, settings, message):
    with pytest.raises(RecipeError, match=message):
        read_recipe(name, settings, None)


def test_a_recipe_that_is_nested_too_deeply_is_named(tmp_path):
    path = tmp_path / "deep.toml"
    path.write_text("epochs = " + "[" * 100_000)
    with pytest.raises(RecipeError, match=r"deep\.toml is not TOML"):
        read_recipe(str(path))


def test_a_recipe_without_a_description_has_an_empty_one(tmp_path):
    (tmp_path / "bare.toml").touch()
    assert describe_recipe(str(tmp_path / "bare.toml")) == ""


def test_an_unknown_preset_is_named_even_if_a_setting_changes_a_field_of_it(tmp_path):
    path = tmp_path / "beat.toml"
    path.write_text('augment = "nois"')
    for settings in ({}, {"augment.mild_share": 0.25}):
        with pytest.raises(RecipeError, match=r"augment.*there is no augmentation 'nois'; choose one of: none"):
            read_recipe(str(path), settings)


def test_without_validation_tracks_the_last_epoch_is_kept():
    assert read_recipe("cnn").keep == "best"
    assert read_recipe("cnn", {"split.method": "none"}).keep == "last"
    assert read_recipe("cnn", {"split": {"method": "none", "file": "mine.csv"}}).keep == "best"


def test_every_recipe_of_the_project_is_valid():
    assert {path.stem for path in recipes_folder().glob("*.toml")} == set(recipe_names())
    for name in recipe_names():
        read_recipe(name)
