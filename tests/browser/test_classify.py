"""The page in Chromium, as a visitor uses it."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Page, expect

from genre_app.ui.service import MAX_BYTES
from tests import chromium
from tests.chromium import drop

pytestmark = pytest.mark.browser

RATE = 22050


@pytest.fixture(scope="module")
def song(make_clip, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("browser") / "song.wav"
    soundfile.write(path, make_clip(12.0).samples, RATE)
    return str(path)


@pytest.fixture(scope="module")
def long_song(make_clip, tmp_path_factory) -> str:
    """A song with more frames than the table shows at once."""
    path = tmp_path_factory.mktemp("browser") / "long.wav"
    soundfile.write(path, make_clip(30.0).samples, RATE)
    return str(path)


def microphone(path: str | Path) -> tuple[str, str]:
    """Arguments for a Chromium that hears a file."""
    return "--use-fake-device-for-media-stream", f"--use-file-for-fake-audio-capture={path}"


@pytest.fixture(scope="module")
def browser(playwright, song):
    browser = chromium.launch(playwright, *microphone(song))
    yield browser
    browser.close()


@pytest.fixture
def page(browser, address):
    """A first visit, with the microphone allowed; whatever goes to another host fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, permissions=["microphone"])
    page = context.new_page()
    elsewhere: list[str] = []
    page.on("request", lambda r: elsewhere.append(r.url) if not r.url.startswith((address, "blob:", "data:")) else None)
    page.goto(address)
    expect(page.get_by_test_id("waveform-Music").get_by_test_id("file-upload")).to_be_attached()
    yield page
    context.close()
    assert elsewhere == []


def player(page: Page, name: str):
    return page.get_by_test_id("waveform-Music").get_by_role("button", name=name, exact=True)


def playing_from(page: Page, low: float, high: float) -> None:
    """Wait until the clip plays at a time between these seconds."""
    page.wait_for_function(
        "([low, high]) => { const { paused, currentTime } = document.querySelector('#music audio');"
        " return !paused && currentTime >= low && currentTime < high; }",
        arg=[low, high],
    )


def drop_anywhere(page: Page, path: str, place: str = ".top") -> None:
    """Drag a file over a place of the page and let it fall there."""
    page.evaluate(
        """([base64, name, place]) => {
            const passed = new DataTransfer();
            const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
            passed.items.add(new File([bytes], name, { type: "audio/wav" }));
            for (const kind of ["dragenter", "dragover", "drop"]) {
                const event = new DragEvent(kind, { dataTransfer: passed, bubbles: true, cancelable: true });
                const opens = document.querySelector(place).dispatchEvent(event);
                if (opens) throw new Error(`the browser opens the file on ${kind}`);
                if (kind === "dragover") window.overlaid = document.querySelector("#drop-here")?.textContent;
            }
        }""",
        [base64.b64encode(Path(path).read_bytes()).decode(), Path(path).name, place],
    )


def card(page: Page):
    return page.locator("#final-vote .card")


def answered(page: Page) -> None:
    expect(page.locator("img.figure")).to_be_visible(timeout=15_000)
    expect(card(page)).to_contain_text("agree")


def test_a_file_is_answered_without_a_button(page, song):
    expect(card(page)).to_contain_text("Drop a song")
    drop(page, song)
    answered(page)
    expect(card(page)).to_contain_text("song.wav · 12.0 s")
    expect(card(page).locator(".bars li")).to_have_count(5)
    expect(page.locator("#vote label")).to_have_count(4)
    picture = page.locator("img.figure")
    assert picture.evaluate("image => image.naturalWidth") == pytest.approx(picture.bounding_box()["width"], abs=2)
    # Everything that was asked for is seen without scrolling.
    for place in (card(page), picture):
        box = place.bounding_box()
        assert box["y"] + box["height"] <= 800


def test_the_microphone_is_answered_when_it_stops(page):
    player(page, "Record audio").click()
    player(page, "Record").click()
    page.wait_for_timeout(4000)
    player(page, "Stop").click()
    answered(page)
    expect(card(page)).to_contain_text("your recording")  # and not that it is silent


def test_a_silent_take_is_explained(address, playwright, tmp_path):
    soundfile.write(tmp_path / "silence.wav", np.zeros(5 * RATE), RATE)
    browser = chromium.launch(playwright, *microphone(tmp_path / "silence.wav"))
    page = browser.new_context(permissions=["microphone"]).new_page()
    page.goto(address)
    player(page, "Record audio").click()
    player(page, "Record").click()
    page.wait_for_timeout(2000)
    player(page, "Stop").click()
    expect(page.get_by_role("alert")).to_contain_text("your recording: no sound to classify")
    browser.close()


def test_a_refused_microphone_is_explained(browser, address):
    context = browser.new_context()
    page = context.new_page()
    page.goto(address)
    denied = {"permission": {"name": "microphone"}, "setting": "denied", "origin": address}
    context.new_cdp_session(page).send("Browser.setPermission", denied)
    player(page, "Record audio").click()
    player(page, "Record").click()
    expect(page.get_by_role("alert")).to_contain_text("does not let this page use the microphone")
    context.close()


def test_votes_switch_and_downloads_follow(page, song, checkpoint):
    drop(page, song)
    answered(page)
    for label, vote in (("Nearest tracks", "knn"), ("Majority", "majority")):
        page.locator("#vote label").filter(has_text=label).click()
        expect(page.locator("#vote")).to_contain_text({"knn": "training tracks", "majority": "wins most"}[vote])
        with page.expect_download() as download:
            page.get_by_role("button", name="Download JSON").click()
        found = json.loads(Path(download.value.path()).read_text())
        assert found["vote"] == vote
        assert found["file"] == download.value.suggested_filename.replace(".json", ".wav") == "song.wav"
        expect(card(page).locator(".genre")).to_contain_text(found["genre"])


def test_a_row_plays_the_clip_from_there(page, song):
    drop(page, song)
    answered(page)
    page.get_by_test_id("cell-4-1").click()
    start = float(page.get_by_test_id("cell-4-1").inner_text().removesuffix(" s"))
    playing_from(page, start, start + 3)
    # The frame is marked, also in the figure, until there is another clip.
    page.mouse.move(0, 0)
    colours = [
        page.get_by_test_id(f"cell-{row}-1").evaluate("cell => getComputedStyle(cell).backgroundColor") for row in (3, 4, 5)
    ]
    assert colours[1] not in (colours[0], colours[2])
    mark, picture = page.locator("#figure i").bounding_box(), page.locator("img.figure").bounding_box()
    assert picture["x"] + picture["width"] * start / 12 < mark["x"] < picture["x"] + picture["width"] * (start + 1.5) / 12


def test_a_click_in_the_figure_plays_from_there_under_a_moving_head(page, song):
    drop(page, song)
    answered(page)
    axis = page.locator("#figure .time-axis")
    box = axis.bounding_box()
    axis.click(position={"x": box["width"] / 3, "y": 20})
    playing_from(page, 3.9, 7)
    head = page.locator("#figure .playhead")
    first = head.bounding_box()["x"]
    assert first == pytest.approx(box["x"] + box["width"] / 3, abs=box["width"] / 6)
    page.wait_for_function("x => document.querySelector('#figure .playhead').getBoundingClientRect().x > x + 3", arg=first)
    # Where the player is moved by its own controls, the head follows.
    page.evaluate("() => { const audio = document.querySelector('#music audio'); audio.pause(); audio.currentTime = 9; }")
    page.wait_for_function(
        "x => Math.abs(document.querySelector('#figure .playhead').getBoundingClientRect().x - x) < 3",
        arg=box["x"] + 0.75 * box["width"],
    )


def test_a_second_song_is_dropped_anywhere(page, song, long_song):
    drop(page, song)
    answered(page)
    for path, place in ((long_song, ".top"), (song, "#music"), (long_song, "#figure")):
        drop_anywhere(page, path, place)
        assert page.evaluate("window.overlaid") == "Drop the song anywhere"
        expect(page.locator("#drop-here")).to_have_count(0)
        expect(card(page)).to_contain_text(Path(path).name)
        expect(card(page)).to_contain_text("agree")
        page.wait_for_function(f"document.querySelector('#music audio').src.endsWith('{Path(path).name}')")
    page.get_by_role("tab", name="Live").click()
    drop_anywhere(page, song)
    expect(page.get_by_role("tab", name="Classify")).to_have_attribute("aria-selected", "true")
    expect(card(page)).to_contain_text("song.wav · 12.0 s")


def test_the_large_buttons_upload_and_record(page, song):
    page.get_by_role("button", name="Record", exact=True).first.click()
    expect(player(page, "Stop")).to_be_visible()
    page.wait_for_timeout(3000)
    player(page, "Stop").click()
    answered(page)
    expect(card(page)).to_contain_text("your recording")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Upload a song").click()
    chooser.value.set_files(song)
    expect(card(page)).to_contain_text("song.wav · 12.0 s")
    # With a clip loaded, Record begins at once too.
    page.get_by_role("button", name="Record", exact=True).first.click()
    expect(player(page, "Stop")).to_be_visible()
    player(page, "Stop").click()


def test_options_take_effect_at_once(page, song):
    drop(page, song)
    answered(page)
    before = page.locator("img.figure").get_attribute("alt")
    page.get_by_text("Options", exact=True).click()
    page.get_by_label("none", exact=True).click()
    expect(page.locator("img.figure")).not_to_have_attribute("alt", before)
    expect(card(page)).to_contain_text("of 4 frames agree")


def test_a_new_theme_redraws_the_figure(page, song):
    drop(page, song)
    answered(page)
    picture = page.locator("img.figure")
    before = picture.get_attribute("src")
    page.evaluate("document.body.classList.toggle('dark')")
    expect(picture).not_to_have_attribute("src", before)


def test_a_long_song_is_summed_up_in_parts_that_play(page, make_clip, tmp_path):
    path = tmp_path / "longer.wav"
    soundfile.write(path, make_clip(240.0, 4, 8000).samples, 8000)
    drop(page, str(path))
    answered(page)
    parts = page.locator("#outline .parts button")
    expect(parts.first).to_contain_text("0:00–")
    start = float(parts.last.get_attribute("data-seconds"))
    parts.last.click()
    playing_from(page, start - 0.1, start + 4)


def test_the_player_stays_in_sight_on_a_phone(browser, address, long_song):
    context = browser.new_context(viewport={"width": 400, "height": 700})
    page = context.new_page()
    page.goto(address)
    drop(page, long_song)
    answered(page)
    page.get_by_test_id("cell-12-1").scroll_into_view_if_needed()
    page.get_by_test_id("cell-12-1").click()
    audio = page.locator("#music audio").bounding_box()
    assert audio["y"] >= 0
    assert audio["y"] + audio["height"] <= 700
    context.close()


@pytest.mark.parametrize(
    ("name", "words"), [("text.wav", "not an audio file"), ("notes.txt", "not an audio file"), ("empty.mp3", "empty")]
)
def test_unusable_files_are_explained_in_place(page, tmp_path, name, words):
    path = tmp_path / name
    path.write_text("" if "empty" in name else "I am text. " * 50)
    drop(page, str(path))
    expect(page.get_by_role("alert")).to_contain_text(words)
    expect(page.get_by_role("alert")).to_contain_text(name)
    expect(page.locator("img.figure")).to_have_count(0)


def test_a_file_over_the_limit_does_not_travel(page, tmp_path, song):
    path = tmp_path / "large.wav"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if "/upload" in request.url else None)
    drop(page, str(path))
    expect(page.get_by_role("alert")).to_contain_text("more than the 100 MB")
    assert sent == []
    drop(page, song)  # and the page goes on
    answered(page)


def test_a_dropped_video_format_is_taken_as_music(page, song):
    page.evaluate(
        """(base64) => {
            const passed = new DataTransfer();
            const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
            passed.items.add(new File([bytes], "dropped.mp4", { type: "video/mp4" }));
            const target = document.querySelector("#music button");
            target.dispatchEvent(new DragEvent("drop", { dataTransfer: passed, bubbles: true, cancelable: true }));
        }""",
        base64.b64encode(Path(song).read_bytes()).decode(),
    )
    answered(page)
    expect(card(page)).to_contain_text("dropped.mp4")


def test_clearing_returns_to_the_first_visit(page, song):
    drop(page, song)
    answered(page)
    page.get_by_test_id("cell-4-1").click()
    expect(page.locator("#frame-mark style")).not_to_have_count(0)
    player(page, "Clear").click()
    expect(card(page)).to_contain_text("Drop a song")
    expect(page.locator("img.figure")).to_have_count(0)
    expect(page.locator("#frame-mark style")).to_have_count(0)


def test_an_example_is_heard_and_answered(page):
    page.get_by_role("button", name="classical", exact=True).click()
    answered(page)
    expect(card(page)).to_contain_text("classical.flac")
    page.wait_for_function("document.querySelector('#music audio').duration > 19")


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


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_phone_shows_everything_within_its_width(browser, address, long_song, theme):
    context = browser.new_context(viewport={"width": 400, "height": 800}, device_scale_factor=2)
    page = context.new_page()
    page.goto(f"{address}?__theme={theme}")
    drop(page, long_song)
    answered(page)
    expect(page.get_by_test_id("cell-1-1")).to_be_visible()
    for _ in range(20):  # a table that measures itself can make a page swing between two widths
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        page.wait_for_timeout(50)
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
    context.close()
