"""genre-app combine, and several --checkpoint options."""

from __future__ import annotations

import numpy as np
import pytest
from typer.testing import CliRunner

from genre_app.audio import load_clip
from genre_app.checkpoint import load_checkpoint, save_checkpoint
from genre_app.cli import build
from genre_app.combine import combine
from genre_app.predict import classify
from tests.cli.strict_json import strict


@pytest.fixture
def other_path(make_checkpoint, tmp_path):
    path = tmp_path / "other.safetensors"
    save_checkpoint(make_checkpoint(seed=1), path)
    return path


def call(*arguments) -> tuple[int, str, str]:
    result = CliRunner().invoke(build(), ["combine", *map(str, arguments), "--threads", "1"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def test_combine_writes_a_checkpoint(checkpoint, checkpoint_path, other_path, songs, tmp_path):
    out = tmp_path / "both.safetensors"
    assert call(checkpoint_path, other_path, "--weights", "3,1", "--out", out) == (0, "", "")
    found = load_checkpoint(out)
    assert [member.weight for member in found.members] == [0.75, 0.25]
    expected = combine([checkpoint, load_checkpoint(other_path)], [3, 1])
    clip = load_clip(songs[0])
    np.testing.assert_array_equal(classify(clip, found).probabilities, classify(clip, expected).probabilities)


def test_combine_compares_on_data(checkpoint_path, other_path, folder, tmp_path):
    out = tmp_path / "both.safetensors"
    code, text, err = call(checkpoint_path, other_path, "--data", folder, "--split", "test", "--out", out, "--format", "json")
    assert (code, err) == (0, "")
    report = strict(text)
    assert list(report["reports"]) == ["tiny", "other", "equal weights", "combined"]
    assert report["reports"]["combined"]["n_tracks"] == 3
    assert [member.temperature for member in load_checkpoint(out).members] == report["temperatures"]
    code, text, _ = call(checkpoint_path, other_path, "--data", folder / "test")
    assert code == 0
    assert "equal weights" in text


def test_wrong_usage(checkpoint_path, other_path, make_checkpoint, tmp_path):
    for arguments, message in (
        ([checkpoint_path, "--out", tmp_path / "a"], "name at least two checkpoints"),
        ([checkpoint_path, other_path], "nothing to do"),
        ([checkpoint_path, other_path, "--out", tmp_path / "a", "--split", "valid"], "--split names a part of --data"),
        ([checkpoint_path, other_path, "--out", tmp_path / "a", "--weights", "1,x"], "are not numbers separated by commas"),
        ([checkpoint_path, other_path, "--out", tmp_path / "a", "--weights", "1"], "one positive weight for each"),
        ([checkpoint_path, other_path, "--out", tmp_path / "a", "--weights", "1e308,1e308"], "one positive weight for each"),
        ([checkpoint_path, "none", "--out", tmp_path / "a"], "neither a file nor a bundled one"),
        ([checkpoint_path, other_path, "--data", tmp_path / "none"], "is not a folder"),
        ([checkpoint_path, other_path, "--out", tmp_path], "cannot be written"),
    ):
        code, out, err = call(*arguments)
        assert (code, out) == (2, "")
        assert message in err


def test_classify_and_evaluate_average_several_checkpoints(run, checkpoint, checkpoint_path, other_path, songs, folder):
    both = ["--checkpoint", checkpoint_path, "--checkpoint", other_path]
    expected = combine([checkpoint, load_checkpoint(other_path)])
    code, out, _ = run("classify", songs[0], "--format", "jsonl", *both)
    assert code == 0
    assert strict(out) == {**classify(load_clip(songs[0]), expected).to_dict(), "file": str(songs[0])}
    assert strict(out)["checkpoint"] == "tiny + other"
    code, out, _ = run("evaluate", folder / "test", "--format", "json", *both)
    assert (code, strict(out)["n_tracks"]) == (0, 3)
