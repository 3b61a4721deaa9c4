"""The comparison of the published systems."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from train import results


@pytest.mark.parametrize(("option", "message"), [("--only", "kth-mlp"), ("--protocol", "own, apart")])
def test_unknown_recipes_and_protocols_are_wrong_usage(option, message, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")
    found = CliRunner().invoke(results.app, ["--data", str(tmp_path), "--out", str(tmp_path / "runs"), option, "nothing"])
    assert found.exit_code == 2
    assert "there is no nothing; choose some of: " in found.output
    assert message in found.output
    assert not (tmp_path / "runs").exists()
