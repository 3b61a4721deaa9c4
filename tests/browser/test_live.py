"""Live in Chromium: the answer each second, a start that is not lost, and an end when its tab is left."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.recorder import at_least, live_button, panel
from tests.chromium import errors_of

pytestmark = pytest.mark.browser

# Holds back a step in which gradio's recorder of streams becomes ready.
DELAY = """
    const [post, held] = [Worker.prototype.postMessage, []];
    Worker.prototype.postMessage = function (...values) {
        if (values[0].method === "LATE") held.push(() => post.apply(this, values));
        else post.apply(this, values);
    };
    window.release = () => {
        Worker.prototype.postMessage = post;
        held.forEach((send) => send());
    };
"""
COUNT = """
    window.failures = 0;
    window.addEventListener("unhandledrejection", () => failures++);
"""
FORBID = """
    const ask = MediaDevices.prototype.getUserMedia;
    MediaDevices.prototype.getUserMedia = async function (wanted) {
        if (!window.allowed) throw new DOMException("no", "NotAllowedError");
        return ask.call(this, wanted);
    };
"""
HIDE_STOP = """() => {
    const stop = document.querySelector(".mic-wrap .stop-button");
    stop.classList.replace("stop-button", "hidden-button");
    setTimeout(() => stop.classList.replace("hidden-button", "stop-button"), 700);
}"""

KEEP = """
    const ask = MediaDevices.prototype.getUserMedia;
    window.streams = [];
    MediaDevices.prototype.getUserMedia = async function (wanted) {
        const stream = await ask.call(this, wanted);
        streams.push(stream);
        return stream;
    };
"""


def test_listen_on_a_phone_stops_by_itself(recorder, address):
    with recorder.page(address, width=400) as page:
        errors = errors_of(page)
        page.get_by_role("button", name="Listen", exact=True).click()
        vote = page.locator("#live-vote")
        expect(vote).to_contain_text(re.compile("the last [5-9] s"))
        expect(vote.locator(".bars li")).to_have_count(5)
        expect(page.locator("#live-figure img")).to_have_count(2)
        expect(page.locator("#live-said")).to_have_attribute("aria-live", "polite")
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        expect(vote).to_contain_text("Stopped", timeout=20_000)  # when the answer is sure, or after 15 s
        expect(vote).to_contain_text(re.compile(r"the last ([5-9]|1[0-6]) s"))
        expect(panel(page, "live")).to_contain_text(re.compile("Stopped, because the answer is sure|Stopped after 15 s"))
        expect(panel(page, "live").get_by_role("meter")).to_be_hidden()
        assert errors == []


@pytest.mark.parametrize("late", ["connect", "register"])
def test_record_that_is_pressed_early_is_not_lost(recorder, address, late):
    with recorder.page(address, DELAY.replace("LATE", late), COUNT) as page:
        errors = errors_of(page)
        page.get_by_role("tab", name="Live").click()
        live_button(page, "Record").click()
        page.wait_for_function("failures > 0")
        page.evaluate("release()")
        expect(page.locator("#live-vote")).to_contain_text(re.compile("the last [2-9] s"))
        assert errors == []  # the console does not report a failure that the page has dealt with


def test_live_stops_when_its_tab_is_left_while_a_take_goes_on(recorder, address):
    with recorder.page(address, KEEP) as page:
        page.get_by_role("tab", name="Live").click()
        live_button(page, "Record").click()
        expect(panel(page, "live").locator(".mic-time")).to_have_text(at_least(2))
        expect(page.locator("#live-vote")).to_contain_text("the last")
        page.evaluate(HIDE_STOP)
        page.get_by_role("tab", name="Classify").click()
        page.wait_for_function("streams.every((s) => s.getTracks().every((track) => track.readyState === 'ended'))")
        page.get_by_test_id("waveform-Music").get_by_role("button", name="Record", exact=True).click()
        expect(panel(page).locator(".mic-time")).to_have_text(at_least(1))
        page.get_by_role("tab", name="Live").click()
        expect(panel(page, "live")).to_contain_text("Stopped, because you left this tab")
        expect(panel(page, "live").get_by_role("meter")).to_be_hidden()
        expect(page.locator("#live-vote")).to_contain_text("Stopped")
        expect(live_button(page, "Record")).to_be_visible()
        page.get_by_role("tab", name="Classify").click()
        expect(panel(page).get_by_role("meter")).to_be_visible()
        expect(panel(page).locator(".mic-time")).to_have_text(at_least(2))


def test_a_refused_microphone_can_be_asked_for_again_and_the_keyboard_stops_and_starts_live(recorder, address):
    with recorder.page(address, FORBID) as page:
        page.get_by_role("tab", name="Live").click()
        live_button(page, "Record").click()
        expect(panel(page, "live").get_by_role("alert")).to_contain_text("allow it")
        expect(page.locator(".toast-body")).to_be_visible()  # gradio's, which comes with an overlay over the button
        page.evaluate("window.allowed = true")
        live_button(page, "Record").click()
        expect(panel(page, "live").get_by_role("meter")).to_be_visible()
        expect(panel(page, "live").get_by_role("alert")).to_be_hidden()
        live_button(page, "Stop").focus()
        page.keyboard.press("Space")
        expect(live_button(page, "Record")).to_be_focused()  # gradio drops the focus with the button
        page.keyboard.press("Space")
        expect(live_button(page, "Stop")).to_be_focused()
        expect(page.locator("#live-vote")).to_contain_text(re.compile("the last [2-9] s"))
        page.keyboard.press("Space")
        expect(live_button(page, "Record")).to_be_focused()
        expect(page.locator("#live-vote")).to_contain_text("Stopped")
