"""genre-app explain."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from genre_app.explain import explain
from genre_app.predict import classify
from tests.cli.strict_json import strict

RATE = 22050


@pytest.fixture
def song(tmp_path, make_clip):
    path = tmp_path / "song.wav"
    soundfile.write(path, make_clip(6.0).samples, RATE, subtype="FLOAT")
    return path


def test_the_winner_and_the_runner_up_have_a_line(run, song, checkpoint, make_clip):
    code, out, _ = run("explain", song)
    expected = [genre for genre, _ in classify(make_clip(6.0), checkpoint).top(2)]
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == expected
    assert all("mostly" in line for line in out.splitlines())


def test_json_holds_the_importance_and_the_sounds_add_up(run, song, tmp_path, checkpoint, make_clip):
    only, without = tmp_path / "only.wav", tmp_path / "without.wav"
    code, out, _ = run("explain", song, "--genre", "jazz", "--only", only, "--without", without, "--format", "json")
    found = strict(out)
    assert code == 0
    expected = explain(make_clip(6.0), checkpoint)
    np.testing.assert_allclose(found["importance"]["jazz"], expected.of("jazz"), atol=1e-6)
    assert found["marked"]["jazz"] == expected.marked("jazz").tolist()
    assert (len(found["bands_hz"]), len(found["times"])) == (11, 7)
    parts = [soundfile.read(path, dtype="float32")[0] for path in (only, without)]
    np.testing.assert_allclose(sum(parts), make_clip(6.0).samples, atol=1e-3)


def test_what_cannot_be_explained_is_said(run, song, tmp_path):
    code, _, error = run("explain", song, "--genre", "polka")
    assert (code, "no genre 'polka'" in error) == (2, True)
    code, _, error = run("explain", tmp_path / "missing.wav")
    assert (code, "missing.wav" in error) == (1, True)
    hiss = tmp_path / "hiss.wav"
    soundfile.write(hiss, np.random.default_rng(0).normal(0, 0.1, 6 * RATE), RATE)
    code, _, error = run("explain", hiss)
    assert (code, "holds only noise" in error) == (1, True)
    code, _, error = run("explain", song, "--only", tmp_path / "missing" / "only.wav")
    assert (code, "cannot be written" in error) == (1, True)
