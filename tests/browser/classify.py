"""The parts of the Classify tab that several tests use."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect


def player(page: Page, name: str) -> Locator:
    return page.get_by_test_id("waveform-Music").get_by_role("button", name=name, exact=True)


def card(page: Page) -> Locator:
    return page.locator("#final-vote .card")


def answered(page: Page) -> None:
    """Wait until the clip is answered."""
    expect(page.locator("img.figure")).to_be_visible()
    expect(card(page)).to_contain_text("agree")
