"""A contributor adds a network by one file in `genre_app.models` and uses it everywhere."""

from __future__ import annotations

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
USE = """
import contextlib
import io
import json
import sys

from genre_app.cli import build
from genre_app.ui.train.fields import form_fields, network_info


def genre_app(*words):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        build()(list(words), standalone_mode=False)
    return printed.getvalue()


recipe, data, run, song = sys.argv[1:]
genre_app("train", recipe, "--data", data, "--out", run, "--threads", "1")
answer = genre_app("classify", song, "--checkpoint", f"{run}/best.safetensors", "--format", "jsonl")
choices = next(field.choices for field in form_fields() if field.path == "model")
found = {"answer": json.loads(answer), "choices": list(choices), "info": network_info("one_layer")}
"""


def add(package: Path, work: Path) -> tuple[Path, ...]:
    """Add the network to a copy of the package."""
    (package / "models" / "one_layer.py").write_text(ONE_FILE, encoding="utf-8")
    (work / "one.toml").write_text(RECIPE, encoding="utf-8")
    (work / "cache").mkdir()
    soundfile.write(work / "song.wav", synthesise(6.0), 22050)
    return work / "one.toml", write_cache(work / "cache"), work / "run", work / "song.wav"


@pytest.mark.slow
def test_one_file_makes_a_network_that_trains_and_classifies(found):
    answer = found["answer"]
    assert answer["genre"] in ("four", "six")
    assert sum(answer["probabilities"].values()) == pytest.approx(1.0)


@pytest.mark.slow
def test_one_file_makes_a_choice_of_the_training_form(found):
    assert "one_layer" in found["choices"]
    assert "dropout = 0.5" in found["info"]


def test_the_project_itself_stays_as_it_was(found):
    assert not (ROOT / "genre_app" / "models" / "one_layer.py").exists()
