"""The page's examples, answered by the checkpoint that comes with the project."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from tempfile import TemporaryDirectory
from time import sleep

import pytest

from genre_app.audio import load_clip
from genre_app.audio.demos import DEMOS
from genre_app.checkpoint import load_checkpoint
from genre_app.predict import classify
from genre_app.ui.classify import examples
from genre_app.ui.classify.examples import example_path


@pytest.mark.parametrize("genre", DEMOS)
def test_each_example_is_answered_as_labelled_and_surely(genre):
    checkpoint = load_checkpoint()
    prediction = classify(load_clip(example_path(genre), sample_rate=checkpoint.sample_rate), checkpoint)
    assert prediction.genre == genre
    assert prediction.is_sure
    assert set(prediction.votes.values()) == {genre}
    assert prediction.probabilities.max() > 0.6


def test_a_visitors_text_becomes_no_path(tmp_path):
    path = tmp_path / "private.flac"
    path.touch()
    with pytest.raises(KeyError):
        example_path(str(path.with_suffix("")))


def test_visitors_who_come_at_the_same_time_share_the_folder(monkeypatch):
    """`functools.cache` may call its function several times if the first call has not ended."""
    made = []

    def make_slowly(**given: str) -> TemporaryDirectory:
        sleep(0.2)
        made.append(TemporaryDirectory(**given))
        return made[-1]

    monkeypatch.setattr(examples, "_folder", cache(examples._folder.__wrapped__))
    monkeypatch.setattr(examples.tempfile, "TemporaryDirectory", make_slowly)
    with ThreadPoolExecutor(2) as pool:
        paths = set(pool.map(example_path, ["reggae", "reggae"]))
    assert len(made) == len(paths) == 1
    made[0].cleanup()


def test_an_example_is_written_once():
    path = example_path("reggae")
    before = path.stat().st_mtime_ns
    assert example_path("reggae") == path
    assert path.stat().st_mtime_ns == before
    assert not list(path.parent.glob("*.part"))
    clip = load_clip(path)
    assert clip.warnings == ()
    assert clip.duration_seconds == pytest.approx(20, abs=0.01)
