"""The Collect tab as a visitor uses it: genres, recordings, files, and the keyboard."""

from __future__ import annotations

import base64
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

GENRES = ("bossa nova", "dub", "my band")
WIDEST = "document.documentElement.scrollWidth"

_MOST_TABS = 200  # presses of Tab between two places of the page
_TAKE_SECONDS = 3  # of a recording; the page takes no clip under 2 s


def open_tab(page: Page) -> None:
    page.get_by_role("tab", name="Collect").click()
    expect(page.locator("#new-genre")).to_be_visible()


def card(page: Page, genre: str) -> Locator:
    return page.get_by_role("region", name=genre, exact=True)


def chips(page: Page, genre: str) -> Locator:
    return card(page, genre).locator("[data-clip]")


def said(page: Page) -> Locator:
    return page.locator("#collect-said")


def reach(place: Locator, key: str = "Tab") -> None:
    """Press Tab until the place has the focus, as a visitor without a mouse does."""
    expect(place).to_be_visible()
    for _ in range(_MOST_TABS):
        if place.evaluate("element => element === document.activeElement"):
            return
        place.page.keyboard.press(key)
    raise AssertionError(f"Tab does not reach {place}")


def press(place: Locator, key: str = "Enter") -> None:
    """Reach a place with Tab, and press a key there."""
    reach(place)
    place.page.keyboard.press(key)


def add_genres(page: Page, *genres: str) -> None:
    """Add genres with the keyboard; the field keeps the focus for the next one."""
    reach(page.locator("#new-genre"))
    for genre in genres:
        page.keyboard.type(genre)
        page.keyboard.press("Enter")
        expect(card(page, genre)).to_be_visible()
        expect(page.locator("#new-genre")).to_be_focused()


def choose_files(page: Page, genre: str, paths: list[str]) -> None:
    """Choose files for a genre with the keyboard."""
    with page.expect_file_chooser() as chooser:
        press(page.get_by_role("button", name=f"Add files to {genre}"))
    chooser.value.set_files(paths)


def record(page: Page, genre: str, stop: str = "Stop and add", seconds: int = _TAKE_SECONDS) -> None:
    """Record some seconds with the keyboard, and press a button of the strip."""
    opener, strip = page.get_by_role("button", name=f"Record for {genre}"), page.locator("#collect-strip")
    press(opener)
    expect(strip).to_contain_text(f"Recording for {genre}")
    if seconds:
        page.wait_for_function(
            f"document.querySelector('#collect-take-microphone .recording .mic-time')?.textContent >= '0:0{seconds}'",
            polling=100,  # milliseconds; each frame otherwise, which costs as much as the recording
        )
    press(strip.get_by_role("button", name=stop))
    expect(strip).to_be_hidden()
    expect(opener).to_be_focused()


def drop_files(page: Page, genre: str, paths: list[str]) -> None:
    """Drop files from another program on a card."""
    page.evaluate(
        """async ([genre, files]) => {
            const dataTransfer = new DataTransfer();
            for (const [name, url] of files) dataTransfer.items.add(new File([await (await fetch(url)).blob()], name));
            const place = [...document.querySelectorAll(".genre-card")].find((card) => card.dataset.genre === genre);
            for (const type of ["dragenter", "dragover", "drop"])
                place.dispatchEvent(new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer }));
        }""",
        [genre, [[Path(path).name, _data_url(path)] for path in paths]],
    )


def _data_url(path: str) -> str:
    return "data:audio/wav;base64," + base64.b64encode(Path(path).read_bytes()).decode()
