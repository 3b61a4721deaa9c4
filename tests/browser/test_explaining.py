"""Why this answer, and what if, in Chromium and by keyboard."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.classify import answered
from tests.chromium import drop

pytestmark = pytest.mark.browser


def test_an_answer_is_explained_and_changed_by_keyboard(page, song):
    why, what_if = (page.get_by_role("button", name=name) for name in ("Why this answer?", "What if it sounded different?"))
    expect(why).to_be_hidden()  # before there is an answer
    drop(page, song)
    answered(page)
    why.focus()
    page.keyboard.press("Enter")
    picture = page.locator("#why-figure img")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.naturalWidth") == pytest.approx(picture.bounding_box()["width"], abs=4)
    expect(page.locator("#why-only audio")).to_be_visible()
    expect(page.locator("#why-without-words")).to_contain_text("Answer: ")
    page.locator("#why-genre input:checked").focus()
    before = page.locator("#why-only audio").get_attribute("src")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#why-only audio")).not_to_have_attribute("src", before)

    what_if.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#what-if-figure img")).to_be_visible()
    page.locator("#what-if-value input[type=range]").focus()
    page.keyboard.press("ArrowRight")
    page.get_by_role("button", name="Hear it").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#what-if-sound audio")).to_be_visible()
    expect(page.locator("#what-if-words")).to_contain_text("At 1: ")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")

    page.locator(".sources input[type=file]").set_input_files(song)  # another answer: both are closed and empty
    expect(page.locator("#why-figure img")).to_have_count(0)
    answered(page)
    expect(why).to_be_visible()
    expect(picture).to_be_hidden()
