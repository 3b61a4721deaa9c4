"""Two genres told apart by their beat, a recipe for them, runs of it, and the command line."""

from __future__ import annotations

import signal

import pytest
from typer.testing import CliRunner

from genre_app.cli import build
from genre_app.runs.request import Request
from genre_app.runs.run import Run
from tests.two_beats import write_cache

RECIPE = """
# Tells two beats apart
epochs = 12
segments_per_track = 3
batch_size = 16
learning_rate = 0.01
average_decay = 0.9
validate_every = 2
model_settings = { channels = [8, 16], pools = [[4, 2], [4, 4]], dropout = 0.1 }
spec = { n_mels = 32, segment_seconds = 2.0, segment_hop_seconds = 1.0 }
augment = { mild_share = 0.5, mild = { coloured_noise_probability = 0.5, pitch_probability = 0.5 }, mixup_probability = 0.5 }
"""


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "beats"
    folder.mkdir()
    return write_cache(folder)


@pytest.fixture(scope="session")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipes") / "beat.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(autouse=True)
def _own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("GENRE_APP_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("GENRE_APP_LOCKS", str(tmp_path / "locks"))


@pytest.fixture
def make_run(cache, recipe, tmp_path):
    def make(name="beat-1", *settings, **fields):
        request = Request(recipe=str(recipe), data=str(cache), settings=settings, threads=1, **fields)
        return Run.create(tmp_path / "runs" / name, request)

    return make


@pytest.fixture
def command(monkeypatch):
    """Run ``genre-app train`` in this process; returns typer's result."""

    def call(*arguments):
        with monkeypatch.context() as patch:
            patch.setattr(signal, "signal", lambda *_: None)
            result = CliRunner().invoke(build(), ["train", *map(str, arguments)])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call
