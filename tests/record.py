"""Record what each bundled checkpoint says of a synthesised clip: python -m tests.record, after training one anew."""

from __future__ import annotations

import json
from pathlib import Path

from genre_app import Clip, classify, load_checkpoint
from genre_app.audio.synth import STYLES, music
from genre_app.checkpoint import Checkpoint, bundled_checkpoints
from genre_app.predict import Prediction

RECORDED = Path(__file__).with_name("recorded.json")


def answers(checkpoint: Checkpoint) -> dict[str, Prediction]:
    """Classify 12 s of each synthesised style."""
    rate = checkpoint.sample_rate
    return {style: classify(Clip(music(style, 12.0, rate, 0), rate, style), checkpoint) for style in STYLES}


if __name__ == "__main__":
    recorded = {
        name: {
            style: prediction.probabilities.round(5).tolist() for style, prediction in answers(load_checkpoint(name)).items()
        }
        for name in bundled_checkpoints()
    }
    RECORDED.write_text(json.dumps(recorded, indent=1) + "\n", encoding="utf-8")
