"""The Batch tab in Chromium."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def test_a_batch_goes_on_after_a_bad_file(page, song, tmp_path):
    bad = tmp_path / "bad.mp3"
    bad.write_text("no music")
    page.get_by_role("tab", name="Batch").click()
    page.locator("#songs input[type=file]").set_input_files([song, str(bad), song])
    expect(page.locator("#progress")).to_contain_text("3 of 3 done, 1 without an answer")
    expect(page.locator("#results tbody tr")).to_have_count(3)
    expect(page.locator("#results .failed")).to_contain_text("not an audio file")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    assert len(Path(download.value.path()).read_text().splitlines()) == 4
