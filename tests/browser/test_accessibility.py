"""The page for everybody: keyboard, contrast, size of targets, names and headings."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from genre_app.ui.cards import MEASURES
from tests.browser.classify import loaded

pytestmark = pytest.mark.browser

# Contrast of an element's text with what is behind it (WCAG 2.2). Colours are read from a canvas, which takes every notation.
CONTRAST = """element => {
    const context = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d");
    const rgba = (colour) => {
        context.clearRect(0, 0, 1, 1);
        context.fillStyle = colour;
        context.fillRect(0, 0, 1, 1);
        const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
        return [r, g, b, a / 255];
    };
    const over = (top, below) => [0, 1, 2].map((i) => top[3] * top[i] + (1 - top[3]) * below[i]);
    const layers = [];
    for (let place = element; place; place = place.parentElement) layers.push(rgba(getComputedStyle(place).backgroundColor));
    const behind = layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
    const style = getComputedStyle(element);
    const colour = over(rgba(element.type === "radio" ? style.borderTopColor : style.color), behind);
    const luminance = (rgb) => {
        const [r, g, b] = rgb.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const [low, high] = [luminance(colour), luminance(behind)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
}"""
TEXTS = {
    "selected tab": '[role="tab"][aria-selected="true"]',
    "other tab": '[role="tab"][aria-selected="false"]',
    "primary button": "#record-song",
    "example": ".examples button",
    "subtitle": ".top p",
    "eyebrow": "#final-vote .eyebrow",
    "measure": "#final-vote .measure",
    "small print": "#final-vote .small",
    "vote's information": "#vote .info, #vote [data-testid=block-info] ~ *",
    "vote's label": "#vote label span",
    "remark": "#outline .remark",
    "table's head": "#frames th",
}


# Puts a link on the page, and a bar of the Train tab. The bar's colour becomes the text of its track, and
# the track's becomes that of the cell around it.
ADDED = """() => {
    const bar = '<table class="counts"><tr><td><span class="track"><span class="bar"></span></span></td></tr></table>';
    const link = '<a class="link" style="color: var(--link-text-color)">song.wav</a>';
    document.querySelector("#final-vote .card").insertAdjacentHTML("beforeend", link + bar);
    for (const place of document.querySelectorAll("#final-vote :is(td, .counts .track)"))
        place.style.color = getComputedStyle(place.firstChild).backgroundColor;
}"""


def contrasts(page: Page) -> None:
    """Check the contrast of a page with an answered clip."""
    found = {name: page.locator(selector).first.evaluate(CONTRAST) for name, selector in TEXTS.items()}
    assert {name: round(contrast, 2) for name, contrast in found.items() if contrast < 4.5} == {}
    # Not text: 3 is enough (WCAG 1.4.11).
    assert page.locator("#vote input:not(:checked)").first.evaluate(CONTRAST) >= 3
    page.evaluate(ADDED)
    assert page.locator("#final-vote .link").evaluate(CONTRAST) >= 4.5
    assert page.locator("#final-vote .counts .track").evaluate(CONTRAST) >= 3
    assert page.locator("#final-vote td").evaluate(CONTRAST) >= 1.2, "the track can be seen"


def too_small(page: Page) -> list[str]:
    return page.evaluate(
        """() => [...document.querySelectorAll("button, a, input, select, [role=tab], audio")]
            .map((element) => element.closest("label") ?? element)
            .filter((element) => element.offsetParent && getComputedStyle(element).visibility === "visible")
            .filter((element) => !element.closest("footer, table"))
            .map((element) => [element, element.getBoundingClientRect()])
            .filter(([, box]) => box.width > 1 && box.height > 1 && (box.width < 24 || box.height < 24))
            .map(([element, box]) => `${element.outerHTML.slice(0, 120)} ${box.width}x${box.height}`)"""
    )


def names(page: Page) -> list[str]:
    return page.evaluate(
        """() => [...document.querySelectorAll("main *")].filter((element) => element.offsetParent)
            .map((element) => element.getAttribute("aria-label")).filter(Boolean)"""
    )


def test_targets_are_large_enough_and_everything_has_a_sane_name(shared, song):
    page, before = shared, names(shared)
    assert too_small(page) == []
    loaded(page, song)
    for name in {*before, *names(page)}:
        assert not name.startswith("common."), name
        assert "000" not in name, name  # "Skip backwards by 1.5000666 seconds"
    for level, heading in ((1, "Genre app"), (2, "Final vote"), (2, "Frames")):
        expect(page.get_by_role("heading", name=heading, level=level)).to_be_visible()
    assert page.evaluate("[...document.querySelectorAll('main span')].filter((e) => e.textContent === 'Error').length") == 0
    page.get_by_text("Options", exact=True).click()
    expect(page.locator("#overlap")).to_be_visible()
    assert too_small(page) == []
    for name in ("Remove default", "Remove all"):
        assert min(page.get_by_role("button", name=name).last.bounding_box()[side] for side in ("width", "height")) >= 24


def test_text_stands_out(shared, song):
    contrasts(loaded(shared, song))


def test_text_stands_out_in_the_dark(visit, song):
    page = loaded(visit("dark"), song)
    contrasts(page)
    # The system is light; what it draws beside the page and the browser's own controls are dark too.
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(10, 15, 30)"


def test_arrows_move_between_tabs_and_radios(shared, song):
    page = shared
    page.get_by_role("tab", name="Classify").focus()
    for key, name in (("ArrowRight", "Live"), ("ArrowRight", "Batch"), ("ArrowLeft", "Live"), ("ArrowLeft", "Classify")):
        page.keyboard.press(key)
        expect(page.get_by_role("tab", name=name)).to_have_attribute("aria-selected", "true")
        expect(page.get_by_role("tab", name=name)).to_be_focused()
    loaded(page, song)
    page.locator("#vote input:checked").focus()
    page.keyboard.press("ArrowDown")
    chosen = page.locator("#vote input:checked")
    expect(chosen).to_have_value("geometric")
    expect(page.locator("#final-vote .measure")).to_contain_text("Geometric mean")
    outline = page.locator("#vote label:has(input:checked)").evaluate("label => getComputedStyle(label).outlineWidth")
    assert float(outline.removesuffix("px")) >= 2
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")  # before the answer to the first press
    expect(page.locator("#final-vote .measure")).to_have_text(MEASURES["majority"])
    expect(chosen).to_have_value("majority")


def test_the_tab_key_closes_a_list_of_choices(shared):
    page = shared
    page.get_by_role("tab", name="Batch").click()
    for name in ("Checkpoint", "Vote"):  # of several choices, and of one
        page.get_by_role("combobox", name=name).locator("visible=true").focus()
        expect(page.locator(".option-list, ul.options")).to_have_count(1)
        page.keyboard.press("Tab")
        expect(page.locator(".option-list, ul.options")).to_have_count(0)


def test_targets_are_large_enough_on_a_phone(phone, long_song):
    assert too_small(phone) == []
    loaded(phone, long_song)
    phone.get_by_text("Options", exact=True).click()
    expect(phone.locator("#overlap")).to_be_visible()
    assert too_small(phone) == []
    phone.get_by_text("Options", exact=True).click()
    expect(phone.locator("#overlap")).to_be_hidden()


def test_high_contrast_shows_what_is_chosen_and_how_probable_it_is(shared, song):
    shared.get_by_role("tab", name="Classify").click()
    page = loaded(shared, song)
    style = "([place, name]) => getComputedStyle(document.querySelector(place))[name]"
    page.emulate_media(forced_colors="active")
    try:
        assert page.evaluate(style, ["#vote input", "appearance"]) == "auto"
        assert page.evaluate(style, ["[role=tab][aria-selected=true]", "borderBottomWidth"]) == "3px"
        ink = page.evaluate(style, ["#final-vote", "color"])
        assert page.evaluate(style, ["#final-vote .bar", "backgroundColor"]) == ink
    finally:
        page.emulate_media(forced_colors="none")


def test_nothing_moves_for_visitors_who_ask_for_it(shared):
    shared.emulate_media(reduced_motion="reduce")
    moves = """async () => {
        genreApp.say("Final vote", "Classifying …");
        const words = Object.assign(document.querySelector("#final-vote p"), { className: "quiet" });
        let how;
        words.scrollIntoView = ({ behavior }) => (how = behavior);
        await genreApp.show("#final-vote p");
        return [getComputedStyle(words).animationName, how];
    }"""
    shared.get_by_role("tab", name="Classify").click()
    assert shared.evaluate(moves) == ["none", "instant"]
    shared.emulate_media(reduced_motion="no-preference")
    assert shared.evaluate(moves) == ["breathe", "smooth"]
