"""The GPU benchmark, tried on the CPU with a tiny recipe: every row works, and none takes the others with it."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import pytest
import torch

from genre_app.runs import events, launch
from genre_app.runs.journal import Journal
from tests.bench.gpu import __main__ as command
from tests.bench.gpu import bench as bench_module
from tests.bench.gpu import inside as inside_module
from tests.bench.gpu import table
from tests.bench.gpu.bench import Bench, Finding, Row, RowError, Skipped
from tests.bench.gpu.rows import ROWS, seconds_of
from tests.forked import FORKING, starting
from tests.ui.train.page import check_here

QUICK = ["--device", "cpu", "--quick"]


def measured(out, *arguments, rows=ROWS) -> dict:
    command.main([*QUICK, "--out", str(out), *arguments], rows)
    return json.loads((out / "gpu.json").read_text())["rows"]


def row(measure, needs=0.0, alone=True, goal="") -> Row:
    return Row("what", goal, measure, needs, alone)


def finds(text):
    return lambda bench: Finding(text)


def raises(error):
    def measure(bench):
        raise error

    return measure


@pytest.fixture
def _quick_processes(monkeypatch):
    """Measure in this process what leaves nothing behind, and fork the others: to import torch in each takes a minute."""
    alone = Bench.inside

    def inside(bench, what, *arguments):
        if what == "memory":
            return alone(bench, what, *arguments)
        monkeypatch.setenv("GENRE_APP_RUNS", str(bench.work / "runs"))
        return json.loads(json.dumps(getattr(inside_module, what)(torch.device("cpu"), *arguments)))

    monkeypatch.setattr(Bench, "inside", inside)
    monkeypatch.setattr(inside_module, "prepare_process", lambda threads: None)
    monkeypatch.setattr(bench_module, "subprocess", FORKING)
    monkeypatch.setattr(launch, "child", starting())
    monkeypatch.setattr("genre_app.runs.check.check", check_here)


@pytest.mark.slow
@pytest.mark.usefixtures("_quick_processes")
def test_every_row_works_on_a_cpu(tmp_path):
    rows = measured(tmp_path)
    assert set(rows) == set(ROWS)
    found = {name: (row["verdict"], row["text"]) for name, row in rows.items()}
    values = {name: row["values"] for name, row in rows.items()}
    parts = values["default"]["seconds_of_parts"]
    assert sum(parts.values()) == pytest.approx(values["default"]["seconds"], abs=0.05)
    assert min(parts.values()) > -0.05
    assert values["default"]["valid"]["n_tracks"] == 12
    assert (tmp_path / "default-journal.jsonl").read_text().count('"event":"epoch"') == 4
    assert json.loads((tmp_path / "default-report.json").read_text())["valid"]["n_tracks"] == 12
    assert values["step"]["step_ms"] > 0
    assert {"bfloat16", "float32", "epochs"} == set(values["precision"])
    assert values["precision"]["bfloat16"]["log_loss"] != values["precision"]["float32"]["log_loss"]
    assert values["clips"]["devices"]["cpu"]["clips_per_second"] > 0
    assert "2 parts" in values["memory"]["warnings"][0]
    assert "4 parts" in values["memory"]["warnings"][1]
    assert values["kill"]["killed_after"] < 24
    assert values["kill"]["resumed_differs"] == values["kill"]["uninterrupted_differ"] == 0.0  # on a CPU to the bit
    assert values["processes"]["processes"] == 2
    assert values["page"]["checkpoint_device"] == "cpu"
    for name in ("memory", "kill", "processes", "page"):
        assert found[name][0] == "ok", found[name]
    written = (tmp_path / "gpu.md").read_text()
    assert all(f"--only {name}`" in written for name in ROWS)
    assert "no GPU, the processor" in written


def test_a_row_that_fails_is_a_line_and_the_others_go_on(tmp_path, capsys):
    rows = {
        "broken": row(raises(ZeroDivisionError("division by zero"))),
        "reasoned": row(raises(RowError("train ended with code 1: error: no data"))),
        "missing": row(raises(Skipped("gradio is not installed"))),
        "long": row(finds("never measured"), needs=1e6),
        "beside": row(raises(RuntimeError("CUDA error")), alone=False),
        "good": row(finds("12 | 13 ms"), goal="finishes", alone=False),
        "slow": row(lambda bench: Finding("70 s", ("time",), {"seconds": 70}), goal="60 s"),
    }
    found = measured(tmp_path, rows=rows)
    verdicts = {name: found[name]["verdict"] for name in rows}
    assert verdicts == {
        "broken": "**failed**",
        "reasoned": "**failed**",
        "missing": "skipped",
        "long": "left out",
        "beside": "**failed**",
        "good": "ok",
        "slow": "**missed: time**",
    }
    assert found["broken"]["text"] == "failed: ZeroDivisionError: division by zero"
    assert found["reasoned"]["text"] == "failed: train ended with code 1: error: no data"
    assert found["missing"]["text"] == "skipped: gradio is not installed"
    assert found["slow"]["values"] == {"seconds": 70}
    assert len(capsys.readouterr().out.splitlines()) == len(rows)
    assert (
        "| what | 12 \\| 13 ms | finishes | ok | `python -m tests.bench.gpu DATA --only good` |"
        in (tmp_path / "gpu.md").read_text().splitlines()
    )


def test_what_is_known_is_on_disk_before_the_next_row(tmp_path):
    def look(bench):
        return Finding(f"{list(json.loads((tmp_path / 'gpu.json').read_text())['rows'])}")

    found = measured(tmp_path, rows={"first": row(finds("1")), "second": row(look)})
    assert found["second"]["text"] == "['first']"


def test_only_measures_a_row_again_and_keeps_the_others(tmp_path):
    measured(tmp_path, rows={"first": row(finds("1")), "second": row(finds("2"))})
    again = measured(tmp_path, "--only", "second", rows={"first": row(finds("x")), "second": row(finds("3"))})
    assert {name: found["text"] for name, found in again.items()} == {"first": "1", "second": "3"}


def test_a_process_that_fails_or_lasts_is_a_reason(tmp_path):
    def bench(seconds):
        return Bench(tmp_path, "default", tmp_path, tmp_path, "cpu", True, command.time.monotonic() + seconds)

    with pytest.raises(RowError, match="one ended with code 3: it is broken"):
        bench(60).python("one", "-c", "print('it is broken'); print(); raise SystemExit(3)")
    with pytest.raises(RowError, match="two was not done when the budget was used up"):
        bench(0.5).python("two", "-c", "import time; time.sleep(60)")
    kept = (tmp_path / "failed.log").read_text()
    assert "== one ended with code 3: it is broken\nit is broken" in kept
    assert "== two was not done" in kept


def test_the_time_of_a_run_is_split_into_its_parts():
    epochs = [
        events.Epoch(epoch=1, train_loss=1.0, learning_rate=0.1, seconds=2.0, time=107.5),
        events.Epoch(epoch=2, train_loss=0.9, learning_rate=0.1, seconds=2.0, valid_log_loss=0.5, time=110.5),
    ]
    started = {"device": "cpu", "processes": 1, "epoch": 0, "step": 0, "epochs": 2, "steps": 1, "tracks": {}, "segments": 1}
    journal = Journal(
        (
            events.Process(pid=1, pid_created=0.0, time=103.0),
            events.Started(**started, parameters=1, genres=[], notes=[], time=105.0),
            *epochs,
        )
    )
    assert seconds_of(SimpleNamespace(journal=lambda: journal), 100.0, 114.5) == {
        "importing": 3.0,
        "preparing": 2.0,
        "steps": 4.0,
        "validation": 0.5,
        "saving": 1.0,
        "final report": 4.0,
    }


def test_the_table_goes_between_the_markers(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"# Speed\n\n{table.BEGIN}\nold\n{table.END}\nmore\n")
    table.put_into_readme(readme, "| new |\n")
    assert readme.read_text() == f"# Speed\n\n{table.BEGIN}\n| new |\n{table.END}\nmore\n"
    readme.write_text("no markers")
    with pytest.raises(ValueError, match="has no lines"):
        table.put_into_readme(readme, "| new |")


def test_the_readme_has_the_markers_and_gets_the_rows_of_a_folder(tmp_path, monkeypatch):
    text = command._README.read_text(encoding="utf-8")
    readme = tmp_path / "README.md"
    readme.write_text(text, encoding="utf-8")
    monkeypatch.setattr(command, "_README", readme)
    rows = {"first": row(finds("42 ms"))}
    with pytest.raises(SystemExit):
        command.main(["--readme", "--out", str(tmp_path / "out")], rows)
    assert readme.read_text(encoding="utf-8") == text
    measured(tmp_path / "out", rows=rows)
    command.main(["--readme", "--out", str(tmp_path / "out")], rows)
    filled = readme.read_text(encoding="utf-8")
    assert filled.index(table.BEGIN) < filled.index("| what | 42 ms |") < filled.index(table.END)


@pytest.mark.parametrize(
    ("arguments", "words"), [([], "name DATA"), (["x", "--only", "nothing"], "invalid choice"), (["x"], "no CUDA GPU here")]
)
def test_wrong_commands_get_a_sentence(arguments, words, capsys, monkeypatch):
    monkeypatch.setattr(command.torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["bench"])
    with pytest.raises(SystemExit):
        command.main(arguments)
    assert words in capsys.readouterr().err
