"""A journal with lines that are no events disturbs no visitor, and the run's card says so."""

from __future__ import annotations

import pytest
import soundfile

from genre_app.runs.status import Status
from genre_app.ui import service
from genre_app.ui.train.charts import curves
from genre_app.ui.train.run_card import confusion_of, list_row, state_card
from genre_app.ui.train.snapshot import snapshots
from tests.conftest import synthesise

LINES = [
    '{"event": [1]}',
    '{"event": "epoch"}',
    '{"event": {"epoch": 1}}',
    '{"event": "epoch", "epoch": -1}',
    f'{{"event": "epoch", "epoch": {"9" * 5000}}}',
    '{"event": "epoch", "epoch": 1, "train_loss": 1e999}',
    '{"event": "epoch", "epoch": 1, "confusion": [[1], [2, 3]]}',
    '{"event": "epoch", "epoch": 1, "valid_accuracy": 1e308, "best": true}',
    '{"event": "epoch", "epoch": 1, "recorded_accuracy": -1, "best": true}',
    '{"event": "epoch", "epoch": 1, "seconds": 1e308}',
    '{"event": "finished", "accuracy": 1e308}',
    '{"event": "finished", "seconds": 1e308}',
    '{"event": "started", "tracks": {"train": "many"}}',
    '{"event": "process", "pid": -1, "pid_created": 1}',
    f'{{"event": "process", "pid": {"9" * 30}, "pid_created": 1}}',
    '{"event": "created", "time": 1e300}',
    '{"event": "failed", "message": {"a": 1}}',
    "[" * 100_000,
    "null",
    "\x00",
]


@pytest.mark.parametrize("line", LINES, ids=lambda line: line[:40])
@pytest.mark.parametrize("status", [Status.running, Status.finished], ids=str)
def test_a_broken_line_is_left_out_and_counted(bundled, make_run, tmp_path, line, status):
    run = make_run("it", status)
    expected = run.status()
    with (run.path / "journal.jsonl").open("a") as file:
        file.write(line + "\n")
    soundfile.write(tmp_path / "a.wav", synthesise(4.0, 0), 22050)
    assert service.answer(tmp_path / "a.wav", checkpoint="run: it" if status is Status.finished else "default").prediction
    assert ("run: it" in service.checkpoint_choices()) is (status is Status.finished)
    (seen,) = snapshots()
    assert seen.status is expected
    assert seen.journal.n_broken == 1
    assert "cannot be read" in state_card(seen)
    assert list_row(seen)[0] == "it"
    curves(seen)


def test_a_confusion_matrix_of_other_genres_is_not_drawn(make_run):
    run = make_run("it", Status.running)
    assert confusion_of(snapshots()[0]) is not None
    with (run.path / "journal.jsonl").open("a") as file:
        file.write('{"event": "epoch", "epoch": 8, "confusion": [[1]]}\n')
    assert confusion_of(snapshots()[0]) is None
