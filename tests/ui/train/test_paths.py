"""On a public page, no absolute path of the server is shown; at home, paths stay."""

from __future__ import annotations

import errno
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from genre_app.runs.run import Run, work_folder
from genre_app.runs.search.results import Results, Row, write
from genre_app.runs.status import Status
from genre_app.ui.train.data import shortened
from tests.pages import handler
from tests.ui.train.page import OWNER, act, arrive, record, words
from tests.ui.train.test_searching import look, make_search

HIDDEN = [
    (f'File "{sys.prefix}/lib/torch/nn/module.py", line 5', 'File "module.py", line 5'),
    (f"There is no {Path.home()}/music; give a folder", "There is no music; give a folder"),
    (f"{tempfile.gettempdir()}/genre-app-locks-0/cpu.lock cannot be made", "cpu.lock cannot be made"),
    ("/mnt/music/jazz/a.wav: no audio", "a.wav: no audio"),
    ("[Errno 13] Permission denied: '/Users/Ada L/My Music/a b.wav'", "[Errno 13] Permission denied: 'a b.wav'"),
    ("search in /data/runs/x: 30 trials", "search in x: 30 trials"),
    ("stopped; resume with: genre-app train --resume /data/runs/x", "stopped; resume with: genre-app train --resume x"),
    ("--set split.file=/home/ada/split.csv --data '/a b/c d'", "--set split.file=split.csv --data 'c d'"),
    ("reads C:\\Users\\ada\\music\\a.wav, D:/b/c and \\\\nas\\music\\d", "reads a.wav, c and d"),
    ("no /music here\nand (/srv/a/b)", "no music here\nand (b)"),
]
SHOWN = [
    "hub:ada/beats and https://huggingface.co/ada/beats",
    "1.2 it/s, 3/10, and/or 1 / 2",
    "My Music (live)/jazz/a.wav",
    "./runs/x ../y runs/z ~",
    "the link https://a.example/b: 404",
    "a\\b",
]


@pytest.mark.parametrize(("text", "short"), [*HIDDEN, *((text, text) for text in SHOWN)])
def test_absolute_paths_are_hidden_on_public_pages_only(monkeypatch, text, short):
    assert shortened(text) == text
    for name, value in (("SPACE_ID", "ada/genres"), ("GRADIO_SERVER_NAME", "0.0.0.0")):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            assert shortened(text) == short
            assert shortened(f"There is no {work_folder()}/zip-0123456789abcdef/jazz/a.wav.") == "There is no jazz/a.wav."


def test_a_home_with_a_space_in_its_name_is_hidden(monkeypatch):
    for home in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(home, "/Users/Ada L")
    monkeypatch.setenv("SPACE_ID", "ada/genres")
    assert shortened("There is no /Users/Ada L/music/a.wav.") == "There is no a.wav."
    for home in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(home, "/")
    assert shortened("https://a.example //x") == "https://a.example //x"


@pytest.mark.usefixtures("_on_a_space")
def test_visitors_see_no_folder_of_the_server(app, make_run, tmp_path, monkeypatch):
    run = make_run("it", Status.failed, data="/mnt/music")
    record(run, {"event": "warning", "message": "/mnt/music/a.wav was left out"})
    record(run, {"event": "failed", "message": "There is no /mnt/music; give a folder."})
    run.log(f'  File "{sys.prefix}/lib/a.py", line 1\nwrote {run.best} (1 MB)')
    broken, unreported = make_run("broken", Status.stopped), make_run("unreported", Status.finished)
    (broken.path / "run.json").write_text("{")
    (unreported.path / "report.json").write_text("{")
    search = make_search("s", 1.0)
    row = Row(number=1, state="failed", log_loss=None, accuracy=None, seconds=None, settings={}, message="no /mnt/music")
    write(Results(trials=5, folds=0, rows=(row,), importance={}), search.path, [])
    run.best.write_bytes(b"")

    def fail(run, name):
        raise PermissionError(errno.EACCES, "Permission denied", str(run.path))

    monkeypatch.setattr(Run, "rename", fail)
    not_renamed = act(app, "run-rename", run, OWNER, new_name="x")["run-unmanaged"]
    (not_pushed,) = list(handler(app, "run-push", "click").fn("it", "ada/it", OWNER, SimpleNamespace(token="")))[1:]
    parts = [*arrive(app, "it").values(), *arrive(app, "unreported").values(), *look(app, "s").values()]
    for text in map(str, [*parts, not_renamed, not_pushed]):
        assert str(tmp_path) not in text
        assert "/mnt" not in text
        assert sys.prefix not in text
    assert "Permission denied: &#x27;it&#x27;." in not_renamed
    assert "best.safetensors is empty" in not_pushed
    assert "There is no music; give a folder." in words(arrive(app, "it")["run-head"])
    assert "wrote best.safetensors (1 MB)" in arrive(app, "it")["run-log"]
