"""The built page, a folder for its runs, data, and runs in every state."""

from __future__ import annotations

import json
import time

import pytest

from genre_app.checkpoint import save_checkpoint
from genre_app.runs.request import Request
from genre_app.runs.run import Run
from genre_app.runs.status import Status
from genre_app.ui import permission
from tests.bands import write_bands
from tests.ui.train.page import REPORT, TINY, check_here, events, looked


@pytest.fixture(autouse=True)
def _at_home(tmp_path, monkeypatch):
    for name in (
        "SPACE_ID",
        "SPACE_AUTHOR_NAME",
        "SPACES_ZERO_GPU",
        "GRADIO_SERVER_NAME",
        "GRADIO_SHARE",
        permission.SWITCH,
        permission.HOSTS,
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("genre_app.runs.check.check", check_here)
    monkeypatch.setenv("GENRE_APP_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("GENRE_APP_LOCKS", str(tmp_path / "locks"))
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))


@pytest.fixture
def _on_a_space(monkeypatch):
    monkeypatch.setenv("SPACE_ID", "ada/genres")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return write_bands(tmp_path_factory.mktemp("data") / "bands")


@pytest.fixture(scope="module")
def told(app, cache, tmp_path_factory):
    """A plan, and the values of the form that it belongs to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("genre_app.runs.check.check", check_here)
        patch.setenv("GENRE_APP_RUNS", str(tmp_path_factory.mktemp("told")))
        shown, values = looked(app, **TINY, **{"train-source": str(cache)})
    return shown[-1]["State"], values


@pytest.fixture
def make_run(tmp_path, checkpoint):
    """Return a function that writes the folder of a run by hand; a run that has ended has the tiny checkpoint."""

    def make(name: str, status: Status, *settings: str, data: str = "/music", init_from: str | None = None) -> Run:
        request = Request(recipe="default", data=data, settings=("epochs=8", *settings), init_from=init_from)
        run = Run.create(tmp_path / "runs" / name, request)
        began = time.time() - 5.0
        lines = [{"time": began + index / 100, **event} for index, event in enumerate(events(status))]
        (run.path / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        if not status.is_active and status is not Status.died:
            save_checkpoint(checkpoint, run.best)
        if status is Status.finished:
            (run.path / "report.json").write_text(json.dumps(REPORT))
            (run.path / "card.md").write_text("# A card")
        return run

    return make
