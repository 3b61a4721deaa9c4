"""A contributor adds an augmentation: one group of fields in the settings and one function for each domain.

The test edits a copy of the package as a contributor would edit the files, and uses the new augmentation from outside: in a
training run with ``--set``, on the page's form, in a preset's preview, and on waveforms.
"""

from __future__ import annotations

from pathlib import Path

from tests.two_beats import write_cache

FIELDS = """
    tremolo_probability: Probability = _share("whose level swings")
    tremolo_hz: tuple[Share, Share] = Field((0.2, 0.5), description="rate of the swing")
    tremolo_db: Decibels = Field((10.0, 20.0), description="depth of the swing")
"""
LOG_MEL = """
def _tremolo(db: Tensor, hz: Tensor, depth_db: Tensor, spec: FeatureSpec) -> Tensor:
    seconds = torch.arange(db.shape[2], device=db.device) * spec.hop_length / spec.sample_rate
    swing = 0.5 - 0.5 * torch.cos(2 * torch.pi * hz[:, None] * seconds)
    return db - (depth_db[:, None] * swing)[:, None]


"""
WAVEFORM = """
def _tremolo(samples: Samples, rate: int, drawn: Drawn) -> Samples:
    hz, depth_db = drawn.draw("tremolo_hz", "tremolo_db")
    swing = 0.5 - 0.5 * np.cos(2 * np.pi * hz * np.arange(len(samples)) / rate)
    return (samples * 10 ** (-depth_db * swing / 20)).astype(np.float32)


"""
EDITS = {
    "config.py": [("\n    OLD_PARTS: ClassVar[dict[str, str]] = {}", FIELDS)],
    "logmel.py": [("STEPS: tuple", LOG_MEL), ('    step("gain", ', '    step("tremolo", _tremolo, "hz", "db"),\n')],
    "waveform.py": [("STEPS: tuple", WAVEFORM), ('    library_step("gain", ', '    step("tremolo", _tremolo),\n')],
    "presets.py": [('    "mixup": _half(', '    "tremolo": _half({"tremolo_probability": 1.0}),\n')],
}
"""File of `genre_app.augment` -> (place, text that is inserted before it). The preset is a contributor's choice."""


USE = """
import json
import sys
from pathlib import Path

import numpy as np
import torch

from genre_app.augment.config import AugmentConfig
from genre_app.augment.logmel import augment
from genre_app.augment.preview import preview
from genre_app.augment.waveform import augment_waveform
from genre_app.cli import build
from genre_app.features import FeatureSpec
from genre_app.training import TrainConfig
from genre_app.ui.train.fields import form_fields

steady = np.full(220500, 0.5, np.float32)
chosen = {"tremolo_probability": 1.0, "tremolo_hz": (0.5, 0.5), "tremolo_db": (12.0, 12.0)}
config = AugmentConfig.model_validate({"recorded_share": 1.0, "recorded": chosen, "waveform": chosen})
spec = FeatureSpec()
db, _ = augment(torch.zeros(3, spec.n_mels, 200), torch.eye(3), config, spec, torch.Generator().manual_seed(0))
changed = augment_waveform(steady, 22050, config.waveform, 0)
heard = preview(steady, 22050, "tremolo", 0)
assert TrainConfig.model_validate({"augment": "tremolo"}).augment.mild.tremolo_probability == 1
found = {
    "fields": [f"{field.path} | {field.label} | {field.info}" for field in form_fields() if "tremolo" in field.path],
    "spectrogram": f"{float(db.min()):.1f} {float(db.max()):.1f}",
    "waveform": f"{20 * np.log10(changed.min() / 0.5):.1f} {20 * np.log10(changed.max() / 0.5):.1f}",
    "heard": f"{20 * np.log10(heard.min() / 0.5):.0f}",
}
build()(["train", *sys.argv[1:]], standalone_mode=False)
found["run"] = json.loads(Path(sys.argv[sys.argv.index("--out") + 1], "run.json").read_text(encoding="utf-8"))
"""


def add(package: Path, work: Path) -> tuple[str | Path, ...]:
    """Add a tremolo to a copy of the package."""
    for name, edits in EDITS.items():
        path = package / "augment" / name
        text = path.read_text(encoding="utf-8")
        for place, inserted in edits:
            assert text.count(place) == 1, f"{name} has {text.count(place)} times {place!r}"
            text = text.replace(place, inserted + place)
        path.write_text(text, encoding="utf-8")
    (work / "beats").mkdir()
    settings = ("epochs=1", "segments_per_track=1", "augment.recorded.tremolo_probability=1", "augment.mild.tremolo_db=[5,6]")
    small = ("model=cnn", "model_settings={channels=[4,8],pools=[[4,2],[4,4]]}", "spec.n_mels=32", "spec.segment_seconds=2.0")
    words = [word for setting in (*settings, *small) for word in ("--set", setting)]
    return "default", "--data", write_cache(work / "beats"), "--out", work / "run", *words


def test_it_is_set_on_the_command_line_of_a_training_run(found):
    described = found["run"]
    assert described["request"]["settings"]["augment.recorded.tremolo_probability"] == 1
    assert described["config"]["augment"]["recorded"]["tremolo_probability"] == 1


def test_it_is_on_the_form_of_the_page_for_each_chain(found):
    for group in ("mild", "recorded", "waveform"):
        assert (
            f"augment.{group}.tremolo_probability | Tremolo probability | Share of the music whose level swings; 0 to 1"
            in found["fields"]
        )
        assert f"augment.{group}.tremolo_db | Tremolo dB | Depth of the swing; -80 to 80; from, to" in found["fields"]


def test_it_changes_spectrograms_waveforms_and_the_preview_of_a_preset(found):
    assert found["spectrogram"] == found["waveform"] == "-12.0 0.0"
    assert -20 <= int(found["heard"]) <= -10
