"""The table ``[search]``: read, drawn from, and refused in a sentence."""

from __future__ import annotations

import optuna
import pytest

from genre_app.errors import RecipeError
from genre_app.runs.recipes import read_recipe, read_search_table, recipe_names
from genre_app.runs.search.space import Range, draw, read_space

BASE = "epochs = 4\nmodel_settings.dropout = 0.1\n[search]\n"


@pytest.fixture
def recipe(tmp_path):
    def write(table: str, base: str = BASE) -> str:
        path = tmp_path / "beat.toml"
        path.write_text(base + table)
        return str(path)

    return write


def drawn(space, seed=0, n=40):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    return [draw(study.ask(), space) for _ in range(n)]


def test_a_table_holds_ranges_and_values(recipe):
    path = recipe(
        "learning_rate = {low = 1e-4, high = 1e-2, log = true}\nbatch_size = [16, 32]\nepochs = {low = 2, high = 6, step = 2}\n"
        "model_settings.dropout = {low = 0, high = 0.6}\nmodel_settings.channels = [[4], [4, 8]]\n"
    )
    space = read_space(path)
    assert space == {
        "learning_rate": Range(low=1e-4, high=1e-2, log=True),
        "batch_size": [16, 32],
        "epochs": Range(low=2, high=6, step=2),
        "model_settings.dropout": Range(low=0.0, high=0.6),
        "model_settings.channels": [[4], [4, 8]],
    }
    settings = drawn(space)
    assert {one["epochs"] for one in settings} == {2, 4, 6}
    assert {one["batch_size"] for one in settings} == {16, 32}
    assert {len(one["model_settings.channels"]) for one in settings} == {1, 2}
    rates = [one["learning_rate"] for one in settings]
    assert 1e-4 <= min(rates) < 3e-4 < 3e-3 < max(rates) <= 1e-2, "drawn on a logarithmic scale"
    assert all(float(f"{rate:.4g}") == rate for rate in rates), "four digits are enough"
    assert settings == drawn(space)
    for one in settings:
        read_recipe(path, one)


@pytest.mark.parametrize(("low", "high", "step"), [(0.1, 0.3, 0.2), (0.3, 0.4, 0.1), (1e-4, 3e-4, 2e-4), (2, 6, 4)])
def test_a_step_may_be_as_long_as_its_range(recipe, low, high, step):
    """In binary, 0.3 - 0.1 is less than 0.2."""
    field = "epochs" if isinstance(low, int) else "learning_rate"
    space = read_space(recipe(f"{field} = {{low = {low}, high = {high}, step = {step}}}"))
    assert {one[field] for one in drawn(space)} == {low, high}


def test_an_older_search_with_a_longer_step_is_still_read():
    assert Range.model_validate({"low": 0.1, "high": 0.2, "step": 0.5}).step == 0.5


def test_training_ignores_the_table(recipe):
    assert read_recipe(recipe("learning_rate = [1e-3, 1e-2]")) == read_recipe(recipe("", BASE.replace("[search]", "")))


def test_settings_fix_a_field_and_change_the_table(recipe):
    path = recipe("learning_rate = [1e-3, 1e-2]\nbatch_size = [16, 32]")
    assert list(read_space(path, {"learning_rate": 0.1})) == ["batch_size"]
    assert read_space(path, {"search.batch_size": [8, 9]})["batch_size"] == [8, 9]
    assert read_space("kth-mlp", {"search.model_settings.dropout": {"low": 0.1, "high": 0.2}}) == {
        "model_settings.dropout": Range(low=0.1, high=0.2)
    }


def test_the_tables_of_the_project_fit_their_recipes():
    found = {}
    for name in recipe_names():
        if read_search_table(name):
            found[name] = read_space(name)
    assert {"default", "cnn", "mlp", "lstm", "groningen-ffnn", "groningen-cnn1d"} <= found.keys()
    # Groningen's paper, section 2.5.
    assert found["groningen-ffnn"] == {
        "batch_size": [64, 128, 256, 512],
        "epochs": [100, 200, 300],
        "model_settings.dropout": [0.2, 0.3, 0.4],
        "optimiser": ["adam", "sgd", "rmsprop"],
    }
    assert found["groningen-cnn1d"] == found["groningen-ffnn"] | {"model_settings.dropout": [0.1, 0.3, 0.5]}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("lerning_rate = [1, 2]", "there is no field 'lerning_rate'; did you mean learning_rate"),
        (
            "model_settings.droput = [0.1, 0.2]",
            "there is no field 'model_settings.droput'; did you mean model_settings.dropout",
        ),
        ("augment.mild.loud = {low = 1, high = 2}", "there is no field 'augment.mild.loud'"),
        ("learning_rate = {low = 0.1, high = 0.01}", "learning_rate: low must be less than high, got 0.1 and 0.01$"),
        ("learning_rate = {low = 0.1, high = 5.0}", "learning_rate: must be at most 1, got 5.0$"),
        ("learning_rate = {low = 0, high = 1, log = true}", "log=true must begin above 0, got 0$"),
        ("learning_rate = {low = 0.1, high = 1, log = true, step = 0.1}", "either log or step, not both$"),
        ("learning_rate = {low = 0.1, high = 1, step = 0}", "step must be above 0, got 0$"),
        (
            "learning_rate = {low = 0.1, high = 0.2, step = 0.5}",
            "learning_rate: step must be at most high - low, else only low is drawn; got 0.5 for 0.1 to 0.2$",
        ),
        (
            "epochs = {low = 2, high = 6, step = 5}",
            "step must be at most high - low, else only low is drawn; got 5 for 2 to 6$",
        ),
        ("learning_rate = {low = 0.1}", "learning_rate: high is missing$"),
        ("learning_rate = {low = 0.1, hihg = 1}", "learning_rate: high is missing$"),
        ("learning_rate = {low = 0.1, high = 1, lgo = true}", "there is no field 'lgo'; did you mean low or log"),
        ("learning_rate = {low = 0.1, high = inf}", "learning_rate: high"),
        ("learning_rate = 3", "learning_rate: write a range such as {low = 1, high = 2} or a list of values, got 3$"),
        ("epochs = {low = 1.5, high = 3}", "epochs is a whole number: write low, high and step without a decimal point$"),
        ("optimiser = {low = 1, high = 2}", "optimiser is not a number, so it has no range; write a list of values$"),
        ('optimiser = ["adam", "sdg"]', "optimiser: must be .* got 'sdg'$"),
        ("model_settings.dropout = [0.1, 2]", "dropout: must be less than 1, got 2$"),
        ("batch_size = [16]", "batch_size: name at least 2 different values"),
        ("epochs = [2020-01-01, 2020-01-02]", "epochs: must be .* integer"),
        ("batch_size = [16, 16]", "batch_size: name at least 2 different values"),
        ("split.train = [0.5, 0.6]", "split.train cannot be searched: trials with different tracks cannot be compared$"),
        ("seed = [0, 1]", "seed cannot be searched"),
        ("", "has no field to search; give it a table \\[search\\]"),
    ],
)
def test_a_wrong_table_is_refused_in_a_sentence(recipe, table, message):
    with pytest.raises(RecipeError, match=f"^recipe beat.toml.*{message}") as caught:
        read_space(recipe(table))
    assert "\n" not in str(caught.value)


def test_a_search_of_an_unknown_network_is_refused_in_a_sentence(recipe):
    with pytest.raises(RecipeError, match=r"^recipe beat\.toml: \[search\] there is no model 'nope'; choose one of: cnn"):
        read_space(recipe("model_settings.dropout = [0.1, 0.2]", 'model = "nope"\n[search]\n'))


def test_search_must_be_a_table(recipe):
    with pytest.raises(RecipeError, match=r"^recipe beat\.toml: search must be a table of fields, got 3"):
        read_space(recipe("", "search = 3"))
