"""Teaching in Chromium, from the first genre to a model that is used; and visitors of a public page stay apart."""

from __future__ import annotations

import re

import pytest
import soundfile
from playwright.sync_api import Page, expect

from tests.browser.classify import card as answer
from tests.browser.collecting import (
    GENRES,
    WIDEST,
    add_genres,
    card,
    chips,
    choose_files,
    drop_files,
    open_tab,
    press,
    reach,
    record,
    said,
)
from tests.browser.recorder import live_button
from tests.browser.test_accessibility import CONTRAST
from tests.chromium import drop, errors_of
from tests.conftest import GENRES as KNOWN
from tests.teaching.music import RATE, sound

pytestmark = pytest.mark.browser

SLOW = 120_000  # milliseconds; teaching a few clips takes seconds
KINDS = dict(zip(GENRES, ("clicks", "high", "low"), strict=True))
COUNTS = {"bossa nova": 4, "dub": 4, "my band": 3}
N_CLIPS = sum(COUNTS.values())
TEXTS = (".genre-card .size", ".chips .play", ".chips .play i", ".ask .danger", ".genre-card .take", ".collect-sum")
FOCUSED = "document.activeElement.dataset.play"
SMALL = """() => [...document.querySelectorAll(".collect button, .collect input, .collect label.none")]
    .map((element) => element.closest("label") ?? element).map((element) => element.getBoundingClientRect())
    .filter(({ width, height }) => width < 24 || height < 24).length"""


@pytest.fixture
def files(tmp_path) -> dict[str, list[str]]:
    """Paths of two files for each genre."""
    paths: dict[str, list[str]] = {}
    for genre, kind in KINDS.items():
        paths[genre] = [str(tmp_path / f"{kind} {seed}.wav") for seed in (1, 2)]
        for seed, path in enumerate(paths[genre], 1):
            soundfile.write(path, sound(kind, seed), RATE)
    return paths


def test_genres_are_taught_with_the_keyboard_on_a_phone_and_found_again(visit, recorder, fresh, files, make_clip):
    page = visit("dark", width=400, height=800)
    failures = errors_of(page)
    press(page.get_by_role("tab", name="Collect"))
    expect(page.locator(".collect-sum")).to_contain_text("Add your first genre")
    add_genres(page, *GENRES)
    record_clips(page, recorder)
    add_files(page, files)
    before = correct_the_answer(page, files["my band"][0])
    assert before <= set(KNOWN)
    draw_the_map(page)
    teach_and_compare(page)
    use_in_classify(page)
    recorder.play(make_clip(12.0, 3).samples, RATE)
    use_in_live(page)
    # After a reload, everything is there.
    press(page.get_by_role("tab", name="Collect"))
    press(card(page, "dub").get_by_label("None of these"), "Space")
    expect(said(page)).to_contain_text("What sounds like dub gets no genre.")
    page.reload()
    press(page.get_by_role("tab", name="Collect"))
    expect(card(page, "dub").get_by_label("None of these")).to_be_checked()
    expect(page.locator("#taught")).to_contain_text(re.compile(rf"\d+ of {N_CLIPS} right"))
    for genre, count in COUNTS.items():
        expect(chips(page, genre)).to_have_count(count)
    expect(chips(page, "my band").first).to_contain_text("≠")
    assert page.evaluate(WIDEST) <= 400
    train_longer(page)
    assert not failures, "\n".join(failures)


def record_clips(page: Page, recorder) -> None:
    """Record two clips for each genre, each of other music."""
    for genre, kind in KINDS.items():
        for seed in (3, 4):
            recorder.play(sound(kind, seed), RATE)
            record(page, genre)
            expect(said(page)).to_contain_text(f"to {genre}. 6 s or more is better.")
        expect(chips(page, genre)).to_have_count(2)


def add_files(page: Page, files: dict[str, list[str]]) -> None:
    """Drop two files on a card, and choose two for another one."""
    drop_files(page, "bossa nova", files["bossa nova"])
    expect(said(page)).to_contain_text("Added 2 clips to bossa nova.")
    choose_files(page, "dub", files["dub"])
    expect(said(page)).to_contain_text("Added 2 clips to dub.")
    expect(page.get_by_role("button", name="Add files to dub")).to_be_focused()


def correct_the_answer(page: Page, path: str) -> set[str]:
    """Load a song in Classify, and say which genre it is; return the genres that the answer knew."""
    press(page.get_by_role("tab", name="Classify"))
    with page.expect_file_chooser() as chooser:
        press(page.get_by_role("button", name="Upload a song"))
    chooser.value.set_files(path)
    row = page.locator("#correct-classify")
    reach(row.get_by_label("Not right?"))
    page.keyboard.type("my band")
    press(row.get_by_role("button", name="Add to my collection"))
    expect(row).to_contain_text("Added to my band in the collection my-music.")
    assert page.evaluate(WIDEST) <= 400
    known = {*answer(page).locator(".bars .name").all_inner_texts()}
    press(page.get_by_role("tab", name="Collect"))
    expect(chips(page, "my band")).to_have_count(COUNTS["my band"])
    expect(chips(page, "my band").first).to_contain_text("≠")
    press(chips(page, "my band").first.get_by_role("button", name="Move or delete"))
    assert page.evaluate(WIDEST) <= 400
    assert page.evaluate(SMALL) == 0
    found = {text: page.locator(text).first.evaluate(CONTRAST) for text in TEXTS}
    assert {text: round(contrast, 2) for text, contrast in found.items() if contrast < 4.5} == {}
    page.keyboard.press("Escape")
    return known


def teach_and_compare(page: Page) -> None:
    """Teach; the model knows the genres better than the default one did."""
    press(page.locator("#teach"))
    result = page.locator("#taught")
    expect(result).to_contain_text(f"before: 0 of {N_CLIPS}", timeout=SLOW)
    right = re.search(rf"(\d+) of {N_CLIPS} right", result.inner_text())
    assert right is not None
    assert int(right[1]) > N_CLIPS / len(GENRES), "no better than chance"


def draw_the_map(page: Page) -> None:
    press(page.locator("#draw-map"))
    marks = page.locator(".clip-map .clip")
    expect(marks).to_have_count(N_CLIPS, timeout=SLOW)
    reach(marks.first)
    for back, forth in (("ArrowLeft", "ArrowRight"), ("ArrowUp", "ArrowDown")):
        for _ in range(10):
            page.keyboard.press(back)
        reached = [page.evaluate(FOCUSED)]
        for _ in range(10):
            page.keyboard.press(forth)
            reached.append(page.evaluate(FOCUSED))
        assert len({*reached} - {None}) == N_CLIPS, f"{forth} leads to all marks"
    expect(page.locator(".map-said")).to_have_text(page.locator(".clip:focus title").text_content())
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('#teach-player audio')?.paused === false")
    expect(page.locator("#teach-player")).to_be_visible()
    assert page.evaluate(WIDEST) <= 400
    page.keyboard.press("Tab")
    expect(page.locator(".clip:focus")).to_have_count(0)  # the map is one stop


def use_in_classify(page: Page) -> None:
    """Use the model in Classify; the loaded song is answered again."""
    press(page.get_by_role("button", name="Use in Classify and Live"))
    expect(page.get_by_role("tab", name="Classify")).to_have_attribute("aria-selected", "true")
    expect(answer(page)).to_contain_text("taught: my-music")
    assert {*answer(page).locator(".bars .name").all_inner_texts()} == {*GENRES}
    assert page.evaluate(WIDEST) <= 400


def use_in_live(page: Page) -> None:
    """Listen with the model."""
    press(page.get_by_role("tab", name="Live"))
    press(live_button(page, "Record"), "Space")
    names = page.locator("#live-vote .bars .name")
    expect(names).to_have_count(3)
    assert {*names.all_inner_texts()} == {*GENRES}
    press(live_button(page, "Stop"), "Space")
    expect(page.locator("#live-vote")).to_contain_text("Stopped")
    assert page.evaluate(WIDEST) <= 400


def train_longer(page: Page) -> None:
    """Open Train, which is filled with the collection, the recipe for fine-tuning and the shipped checkpoint."""
    press(page.get_by_role("button", name="Train longer"))
    expect(page.get_by_role("tab", name="Train")).to_have_attribute("aria-selected", "true")
    command = page.locator("#train-command textarea")
    expect(command).to_have_value(re.compile(r"genre-app train transfer --data \S+/my-music --init-from default"))
    expect(page.locator("#train-source textarea, #train-source input")).to_have_value(re.compile(r"/my-music$"))
    assert page.evaluate(WIDEST) <= 400


def test_two_visitors_of_a_public_page_see_nothing_of_each_other(visit, fresh, files, monkeypatch, tmp_path):
    monkeypatch.setenv("SPACE_ID", "someone/space")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    one, two = visit(), visit()
    open_tab(one)
    expect(one.locator("#collect-intro")).to_contain_text("only you see it")
    add_genres(one, "dub", "my band")
    for genre in ("dub", "my band"):
        choose_files(one, genre, files[genre])
        expect(chips(one, genre)).to_have_count(2)
    one.locator("#teach").click()
    expect(one.locator("#taught")).to_contain_text("before: 0 of 4", timeout=SLOW)
    one.get_by_role("button", name="Use in Classify and Live").click()
    drop(one, files["dub"][0])
    expect(answer(one)).to_contain_text("yours: taught.safetensors")
    assert {*answer(one).locator(".bars .name").all_inner_texts()} == {"dub", "my band"}
    # The other visitor has no collection and no model.
    open_tab(two)
    expect(two.locator(".collect-sum")).to_contain_text("Add your first genre")
    expect(card(two, "dub")).to_have_count(0)
    two.locator("#teach").click()
    expect(two.locator("#teach-status")).to_contain_text("no clips yet")
    expect(two.locator("#taught")).to_be_hidden()
    # Neither the answer, nor the genres and checkpoints that are offered, are those of the first one.
    two.get_by_role("tab", name="Classify").click()
    expect(answer(two)).to_contain_text("drop a song")
    drop(two, files["dub"][0])
    expect(answer(two).locator(".bars .name").first).to_be_visible()
    assert {*answer(two).locator(".bars .name").all_inner_texts()} <= {*KNOWN}
    two.locator("#correct-classify").get_by_label("Not right?").click()
    offered = two.get_by_role("option")
    expect(offered).to_have_count(len(KNOWN))
    assert {*offered.all_inner_texts()} == {*KNOWN}
    two.keyboard.press("Escape")
    two.get_by_text("Options", exact=True).click()
    two.get_by_label("Checkpoint").click()
    expect(offered.first).to_be_visible()
    assert not re.search("taught|yours", "".join(offered.all_inner_texts()))
