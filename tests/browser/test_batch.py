"""The Batch tab in Chromium."""

from __future__ import annotations

import re
import shutil
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


def test_a_folder_of_genre_folders_is_scored_and_a_row_is_collected(page, song, tmp_path):
    for genre in ("jazz", "rock"):
        (tmp_path / "music" / genre).mkdir(parents=True)
        shutil.copyfile(song, tmp_path / "music" / genre / f"{genre} song.wav")
    (tmp_path / "music" / "notes.txt").write_text("no music")
    page.get_by_role("tab", name="Batch").click()
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose a folder").click()
    chooser.value.set_files(tmp_path / "music")
    expect(page.locator("#batch-score .genre")).to_contain_text("of 2")
    expect(page.locator("#batch-score img")).to_have_attribute("alt", re.compile("Confusion matrix"))
    truth = page.get_by_label("True genre of rock song.wav")
    expect(truth).to_have_value("rock")
    truth.fill("dub")
    truth.press("Tab")
    expect(page.locator("#batch-score")).to_contain_text("1 more has a genre that the checkpoint does not know.")
    page.get_by_role("button", name="Add rock song.wav to my collection").press("Enter")
    expect(page.locator("#batch-said")).to_contain_text("Added to dub in the collection my-music.")
