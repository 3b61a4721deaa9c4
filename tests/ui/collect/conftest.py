"""The built page, a visitor's requests, and uploads of the Collect tab's tests."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
import soundfile

from genre_app.ui.collect import tab

LAST = "my-music"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    """The folder of named collections, at first empty."""
    monkeypatch.setenv("GENRE_APP_COLLECTIONS", str(tmp_path / "collections"))
    return tmp_path / "collections"


@pytest.fixture
def space(tmp_path, monkeypatch) -> Path:
    """A public Space, whose temporary folder is empty."""
    monkeypatch.setenv("SPACE_ID", "somebody/genre-app")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    return tmp_path


@pytest.fixture
def uploads(tmp_path, monkeypatch) -> Path:
    """The folder of gradio's uploads."""
    folder = tmp_path / "uploads"
    folder.mkdir()
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(folder))
    return folder


@pytest.fixture
def upload(uploads, make_clip) -> Callable[..., str]:
    """Upload a synthesised song: name, seconds, seed; returns its path."""

    def make(name: str = "song.wav", seconds: float = 8.0, seed: int = 0) -> str:
        path = uploads / f"{seed}" / name
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, make_clip(seconds, seed).samples, 22050)
        return str(path)

    yield make
    shutil.rmtree(uploads, ignore_errors=True)


class Visitor:
    """A browser's window: it sends what the board's script sends, and keeps what the page shows."""

    def __init__(self, session: str = "one", chosen: str | None = None) -> None:
        self.request = gr.Request(session_hash=session)
        self.chosen = chosen
        self.board = self.said = ""
        self.progress: list[str] = []

    def act(self, do: str, **data: Any) -> Visitor:
        """Press a button of the board."""
        event = gr.EventData(None, {"do": do, **data})
        self.progress = []
        for board, said in tab.act(self.chosen, event, self.request):
            self.progress.append(said)
            self.said = said
            self.board = board if isinstance(board, str) else self.board
        return self

    def add(self, genre: str, *paths: str) -> Visitor:
        """Drop files on a genre's card."""
        return self.act("add", genre=genre, files=[{"path": path, "name": Path(path).name} for path in paths])


@pytest.fixture
def visitor() -> Iterator[Visitor]:
    return Visitor()
