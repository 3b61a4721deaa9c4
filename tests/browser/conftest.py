"""One Chromium and one served page for all browser tests; each test is a new visitor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import soundfile
from playwright.sync_api import Page, expect, sync_playwright

from tests import chromium
from tests.browser.recorder import RATE, Recorder
from tests.conftest import bundle, serve_page


@pytest.fixture(scope="package")
def recorder(tmp_path_factory) -> Iterator[Recorder]:
    chromium.require()
    with sync_playwright() as playwright:
        recorder = Recorder(playwright, tmp_path_factory.mktemp("microphone"))
        yield recorder
        recorder.browser.close()


@pytest.fixture(scope="package")
def address(recorder, checkpoint, tmp_path_factory) -> Iterator[str]:
    """Where the page is served, with the tiny network, from this process."""
    with bundle(checkpoint, tmp_path_factory.mktemp("bundled")), serve_page(tmp_path_factory.mktemp("uploads")) as url:
        yield url


@pytest.fixture(autouse=True)
def _music(recorder, make_clip) -> None:
    """Let the microphone hear music."""
    recorder.play(make_clip(12.0, 3, RATE).samples)


@contextmanager
def visitors(recorder: Recorder, address: str) -> Iterator[Callable[..., Page]]:
    """Open the page as new visitors; a request to another host fails the test."""
    pages, elsewhere = [], []

    def open_page(theme: str | None = None, **options: Any) -> Page:
        page = recorder.enter(address, **options)
        pages.append(page)
        page.on("request", lambda r: elsewhere.append(r.url) if not r.url.startswith((address, "blob:", "data:")) else None)
        page.goto(f"{address}?__theme={theme}" if theme else address)
        expect(page.get_by_test_id("waveform-Music").get_by_test_id("file-upload")).to_be_attached()
        return page

    yield open_page
    for page in pages:
        recorder.leave(page)
    assert elsewhere == []


@pytest.fixture
def visit(recorder, address) -> Iterator[Callable[..., Page]]:
    """Open the page as a new visitor of one test."""
    with visitors(recorder, address) as open_page:
        yield open_page


@pytest.fixture
def page(visit) -> Page:
    return visit()


@pytest.fixture(scope="module")
def shared(recorder, address) -> Iterator[Page]:
    """A page of one visitor for several tests of a file: to load it takes longer than most tests."""
    with visitors(recorder, address) as open_page:
        yield open_page(alone=True)


@pytest.fixture(scope="package")
def phone(recorder, address) -> Iterator[Page]:
    """The page on a phone in Germany, for several tests."""
    with visitors(recorder, address) as open_page:
        yield open_page("light", width=400, height=700, device_scale_factor=2, locale="de-DE")


@pytest.fixture
def fresh(tmp_path, monkeypatch) -> Path:
    """An empty folder of collections; the page is served from this process."""
    monkeypatch.setenv("GENRE_APP_COLLECTIONS", str(tmp_path / "collections"))
    return tmp_path / "collections"


@pytest.fixture(scope="session")
def song(make_clip, tmp_path_factory) -> str:
    """Path of a clip of 12 s."""
    path = tmp_path_factory.mktemp("browser") / "song.wav"
    soundfile.write(path, make_clip(12.0).samples, 22050)
    return str(path)


@pytest.fixture(scope="session")
def long_song(make_clip, tmp_path_factory) -> str:
    """Path of a song with more frames than the table shows at once."""
    path = tmp_path_factory.mktemp("browser") / "long.wav"
    soundfile.write(path, make_clip(30.0).samples, 22050)
    return str(path)
