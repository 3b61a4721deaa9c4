"""Take the README's picture of the page, with a synthesised example: python -m tests.picture."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.bench.page import served
from tests.chromium import launch

TARGET = Path(__file__).parents[1] / "genre_app" / "ui" / "assets" / "page.webp"

if __name__ == "__main__":
    with served() as (address, _), sync_playwright() as playwright:
        page = launch(playwright).new_page(viewport={"width": 1280, "height": 860})
        page.goto(f"{address}?__theme=light")
        page.get_by_role("button", name="disco", exact=True).click()
        page.locator("img.figure").wait_for()
        page.get_by_test_id("cell-1-1").wait_for()
        page.wait_for_function("document.querySelector('#music audio').duration > 19")
        page.wait_for_timeout(500)
        Image.open(io.BytesIO(page.screenshot())).convert("RGB").save(TARGET, quality=85, method=6)
