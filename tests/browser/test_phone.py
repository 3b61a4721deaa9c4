"""The Classify tab in Chromium on a phone."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.classify import loaded, player

pytestmark = pytest.mark.browser


def test_the_page_is_english_in_a_german_browser(phone, long_song):
    page = loaded(phone, long_song)
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(player(page, "Clear")).to_be_visible()


def test_a_tab_whose_name_the_browser_translates_is_still_known(phone):
    live = phone.get_by_role("tab").nth(1)
    live.evaluate("tab => (tab.innerHTML = '<font>Direkt</font>')")
    try:
        live.click()
        phone.wait_for_function("location.hash === '#live'")
    finally:
        live.evaluate("tab => (tab.textContent = 'Live')")
        phone.get_by_role("tab", name="Classify").click()


def test_the_player_stays_in_sight_on_a_phone(phone, long_song):
    page = loaded(phone, long_song)
    page.get_by_test_id("cell-12-1").scroll_into_view_if_needed()
    page.get_by_test_id("cell-12-1").click()
    audio = page.locator("#music audio").bounding_box()
    assert audio["y"] >= 0
    assert audio["y"] + audio["height"] <= 700


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_phone_shows_everything_within_its_width(phone, visit, long_song, theme):
    page = loaded(phone if theme == "light" else visit(theme, width=400, device_scale_factor=2), long_song)
    expect(page.get_by_test_id("cell-1-1")).to_be_visible()
    # A table that measures itself can make a page swing between two widths: look at 60 animation frames.
    widest = page.evaluate(
        """async () => {
            let widest = 0;
            for (let frame = 0; frame < 60; frame++) {
                await new Promise(requestAnimationFrame);
                widest = Math.max(widest, document.documentElement.scrollWidth);
            }
            return widest;
        }"""
    )
    assert widest <= 400
    picture = page.locator("img.figure")
    assert picture.evaluate("image => image.naturalWidth") == pytest.approx(2 * picture.bounding_box()["width"], abs=4)
    # The ink stands out from the page: bright letters on dark, dark letters on bright.
    ink = picture.evaluate(
        """image => {
            const canvas = document.createElement("canvas");
            [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
            const context = canvas.getContext("2d");
            context.drawImage(image, 0, 0);
            const pixels = context.getImageData(0, 0, 40, canvas.height).data;
            const levels = [];
            for (let i = 0; i < pixels.length; i += 4) if (pixels[i + 3] > 250) levels.push(pixels[i]);
            return levels.reduce((a, b) => a + b, 0) / levels.length;
        }"""
    )
    assert ink > 150 if theme == "dark" else ink < 100


def test_a_small_phone_shows_all_tabs_in_one_row(visit):
    tabs = visit(width=360).get_by_role("tab")
    expect(tabs).to_have_text(["Classify", "Live", "Batch", "Collect", "Train"])
    boxes = [tab.bounding_box() for tab in tabs.all()]
    assert len({box["y"] for box in boxes}) == 1
    assert boxes[-1]["x"] + boxes[-1]["width"] <= 360
