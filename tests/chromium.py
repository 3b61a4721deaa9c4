"""The installed Chromium, for tests, the bench and the picture in the README."""

from __future__ import annotations

import os
import shutil

import pytest
from playwright.sync_api import Browser, Page, Playwright

_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def executable() -> str | None:
    """Path of Chromium or Chrome, None if neither is installed."""
    return next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)


def errors_of(page: Page) -> list[str]:
    """Return a list that gets each later error of the page's scripts, with the place where it occurred."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(f"{error}\n{error.stack}"))
    return errors


def require() -> None:
    """Skip the test, or let it fail if GENRE_APP_REQUIRE_BROWSER is set, where no Chromium is installed."""
    if executable() is None:
        words = "neither chromium nor google-chrome is installed"
        if os.environ.get("GENRE_APP_REQUIRE_BROWSER"):
            pytest.fail(f"{words}, and GENRE_APP_REQUIRE_BROWSER is set")
        pytest.skip(words)


def launch(playwright: Playwright, *arguments: str) -> Browser:
    """Start it without a window."""
    return playwright.chromium.launch(executable_path=executable(), args=[*_ARGUMENTS, *arguments])


def drop(page: Page, path: str) -> None:
    """Give the Classify tab a file."""
    page.get_by_test_id("waveform-Music").get_by_test_id("file-upload").set_input_files(path)


def drop_folder(page: Page, selector: str, folder: str) -> str | None:
    """Drop a folder on a part of the page, as from the desktop; return what the page says while it is dragged."""
    box = page.locator(selector).bounding_box()
    place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    session = page.context.new_cdp_session(page)
    said, edge = None, {"x": 5, "y": 5}
    for event, at in (("dragEnter", edge), ("dragOver", edge), ("dragOver", place), ("drop", place)):
        data = {"items": [], "files": [folder], "dragOperationsMask": 1}
        session.send("Input.dispatchDragEvent", {"type": event, **at, "data": data})
        if at is edge:
            said = page.locator("#drop-here").text_content()
    session.detach()
    return said
