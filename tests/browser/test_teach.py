"""Teach in Chromium: a model is taught, tested, mapped, used in Classify and Live, and found again; visitors stay apart."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from genre_app.audio import Clip
from genre_app.data.collection import Collection
from tests.browser.test_collect import GENRES, add_genres, card, choose_files, fresh, open_tab, songs  # noqa: F401 (fixtures)
from tests.browser.test_live import live_button
from tests.conftest import synthesise

pytestmark = pytest.mark.browser

SLOW = 120_000  # milliseconds; teaching six clips takes seconds


def fill(folder: Path, n: int = 2) -> None:
    collection = Collection(folder / "my-music")
    for number, genre in enumerate(GENRES):
        for seed in range(n):
            clip = Clip(synthesise(4.0, 10 * number + seed), 22050, name=f"{genre} {seed}.wav")
            collection.add(genre, clip, origin="file")


def teach(page: Page) -> None:
    page.locator("#teach").press("Enter")
    expect(page.locator("#taught")).to_be_visible(timeout=SLOW)


def test_a_model_is_taught_tested_mapped_used_and_found_again(visit, fresh, songs):  # noqa: F811
    fill(fresh)
    page = visit(width=400)
    failures: list[str] = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    open_tab(page)
    teach(page)
    result = page.locator("#taught")
    expect(result).to_contain_text(re.compile(r"[0-6] of 6 right"))
    expect(result).to_contain_text("before: 0 of 6")
    # With more clips, teaching again takes only the new ones.
    choose_files(page, "dub", songs[:1])
    expect(card(page, "dub").locator("[data-clip]")).to_have_count(3)
    page.locator("#teach").press("Enter")
    expect(result).to_contain_text(re.compile(r"[0-7] of 7 right"), timeout=SLOW)
    page.locator("#draw-map").press("Enter")
    marks = page.locator(".clip-map .clip")
    expect(marks).to_have_count(7, timeout=SLOW)
    marks.first.click(force=True)  # marks may cover each other
    expect(page.locator("#teach-player audio").first).to_be_attached()
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    page.get_by_role("button", name="Use in Classify and Live").press("Enter")
    expect(page.get_by_role("tab", name="Classify")).to_have_attribute("aria-selected", "true")
    expect(page.get_by_text("taught: my-music").first).to_be_visible()
    page.get_by_role("tab", name="Live").click()
    live_button(page, "Record").click()
    names = page.locator("#live-vote .bars .name")
    expect(names).to_have_count(3)
    assert set(names.all_inner_texts()) == set(GENRES)
    live_button(page, "Stop").click()
    page.reload()
    open_tab(page)
    expect(page.locator("#taught")).to_contain_text(re.compile(r"[0-7] of 7 right"))
    assert failures == []


def test_two_visitors_of_a_public_page_see_nothing_of_each_other(visit, fresh, monkeypatch, tmp_path, songs):  # noqa: F811
    monkeypatch.setenv("SPACE_ID", "someone/space")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    one, two = visit(), visit()
    open_tab(one)
    expect(one.locator("#collect-intro")).to_contain_text("only you see it")
    add_genres(one, "dub")
    choose_files(one, "dub", songs[:1])
    expect(card(one, "dub").locator("[data-clip]")).to_have_count(1)
    open_tab(two)
    expect(two.locator(".collect-sum")).to_contain_text("Add your first genre")
    one.locator("#teach").click()
    expect(one.locator("#teach-status")).to_contain_text("2 genres with 2 clips each")
