"""Upload of a run to a stand-in for the hub, and its use from there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from typer.testing import CliRunner

from genre_app.checkpoint import load_checkpoint
from genre_app.cli import build
from genre_app.hub import FILE
from genre_app.runs.executor import work
from genre_app.runs.request import Request
from genre_app.runs.run import Run
from tests.hub import serve


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_of_ada")
    with serve(monkeypatch, tmp_path / "cache") as served:
        yield served


@pytest.fixture(scope="module")
def trained(cache, recipe, tmp_path_factory):
    request = Request(recipe=str(recipe), data=str(cache), settings={"epochs": 1}, threads=1)
    run = Run.create(tmp_path_factory.mktemp("runs") / "beats", request)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENRE_APP_LOCKS", str(tmp_path_factory.mktemp("locks")))
        assert work(run, say=lambda _: None)
    return run


def push(*words):
    return CliRunner().invoke(build(), ["push", *map(str, words)])


def test_a_run_is_pushed_and_used_by_its_name(hub, trained):
    run = trained
    result = push(run.path, "ada/beats")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(f"{hub.address}/ada/beats/commit/")
    assert hub.tokens == {"Bearer hf_of_ada"}
    (files,) = hub.commits["ada/beats"].values()
    assert set(files) == {FILE, "README.md", "config.json"}
    assert files[FILE] == run.best.read_bytes()
    card = ModelCard(files["README.md"].decode())
    assert card.data.pipeline_tag == "audio-classification"
    (measured,) = card.data.eval_results
    assert measured.metric_value == run.report()["valid"]["accuracy"]
    assert "genre-app classify song.mp3 --checkpoint hub:ada/beats" in card.text
    settings = json.loads(files["config.json"])
    found = load_checkpoint("hub:ada/beats")
    assert tuple(settings["genres"]) == found.genres == load_checkpoint(run.best).genres
    assert settings["members"][0]["spec"] == found.spec.model_dump(mode="json")
    assert push(run.path, "hub:ada/beats").exit_code == 0  # into the repository that is there now
    assert len(hub.commits["ada/beats"]) == 2


def test_what_cannot_be_pushed_is_one_sentence(hub, trained, tmp_path, monkeypatch):
    empty = tmp_path / "empty"
    empty.mkdir()
    unfinished = Run.create(tmp_path / "unfinished", trained.description().request)
    for words, sentence in [
        ((empty, "ada/beats"), "not the folder of a run"),
        (("nothing", "ada/beats"), "not the folder of a run"),
        ((unfinished.path, "ada/beats"), "has no finished checkpoint"),
        ((trained.path, "beats"), "names no model of the hub"),
    ]:
        result = push(*words)
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
        assert sentence in result.stderr
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    result = push(trained.path, "ada/beats")
    assert result.exit_code == 2
    assert "hub:ada/beats" in result.stderr
    assert hub.commits == {}
    assert not any(Path(tmp_path / "cache").glob("*"))


def test_a_run_is_pushed_by_the_name_that_its_user_gave_it(hub, make_run):
    make_run("my run")
    assert "The run my run has no finished checkpoint" in push("my run", "ada/beats").stderr
