"""The Collect tab in Chromium: clips are played, moved and deleted with the keyboard; tests/browser/test_teach.py adds them."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from genre_app.data.collection import Collection
from tests.browser.collecting import GENRES, card, chips, open_tab, press, record, said
from tests.browser.recorder import SLOW
from tests.chromium import errors_of

pytestmark = pytest.mark.browser


def test_clips_are_played_moved_deleted_and_exported(visit, fresh, make_clip):
    collection = Collection(fresh / "my-music")
    for seed, genre in enumerate(("bossa nova", "dub", "dub", "dub", "my band")):
        collection.add(genre, make_clip(4.0, seed), origin="file", name=f"song {seed}.wav")
    page = visit()
    failures = errors_of(page)
    open_tab(page)
    record(page, "dub", "Cancel", 0)  # before the microphone is open
    expect(said(page)).to_contain_text("not kept")
    # The focus stays where the visitor works.
    play = chips(page, "dub").first.get_by_role("button", name="song 3.wav", exact=False).first
    press(play)
    expect(play).to_have_attribute("aria-pressed", "true")
    press(chips(page, "dub").first.get_by_role("button", name="Move or delete"))
    moves = page.get_by_role("group", name="Move song 3.wav to")
    expect(moves.get_by_role("button", name="bossa nova")).to_be_focused()
    page.keyboard.press("Escape")
    expect(chips(page, "dub").first.get_by_role("button", name="Move or delete")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(chips(page, "bossa nova")).to_have_count(2)
    expect(chips(page, "bossa nova").get_by_role("button", name="Move or delete song 3.wav")).to_be_focused()
    press(chips(page, "dub").first.get_by_role("button", name="Move or delete"))
    press(page.get_by_role("group").get_by_role("button", name="Delete"))
    expect(chips(page, "dub")).to_have_count(1)
    expect(chips(page, "dub").get_by_role("button", name="Move or delete")).to_be_focused()
    press(card(page, "my band").get_by_label("None of these"), "Space")
    expect(said(page)).to_contain_text("What sounds like my band gets no genre.")
    # A genre with clips is removed only after a question.
    press(page.get_by_role("button", name="Remove bossa nova"))
    expect(page.get_by_role("button", name="Delete bossa nova and its 2 clips")).to_be_focused()
    page.keyboard.press("Escape")
    expect(card(page, "my band").get_by_label("None of these")).to_be_checked()  # on the board that the server sent
    for genre, count in zip(GENRES, (2, 1, 1), strict=True):
        expect(chips(page, genre)).to_have_count(count)
    expect(page.locator(".collect-sum")).to_contain_text("4 clips")
    dropped = """(place) => {
        const dataTransfer = new DataTransfer();
        dataTransfer.setData("text", "salsa");
        return place.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer }));
    }"""
    assert page.locator("#new-genre").evaluate(dropped)  # so the browser puts the text into the field
    with page.expect_download() as download:
        page.get_by_role("button", name="Export as zip").click()
    assert download.value.suggested_filename == "my-music.zip"
    assert not failures, "\n".join(failures)


def test_an_example_without_a_sample_is_explained_and_another_can_follow(visit, fresh):
    Collection(fresh / "my-music").add_genre("dub")
    page = visit()
    page.add_init_script(f"{{ {SLOW} }}")
    page.reload()
    open_tab(page)
    for _ in range(2):
        record(page, "dub", seconds=0)
        expect(said(page)).to_contain_text("too short")
        expect(said(page).locator(".failed")).to_have_css("background-color", "rgb(254, 242, 242)")  # as bright as the page
