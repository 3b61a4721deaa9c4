"""The Collect tab in Chromium: a visitor records, drops, moves and deletes clips, and finds them again."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import soundfile
from playwright.sync_api import Locator, Page, expect

from tests.browser.test_accessibility import CONTRAST

pytestmark = pytest.mark.browser

GENRES = ("bossa nova", "dub", "my band")
WIDEST = "document.documentElement.scrollWidth"


@pytest.fixture
def songs(tmp_path, make_clip) -> list[str]:
    paths = [tmp_path / f"song {seed}.wav" for seed in range(4)]
    for seed, path in enumerate(paths):
        soundfile.write(path, make_clip(4.0, seed).samples, 22050)
    return list(map(str, paths))


@pytest.fixture
def fresh(tmp_path, monkeypatch) -> Path:
    """An empty folder of collections; the page is served from this process."""
    monkeypatch.setenv("GENRE_APP_COLLECTIONS", str(tmp_path / "collections"))
    return tmp_path / "collections"


def open_tab(page: Page) -> None:
    page.get_by_role("tab", name="Collect").click()
    expect(page.locator("#new-genre")).to_be_visible()


def card(page: Page, genre: str) -> Locator:
    return page.get_by_role("region", name=genre, exact=True)


def chips(page: Page, genre: str) -> Locator:
    return card(page, genre).locator("[data-clip]")


def said(page: Page) -> Locator:
    return page.locator("#collect-said")


def add_genres(page: Page, *genres: str) -> None:
    """Add genres with the keyboard; the field keeps the focus for the next one."""
    page.locator("#new-genre").focus()
    for genre in genres:
        page.keyboard.type(genre)
        page.keyboard.press("Enter")
        expect(card(page, genre)).to_be_visible()
        expect(page.locator("#new-genre")).to_be_focused()


def choose_files(page: Page, genre: str, paths: list[str]) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name=f"Add files to {genre}").click()
    chooser.value.set_files(paths)


def record(page: Page, genre: str, stop: str, seconds: int = 3) -> None:
    """Record some seconds with the keyboard, and press a button of the strip."""
    page.get_by_role("button", name=f"Record for {genre}").press("Enter")
    strip = page.locator("#collect-strip")
    expect(strip).to_contain_text(f"Recording for {genre}")
    if seconds:
        page.wait_for_function(
            f"document.querySelector('#collect-take-microphone .recording .mic-time')?.textContent >= '0:0{seconds}'"
        )
    strip.get_by_role("button", name=stop).press("Enter")
    expect(strip).to_be_hidden()


def drop_file(page: Page, genre: str, path: str) -> None:
    """Drop a file from another program on a card."""
    page.evaluate(
        """async ([genre, name, url]) => {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([await (await fetch(url)).blob()], name));
            const place = [...document.querySelectorAll(".genre-card")].find((card) => card.dataset.genre === genre);
            for (const type of ["dragenter", "dragover", "drop"])
                place.dispatchEvent(new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer }));
        }""",
        [genre, Path(path).name, "data:audio/wav;base64," + base64.b64encode(Path(path).read_bytes()).decode()],
    )


def test_a_collection_is_made_and_found_again(visit, fresh, songs):
    page = visit()
    failures: list[str] = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    open_tab(page)
    expect(page.locator(".collect-sum")).to_contain_text("Add your first genre")
    add_genres(page, *GENRES)
    record(page, "my band", "Stop and add")
    expect(said(page)).to_contain_text("to my band. 6 s or more is better.")
    expect(chips(page, "my band")).to_have_count(1)
    expect(page.get_by_role("button", name="Record for my band")).to_be_focused()
    record(page, "dub", "Cancel", 0)  # before the microphone is open
    expect(said(page)).to_contain_text("not kept")
    choose_files(page, "dub", songs[:3])
    expect(said(page)).to_contain_text("Added 3 clips to dub.")
    drop_file(page, "bossa nova", songs[3])
    expect(chips(page, "bossa nova")).to_have_count(1)
    # Play, move and delete with the keyboard; the focus stays where the visitor works.
    play = chips(page, "dub").first.get_by_role("button", name="song 2.wav", exact=False).first
    play.press("Enter")
    expect(play).to_have_attribute("aria-pressed", "true")
    chips(page, "dub").first.get_by_role("button", name="Move or delete").press("Enter")
    moves = page.get_by_role("group", name="Move song 2.wav to")
    expect(moves.get_by_role("button", name="bossa nova")).to_be_focused()
    page.keyboard.press("Escape")
    expect(chips(page, "dub").first.get_by_role("button", name="Move or delete")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(chips(page, "bossa nova")).to_have_count(2)
    expect(chips(page, "bossa nova").get_by_role("button", name="Move or delete song 2.wav")).to_be_focused()
    chips(page, "dub").first.get_by_role("button", name="Move or delete").press("Enter")
    page.get_by_role("group").get_by_role("button", name="Delete").press("Enter")
    expect(chips(page, "dub")).to_have_count(1)
    expect(chips(page, "dub").get_by_role("button", name="Move or delete")).to_be_focused()
    card(page, "my band").get_by_label("None of these").check()
    expect(said(page)).to_contain_text("What sounds like my band gets no genre.")
    # A genre with clips is removed only after a question.
    page.get_by_role("button", name="Remove bossa nova").click()
    expect(page.get_by_role("button", name="Delete bossa nova and its 2 clips")).to_be_focused()
    page.keyboard.press("Escape")
    # After a reload, everything is there.
    page.reload()
    open_tab(page)
    assert [chips(page, genre).count() for genre in GENRES] == [2, 1, 1]
    expect(card(page, "my band").get_by_label("None of these")).to_be_checked()
    expect(page.locator(".collect-sum")).to_contain_text("4 clips")
    with page.expect_download() as download:
        page.get_by_role("button", name="Export as zip").click()
    assert download.value.suggested_filename == "my-music.zip"
    assert failures == []


def test_the_answer_of_classify_is_corrected_into_the_collection_on_a_phone(visit, fresh, songs):
    page = visit("dark", width=400, height=800)
    page.get_by_test_id("waveform-Music").get_by_test_id("file-upload").set_input_files(songs[0])
    row = page.locator("#correct-classify")
    expect(row.get_by_role("button", name="Add to my collection")).to_be_visible()
    row.get_by_label("Not right?").fill("dub")
    row.get_by_role("button", name="Add to my collection").click()
    expect(row).to_contain_text("Added to dub in the collection my-music.")
    assert page.evaluate(WIDEST) <= 400
    open_tab(page)
    expect(chips(page, "dub")).to_have_count(1)
    expect(chips(page, "dub")).to_contain_text("≠")
    chips(page, "dub").get_by_role("button", name="Move or delete").click()
    assert page.evaluate(WIDEST) <= 400
    small = page.evaluate(
        """() => [...document.querySelectorAll(".collect button, .collect input, .collect label.none")]
            .map((element) => element.closest("label") ?? element).map((element) => element.getBoundingClientRect())
            .filter(({ width, height }) => width < 24 || height < 24).length"""
    )
    assert small == 0
    texts = (".genre-card .size", ".chips .play", ".chips .play i", ".ask .danger", ".genre-card .take", ".collect-sum")
    found = {text: page.locator(text).first.evaluate(CONTRAST) for text in texts}
    assert {text: round(contrast, 2) for text, contrast in found.items() if contrast < 4.5} == {}
