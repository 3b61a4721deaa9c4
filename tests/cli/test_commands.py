"""genre-app checkpoints, and the help of all commands."""

from __future__ import annotations

import os
import subprocess
import sys

from typer.testing import CliRunner

from genre_app import checkpoint as checkpoint_module
from genre_app.checkpoint import save_checkpoint
from genre_app.cli import build
from tests.cli.strict_json import strict


def test_bundled_checkpoints_are_listed(run, checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint_module, "checkpoint_folder", lambda: tmp_path)
    assert run("checkpoints")[:2] == (0, "")
    save_checkpoint(checkpoint, tmp_path / "default.safetensors")
    code, out, _ = run("checkpoints")
    assert code == 0
    assert out.startswith("default ")
    _, out, _ = run("checkpoints", "--format", "json")
    (row,) = strict(out)
    assert row["name"] == "default"
    assert row["genres"] == list(checkpoint.genres)
    assert row["metrics"] == checkpoint.metrics
    (tmp_path / "other.safetensors").write_bytes(b"")
    code, _, err = run("checkpoints")
    assert (code, err) == (2, f"error: checkpoint {tmp_path / 'other.safetensors'} is empty\n")


def test_help_takes_less_than_a_second_and_loads_nothing_heavy():
    before = os.times()
    result = subprocess.run([sys.executable, "-m", "genre_app", "--help"], capture_output=True, text=True, check=True)
    after = os.times()  # of the processor: on a busy machine each second may take several
    assert after.children_user + after.children_system - before.children_user - before.children_system < 1.0
    assert all(name in result.stdout for name in ("classify", "evaluate", "checkpoints"))
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from genre_app.cli import build\n"
        "assert CliRunner().invoke(build(), ['classify', '--help']).exit_code == 0\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'gradio', 'sklearn')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_one_fold_is_wrong_usage(folder):
    result = CliRunner().invoke(build(), ["train", "default", "--data", str(folder), "--folds", "1"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "error: cross-validation needs at least 2 folds; set --folds 5, or leave it out\n"


def test_help_shows_words_in_brackets(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert "the recipe's [search] table" in CliRunner().invoke(build(), ["train", "--help"]).stdout
