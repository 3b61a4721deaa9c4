"""The Classify tab in Chromium, as a visitor uses it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from threading import Event

import pytest
import soundfile
from playwright.sync_api import Page, expect

from genre_app.ui.cards import MEASURES
from genre_app.ui.classify import answers
from genre_app.ui.service import MAX_BYTES
from tests.browser.classify import answered, card, fresh, loaded, player
from tests.browser.recorder import at_least, panel
from tests.chromium import drop, drop_folder

pytestmark = pytest.mark.browser

RATE = 22050


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


def test_a_file_is_answered_without_a_button(shared, song):
    page = shared
    expect(card(page)).to_contain_text("drop a song")
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


def test_a_row_plays_the_clip_from_there(shared, song):
    page = loaded(shared, song)
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


def test_a_click_in_the_figure_plays_from_there_under_a_moving_head(shared, song):
    page = loaded(shared, song)
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


def test_a_new_theme_redraws_the_figure(shared, song):
    page = loaded(shared, song)
    picture = page.locator("img.figure")
    before = picture.get_attribute("src")
    page.evaluate("document.body.classList.toggle('dark')")
    expect(picture).not_to_have_attribute("src", before)


def test_clearing_returns_to_the_first_visit(shared, song):
    page = loaded(shared, song)
    page.get_by_test_id("cell-4-1").click()
    expect(page.locator("#frame-mark style")).not_to_have_count(0)
    player(page, "Clear").click()
    expect(card(page)).to_contain_text("drop a song")
    expect(page.locator("img.figure")).to_have_count(0)
    expect(page.locator("#frame-mark style")).to_have_count(0)


def test_unusable_files_are_explained_in_place(shared, tmp_path):
    page = fresh(shared)
    for name, words in (("text.wav", "not an audio file"), ("notes.txt", "not an audio file"), ("empty.mp3", "empty")):
        path = tmp_path / name
        path.write_text("" if "empty" in name else "I am text. " * 50)
        drop(page, str(path))
        expect(page.get_by_role("alert")).to_contain_text(name)
        expect(page.get_by_role("alert")).to_contain_text(words)
        expect(page.locator("img.figure")).to_have_count(0)
        player(page, "Clear").click()
        expect(page.get_by_role("alert")).to_have_count(0)


def test_a_file_over_the_limit_does_not_travel(shared, tmp_path, song):
    page = fresh(shared)
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


def test_an_upload_that_does_not_arrive_is_told(shared, song):
    page = fresh(shared)
    told = page.locator("#upload-problem")
    for status, words in [(413, "too large"), (502, "error 502"), (0, "Check the connection")]:
        page.route("**/upload**", lambda route, _, status=status: route.fulfill(status=status) if status else route.abort())
        drop(page, song)
        expect(told).to_contain_text(words)
        expect(card(page)).to_contain_text("The file did not arrive.")
        page.unroute("**/upload**")
    answered(page)  # where only the connection failed, the file is sent again
    drop(fresh(page), song)
    answered(page)
    expect(told).to_be_hidden()


def test_an_action_waits_for_a_lost_connection(shared, song):
    page = loaded(shared, song)
    told = page.locator("#upload-problem")
    page.route("**/queue/join**", lambda route: route.abort())
    page.locator("#vote input").first.dispatch_event("click")  # without scrolling the page that tests share
    expect(told).to_contain_text("The connection to the server is lost.")
    page.unroute("**/queue/join**")
    expect(card(page)).to_contain_text("Share of frames won")
    expect(told).to_be_hidden()


def test_a_second_song_is_dropped_anywhere(shared, song, long_song, tmp_path):
    page = loaded(shared, song)
    drop_folder(page, "#figure", str(tmp_path))
    expect(page.get_by_role("alert")).to_contain_text("Folders can be dropped in Batch")
    for path, place in ((long_song, ".top"), (song, "#music"), (long_song, "#figure")):
        drop_anywhere(page, path, place)
        assert page.evaluate("window.overlaid") == "Drop the song anywhere to classify it"
        expect(page.locator("#drop-here")).to_have_count(0)
        expect(card(page)).to_contain_text(Path(path).name)
        expect(card(page)).to_contain_text("agree")
        page.wait_for_function(f"document.querySelector('#music audio').src.endsWith('{Path(path).name}')")
    page.get_by_role("tab", name="Live").click()
    drop_anywhere(page, song)
    expect(page.get_by_role("tab", name="Classify")).to_have_attribute("aria-selected", "true")
    expect(card(page)).to_contain_text("song.wav · 12.0 s")


def test_a_clip_is_answered_while_those_before_are_drawn(shared, song, long_song, monkeypatch):
    page = loaded(shared, song)
    may_draw, draw = Event(), answers.draw
    monkeypatch.setattr(answers, "draw", lambda *given: may_draw.wait(60) and draw(*given))
    try:
        drop_anywhere(page, long_song)
        expect(card(page)).to_contain_text("long.wav ·")
        page.get_by_role("button", name="classical", exact=True).click()
        expect(card(page)).to_contain_text("classical.flac ·")
        drop_anywhere(page, song)
        expect(card(page)).to_contain_text("song.wav ·")
    finally:
        may_draw.set()
    expect(page.get_by_alt_text("song.wav")).to_be_visible()
    expect(card(page)).to_contain_text("song.wav ·")


def test_votes_switch_and_downloads_follow(shared, song, checkpoint):
    page = loaded(shared, song)
    for label, vote in (("Nearest tracks", "knn"), ("Majority", "majority")):
        page.locator("#vote label").filter(has_text=label).click()
        expect(page.locator("#vote")).to_contain_text({"knn": "training tracks", "majority": "wins most"}[vote])
        expect(card(page).locator(".measure")).to_have_text(MEASURES[vote])  # the answer comes after the words about the vote
        with page.expect_download() as download:
            page.get_by_role("button", name="Download JSON").click()
        found = json.loads(Path(download.value.path()).read_text())
        assert found["vote"] == vote
        assert found["file"] == download.value.suggested_filename.replace(".json", ".wav") == "song.wav"
        expect(card(page).locator(".genre")).to_contain_text(found["genre"])


def test_a_long_song_is_summed_up_in_parts_that_play(shared, make_clip, tmp_path):
    page = fresh(shared)
    path = tmp_path / "longer.wav"
    soundfile.write(path, make_clip(240.0, 4, 8000).samples, 8000)
    drop(page, str(path))
    answered(page)
    parts = page.locator("#outline .parts button")
    expect(parts.first).to_contain_text("0:00–")
    start = float(parts.last.get_attribute("data-seconds"))
    parts.last.click()
    playing_from(page, start - 0.1, start + 4)


def test_a_dropped_video_format_is_taken_as_music(shared, song):
    page = fresh(shared)
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


def test_an_example_is_heard_and_answered(shared):
    page = fresh(shared)
    page.get_by_role("button", name="classical", exact=True).click()
    answered(page)
    expect(card(page)).to_contain_text("classical.flac")
    page.wait_for_function("document.querySelector('#music audio').duration > 19")


def test_options_take_effect_at_once(shared, song):
    page = loaded(fresh(shared), song)
    before = page.locator("img.figure").get_attribute("alt")
    page.get_by_text("Options", exact=True).first.click()  # Live, which was opened before, has others
    page.get_by_label("none", exact=True).click()
    expect(page.locator("img.figure")).not_to_have_attribute("alt", before)
    expect(card(page)).to_contain_text("of 4 frames agree")


def test_the_large_buttons_upload_and_record(shared, song):
    page = fresh(shared)
    page.get_by_role("button", name="Record", exact=True).first.click()
    expect(player(page, "Stop")).to_be_visible()
    expect(panel(page).locator(".mic-time")).to_have_text(at_least(4))
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
