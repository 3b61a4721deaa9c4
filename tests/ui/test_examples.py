"""The page's examples, answered by the checkpoint that comes with the project."""

from __future__ import annotations

import pytest

from genre_app.audio import load_clip
from genre_app.audio.demos import DEMOS
from genre_app.checkpoint import load_checkpoint
from genre_app.predict import classify
from genre_app.ui.classify.examples import example_path


@pytest.mark.parametrize("genre", DEMOS)
def test_each_example_is_answered_as_labelled_and_surely(genre):
    checkpoint = load_checkpoint()
    prediction = classify(load_clip(example_path(genre), sample_rate=checkpoint.sample_rate), checkpoint)
    assert prediction.genre == genre
    assert prediction.is_sure
    assert set(prediction.votes.values()) == {genre}
    assert prediction.probabilities.max() > 0.6


def test_an_example_is_written_once():
    path = example_path("reggae")
    before = path.stat().st_mtime_ns
    assert example_path("reggae") == path
    assert path.stat().st_mtime_ns == before
    assert not list(path.parent.glob("*.part"))
    clip = load_clip(path)
    assert clip.warnings == ()
    assert clip.duration_seconds == pytest.approx(20, abs=0.01)
