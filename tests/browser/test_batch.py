"""The Batch tab in Chromium."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Page, expect

from genre_app.ui.service import MAX_BYTES
from tests.chromium import drop_folder

pytestmark = pytest.mark.browser


def names(page: Page) -> list[str]:
    """Names of the rows that are shown, from the top."""
    return page.locator("#results tbody tr:not([hidden]) .name").all_inner_texts()


def sounding(page: Page) -> list[str]:
    """Files of the players that play."""
    return page.evaluate("[...document.querySelectorAll('audio')].filter((a) => !a.paused).map((a) => a.src.split('/').at(-1))")


def press(page: Page, name: str, key: str = "Enter") -> None:
    page.get_by_role("button", name=name, exact=True).press(key)


def test_a_dropped_folder_becomes_a_table_that_is_sorted_filtered_played_and_opened(page, song, make_clip, tmp_path):
    folder = tmp_path / "jazz"
    folder.mkdir()
    shutil.copyfile(song, folder / "song10.wav")
    soundfile.write(folder / "song9.wav", make_clip(12.0, 1).samples, 22050)
    soundfile.write(folder / "hiss.wav", 0.1 * np.random.default_rng(0).standard_normal(6 * 22050), 22050)
    (folder / "bad.mp3").write_text("no music")
    page.get_by_role("tab", name="Batch").click()
    assert drop_folder(page, "#songs", str(folder)) == "Drop songs or folders to classify them all"
    expect(page.locator("#progress")).to_contain_text("4 of 4 done, 1 without an answer")
    expect(page.locator("#results .failed")).to_contain_text("not an audio file")
    expect(page.get_by_label("True genre of song9.wav")).to_have_value("jazz")
    with page.expect_download() as download:
        press(page, "Download CSV")
    assert len(Path(download.value.path()).read_text().splitlines()) == 1 + 4
    arranged_by_keyboard(page)
    played_by_keyboard(page)
    press(page, "Open song9.wav in Classify")
    expect(page.locator("img.figure")).to_be_visible()
    expect(page.locator("#final-vote")).to_contain_text("song9.wav")
    assert sounding(page) == []
    assert page.url.endswith("/")  # the address of Classify
    expect(page.locator("#music")).to_be_focused()


def test_a_refused_file_is_told_until_others_come(page, song, tmp_path):
    large = tmp_path / "large.wav"
    with large.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    page.get_by_role("tab", name="Batch").click()
    songs, told = page.locator("#songs input[type=file]"), page.locator("#songs-problem")
    songs.set_input_files(large)
    expect(told).to_contain_text("large.wav: 100 MB are more than the 100 MB")
    songs.set_input_files(song)
    expect(told).to_be_empty()
    expect(page.locator("#progress")).to_contain_text("1 of 1 done")
    large.unlink()
    shutil.copyfile(song, tmp_path / "song2.wav")
    drop_folder(page, "#songs .filename", str(tmp_path))  # on the list of files
    expect(page.locator("#progress")).to_contain_text("2 of 2 done")


def arranged_by_keyboard(page: Page) -> None:
    """Sort and filter the rows; only song9 is unsure."""
    expect(page.locator("#results tr[data-group=unsure]")).to_contain_text("song9.wav")
    assert names(page)[0] == "song9.wav"
    first, sorted_by = page.get_by_role("button", name="Unsure first"), page.locator("#results th[aria-sort]")
    expect(first).to_have_attribute("aria-pressed", "true")
    press(page, "File")
    assert names(page) == ["bad.mp3", "hiss.wav", "song9.wav", "song10.wav"]
    expect(first).to_have_attribute("aria-pressed", "false")
    press(page, "File", "Space")
    assert names(page) == ["song10.wav", "song9.wav", "hiss.wav", "bad.mp3"]
    expect(page.get_by_role("columnheader", name="File")).to_have_attribute("aria-sort", "descending")
    press(page, "Probability")
    assert names(page)[:2] == ["song10.wav", "song9.wav"]  # those without a probability are last
    press(page, "Probability")
    assert names(page)[:2] == ["song9.wav", "song10.wav"]
    expect(sorted_by).to_have_count(1)
    expect(sorted_by).to_have_attribute("aria-sort", "ascending")
    first.press("Enter")
    expect(sorted_by).to_have_count(0)
    assert names(page)[0] == "song9.wav"
    shown = page.get_by_role("group", name="Show")
    every, errors, none = (shown.get_by_role("button", name=name) for name in ("all 4", "errors 1", "no genre 1"))
    errors.press("Space")
    assert names(page) == ["bad.mp3"]
    none.press("Enter")
    assert set(names(page)) == {"bad.mp3", "hiss.wav"}
    expect(page.get_by_text("2 of 4 files are shown.")).to_be_visible()
    assert [one.get_attribute("aria-pressed") for one in (every, errors, none)] == ["false", "true", "true"]
    every.press("Enter")
    assert len(names(page)) == 4
    expect(every).to_have_attribute("aria-pressed", "true")


def played_by_keyboard(page: Page) -> None:
    """Play two rows; one of them sounds at a time."""
    press(page, "Play song9.wav")
    expect(page.get_by_role("button", name="Pause song9.wav")).to_be_focused()
    box = page.get_by_role("button", name="Pause song9.wav").bounding_box()
    assert min(box["width"], box["height"]) >= 24
    assert sounding(page) == ["song9.wav"]
    press(page, "Play song10.wav")
    expect(page.get_by_role("button", name="Pause song10.wav")).to_be_visible()
    expect(page.get_by_role("button", name="Play song9.wav")).to_be_visible()
    assert sounding(page) == ["song10.wav"]
    press(page, "Pause song10.wav", "Space")
    expect(page.get_by_role("button", name="Play song10.wav")).to_be_visible()
    assert sounding(page) == []
    press(page, "Play song10.wav")
    expect(page.get_by_role("button", name="Pause song10.wav")).to_be_visible()


def test_a_folder_of_genre_folders_is_scored_and_a_row_is_collected(page, song, tmp_path):
    for genre in ("jazz", "rock"):
        (tmp_path / "music" / genre).mkdir(parents=True)
        shutil.copyfile(song, tmp_path / "music" / genre / f"{genre} song.wav")
        shutil.copyfile(song, tmp_path / "music" / genre / "same name.wav")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "notes.txt").write_text("no music")
    (tmp_path / "music" / "notes.txt").write_text("no music")
    page.get_by_role("tab", name="Batch").click()
    for folder in ("texts", "music"):
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Choose a folder").click()
        chooser.value.set_files(tmp_path / folder)
        expect(page.locator("#songs-problem")).to_contain_text("hold no audio files" if folder == "texts" else "")
    expect(page.locator("#batch-score .genre")).to_contain_text("of 2")
    expect(page.get_by_label("True genre of same name.wav").first).to_have_value("")  # of which folder is unknown
    matrix = page.locator("#batch-score img")
    expect(matrix).to_have_attribute("alt", re.compile("Confusion matrix"))
    bright = matrix.get_attribute("src")
    page.evaluate("document.body.classList.toggle('dark')")
    expect(matrix).not_to_have_attribute("src", bright)
    truth = page.get_by_label("True genre of rock song.wav")
    expect(truth).to_have_value("rock")
    truth.fill("dub")
    truth.press("Tab")
    expect(page.locator("#batch-score")).to_contain_text("1 more has a genre that the checkpoint does not know.")
    page.get_by_role("button", name="Add rock song.wav to my collection").press("Enter")
    expect(page.locator("#batch-said")).to_contain_text("Added to dub in the collection my-music.")
