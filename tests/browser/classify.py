"""The parts of the Classify tab that several tests use."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

from tests.chromium import drop


def player(page: Page, name: str) -> Locator:
    return page.get_by_test_id("waveform-Music").get_by_role("button", name=name, exact=True)


def card(page: Page) -> Locator:
    return page.locator("#final-vote .card")


def fresh(page: Page) -> Page:
    """Take the clip from a page that tests share."""
    if player(page, "Clear").count():
        player(page, "Clear").click()
    expect(card(page)).to_contain_text("drop a song")
    expect(page.locator("img.figure")).to_have_count(0)
    return page


def loaded(page: Page, path: str) -> Page:
    """Give a page that tests share the clip, if it has none."""
    if not page.locator("img.figure").count():
        drop(page, path)
    answered(page)
    return page


def answered(page: Page) -> None:
    """Wait until the clip is answered."""
    expect(page.locator("img.figure")).to_be_visible()
    expect(card(page)).to_contain_text("agree")
