"""Settings of a request: typed values, and their way through a shell and back."""

from __future__ import annotations

import json
import shlex
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genre_app.errors import RecipeError
from genre_app.runs.request import Request
from genre_app.runs.settings import read_settings

fields = st.from_regex(r"[a-z_]{1,8}(\.[a-z_]{1,8}){0,2}", fullmatch=True)
plain = st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1), inner, max_size=3), max_leaves=6
)


@given(st.dictionaries(fields, values, max_size=4))
def test_settings_pass_through_a_shell_unchanged(settings):
    request = Request(recipe="default", data="/music", settings=settings)
    words = shlex.split(request.command())
    read = read_settings(word for option, word in pairwise(words) if option == "--set")
    assert request.model_copy(update={"settings": read}) == request
    assert json.dumps(read, sort_keys=True) == json.dumps(settings, sort_keys=True)  # 1, 1.0 and true differ here


@given(st.dictionaries(fields, values, max_size=4))
def test_settings_keep_their_types_in_run_json(settings):
    request = Request(recipe="default", data="/music", settings=settings)
    assert repr(Request.model_validate_json(request.model_dump_json()).settings) == repr(settings)


def test_the_command_is_easy_to_read():
    settings = {"epochs": 20, "augment": "noise", "augment.mild_share": 0.2, "model_settings": {"hidden": [8]}, "a": "1"}
    command = Request(recipe="mlp", data="/music", settings=settings).command()
    assert command == (
        "genre-app train mlp --data /music --set epochs=20 --set augment=noise --set augment.mild_share=0.2 "
        "--set 'model_settings={hidden = [8]}' --set 'a=\"1\"' --threads 2"
    )


def test_run_json_of_an_older_version_holds_texts():
    old = {"recipe": "default", "data": "/music", "settings": ["epochs=3", "augment=noise", "a.b=[1, 2]", "c=x=y"]}
    assert Request.model_validate_json(json.dumps(old)).settings == {"epochs": 3, "augment": "noise", "a.b": [1, 2], "c": "x=y"}


def test_a_group_is_set_before_its_fields():
    settings = {"augment.mild_share": 0.25, "augment": "noise"}
    for ordered in (settings, dict(reversed(settings.items()))):
        assert Request(recipe="default", data="/music", settings=ordered).config().augment.mild_share == 0.25
    nested = {"augment": {"mild_share": 0.5}, "augment.mild_share": 0.25}
    request = Request(recipe="default", data="/music", settings=nested)
    assert request.config().augment.mild_share == 0.25
    assert request.settings["augment"] == {"mild_share": 0.5}


@pytest.mark.parametrize("text", ["2026-11-27", "inf", "nan", "1\nepochs = 2", "[nan]"])
def test_values_that_json_cannot_hold_stay_text(text):
    assert read_settings([f"a={text}"]) == {"a": text}


def test_a_value_that_is_nested_too_deeply_stays_text():
    assert read_settings(["a=" + "[" * 100_000]) == {"a": "[" * 100_000}


def test_a_text_without_an_equals_sign_is_refused():
    with pytest.raises(RecipeError, match="--set 'epochs' must read FIELD=VALUE"):
        read_settings(["epochs"])


@pytest.mark.parametrize(
    ("init_from", "published"),
    [
        ("default", "default"),
        ("/home/me/mine.safetensors", "mine.safetensors"),
        ("/home/me/runs/cnn-1/best.safetensors", "cnn-1/best.safetensors"),
        ("hub:owner/name", "hub:owner/name"),
        ("hub:owner/name@refs/pr/1", "hub:owner/name@refs/pr/1"),
    ],
)
def test_a_published_command_names_the_initial_checkpoint(init_from, published):
    request = Request(recipe="default", data="/music", init_from=init_from)
    assert f"--init-from {published} --threads" in request.command(data="DATA")
