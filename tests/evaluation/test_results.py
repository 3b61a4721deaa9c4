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


def test_rows_of_the_old_table_keep_their_empty_cells(tmp_path):
    head = "| recipe | source | states | own protocol | n | kept apart | n | log-loss |\n" + "|---" * 8 + "|\n"
    rows = ["| `a` | A |  | 50.0% (40% to 60%) | 100 |  |  |  |", "| `b` | B | 70.0% |  |  | 60.0% (50% to 70%) | 99 | 1.20 |"]
    old = head + "\n".join(rows) + "\n"
    assert results.table({"a": {"source": "A"}, "b": {"source": "B", "accuracy": 0.7}}, tmp_path, old) == old
