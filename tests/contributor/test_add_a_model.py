"""A contributor adds a network by one file in `genre_app.models` and uses it everywhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from tests.conftest import synthesise
from tests.two_beats import write_cache

ROOT = Path(__file__).parents[2]
ONE_FILE = '''"""One dense layer."""

from torch import Tensor, nn

from genre_app.models.base import GenreModel, ModelSettings, register


class OneLayerSettings(ModelSettings):
    dropout: float = 0.5


@register("one_layer")
class OneLayer(GenreModel):
    Settings = OneLayerSettings

    def __init__(self, n_bins: int, n_frames: int, n_genres: int, settings: OneLayerSettings) -> None:
        super().__init__(n_bins, n_frames, n_genres, settings)
        self.layers = nn.Sequential(nn.Flatten(), nn.Dropout(settings.dropout), nn.Linear(n_bins * n_frames, n_genres))

    def logits(self, features: Tensor) -> Tensor:
        return self.layers(self.standardise(features))
'''
RECIPE = """# One layer on the short segments of the test's cache.
model = "one_layer"
model_settings = { dropout = 0.1 }
epochs = 2
segments_per_track = 2

[spec]
n_mels = 32
segment_seconds = 2.0
segment_hop_seconds = 1.0
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """Copy the project, add the file, and return a function that runs ``python`` there."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("genre_app", "train"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "genre_app" / "models" / "one_layer.py").write_text(ONE_FILE, encoding="utf-8")

    def run(*arguments: str) -> str:
        environment = os.environ | {"PYTHONPATH": str(folder)}
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.mark.slow
def test_one_file_makes_a_network_that_trains_and_classifies(python, tmp_path):
    (tmp_path / "one.toml").write_text(RECIPE, encoding="utf-8")
    cache, run, song = tmp_path / "cache", tmp_path / "run", tmp_path / "song.wav"
    cache.mkdir()
    data = str(write_cache(cache))
    soundfile.write(song, synthesise(6.0), 22050)
    python("-m", "genre_app", "train", str(tmp_path / "one.toml"), "--data", data, "--out", str(run), "--threads", "1")
    checkpoint = str(run / "best.safetensors")
    printed = python("-m", "genre_app", "classify", str(song), "--checkpoint", checkpoint, "--format", "jsonl")
    answer = json.loads(printed)
    assert answer["genre"] in ("four", "six")
    assert sum(answer["probabilities"].values()) == pytest.approx(1.0)


@pytest.mark.slow
def test_one_file_makes_a_choice_of_the_training_form(python):
    code = """if True:
        from genre_app.ui.train.fields import form_fields, network_info
        print(*next(field.choices for field in form_fields() if field.path == "model"))
        print(network_info("one_layer"))
    """
    choices, info = python("-c", code).splitlines()
    assert "one_layer" in choices.split()
    assert "dropout = 0.5" in info


def test_the_project_itself_stays_as_it_was(python):
    assert not (ROOT / "genre_app" / "models" / "one_layer.py").exists()
