"""The microphone in Chromium: it leaves music as it is, and a visitor is told what they have to know."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Browser, Page, expect

from genre_app.features.noise import MOST_VARIATION
from genre_app.ui.microphone import script
from genre_app.ui.service import MAX_BYTES
from tests import chromium
from tests.browser.test_browser import answered, card, microphone, player

pytestmark = pytest.mark.browser

RATE = 48000
OCTAVES_HZ = (63, 125, 250, 500, 1000, 2000, 4000, 8000)
PROCESSING = ("echoCancellation", "noiseSuppression", "autoGainControl")

# The browser's own microphone, before the page's script comes: what the page gets is kept, and may be made to fail or to lie.
KEEP = """
    const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (wanted) => {
        [window.wanted, window.stream] = [wanted, await ask(wanted)];
        return stream;
    };
"""
REFUSE = """
    navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("none", "NotFoundError"); };
"""
FORBID = """
    const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (wanted) => {
        if (!window.allowed) throw new DOMException("no", "NotAllowedError");
        return ask(wanted);
    };
"""
DISOBEY = """
    MediaStreamTrack.prototype.getSettings = () => ({ echoCancellation: true, noiseSuppression: false, autoGainControl: true });
"""


@contextmanager
def heard_by(playwright, samples: np.ndarray, folder: Path, rate: int = RATE) -> Iterator[Browser]:
    """A Chromium whose microphone hears these samples, over and over."""
    path = folder / "played.wav"
    soundfile.write(path, samples, rate, subtype="PCM_16")
    browser = chromium.launch(playwright, *microphone(path))
    try:
        yield browser
    finally:
        browser.close()


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    """One second of pink noise that goes on without a seam when it is repeated, so that any second of it has its spectrum."""
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(RATE))
    spectrum /= np.sqrt(np.maximum(np.fft.rfftfreq(RATE, 1 / RATE), 20.0))
    samples = np.fft.irfft(spectrum, RATE)
    return 0.5 * samples / np.abs(samples).max()


@pytest.fixture(scope="module")
def browser(playwright, noise, tmp_path_factory) -> Iterator[Browser]:
    with heard_by(playwright, noise, tmp_path_factory.mktemp("microphone")) as browser:
        yield browser


@contextmanager
def opened(browser: Browser, address: str, *scripts: str, allowed: bool = True) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, permissions=["microphone"] if allowed else [])
    page = context.new_page()
    for text in scripts:
        page.add_init_script(text)
    page.goto(address)
    if not allowed:
        denied = {"permission": {"name": "microphone"}, "setting": "denied", "origin": address}
        context.new_cdp_session(page).send("Browser.setPermission", denied)
    player(page, "Record audio").click()
    yield page
    context.close()


def panel(page: Page, recorder: str = "music"):
    return page.locator(f"#{recorder}-microphone")


def record(page: Page, seconds: float) -> np.ndarray:
    """Record, and return what reached the server: float [n, channels]."""
    player(page, "Record").click()
    page.wait_for_timeout(1000 * seconds)
    with page.expect_response(lambda response: response.url.split("?")[0].endswith("/upload")) as answer:
        player(page, "Stop").click()
    (path,) = answer.value.json()
    samples, rate = soundfile.read(path, always_2d=True)
    assert rate == 44100
    return samples


def octaves_db(samples: np.ndarray, rate: int) -> np.ndarray:
    """Level of each octave in samples [n] that hold a whole number of seconds."""
    power = np.abs(np.fft.rfft(samples)) ** 2 / len(samples) ** 2
    hertz = np.fft.rfftfreq(len(samples), 1 / rate)
    return np.array([10 * np.log10(power[(hertz >= f / 2**0.5) & (hertz < f * 2**0.5)].sum()) for f in OCTAVES_HZ])


def test_music_arrives_as_it_was_played(browser, address, noise):
    with opened(browser, address, KEEP) as page:
        samples = record(page, 4.5)
        settings = page.evaluate("genreMicrophone.settings()")
        assert [settings[name] for name in PROCESSING] == [False, False, False]
        assert [page.evaluate("wanted.audio")[name] for name in PROCESSING] == [False, False, False]
        middle = samples[round(1.5 * 44100) :][: 2 * 44100].mean(axis=1)
        off = octaves_db(middle, 44100) - octaves_db(noise, RATE)
        assert np.abs(off).max() < 1.5, off.round(1)
        assert np.ptp(off) < 0.5  # and no codec on the way either
        # Pink noise is no music.
        expect(page.get_by_role("alert")).to_contain_text("I hear no music")
        expect(page.locator("img.figure")).to_have_count(0)
        page.get_by_role("button", name="Classify again").first.click()  # asking twice does not help
        expect(page.get_by_role("alert")).to_contain_text("I hear no music")


def test_the_switch_is_remembered_and_obeyed(browser, address):
    with opened(browser, address) as page:
        expect(panel(page)).to_contain_text("leaves the sound as it is")
        expect(panel(page)).to_contain_text("A change acts on the next recording")
        panel(page).get_by_label("Speech").check()
        expect(panel(page)).to_contain_text("as for a telephone call")
        page.reload()
        player(page, "Record audio").click()
        expect(panel(page).get_by_label("Speech")).to_be_checked()
        page.get_by_role("tab", name="Live").click()
        expect(panel(page, "live").get_by_label("Speech")).to_be_checked()
        page.get_by_role("tab", name="Classify").click()
        player(page, "Record").click()
        page.wait_for_function("genreMicrophone.settings()")
        settings = page.evaluate("genreMicrophone.settings()")
        assert [settings[name] for name in PROCESSING] == [True, True, True]
        page.wait_for_timeout(4000)
        player(page, "Stop").click()
        expect(page.get_by_role("alert")).to_contain_text("I hear no music")  # nor in what the browser has left of the noise


def test_silence_clipping_and_time_are_told_while_it_records(playwright, address, tmp_path):
    beat = np.sign(np.sin(2 * np.pi * 220 * np.arange(3 * RATE) / RATE)) * (np.arange(3 * RATE) % 12000 < 8000)
    with (
        heard_by(playwright, np.concatenate([np.zeros(4 * RATE), beat]), tmp_path) as browser,
        opened(browser, address) as page,
    ):
        player(page, "Record").click()
        meter = panel(page).get_by_role("meter")
        expect(panel(page)).to_contain_text("Silence", timeout=6000)
        assert int(meter.get_attribute("aria-valuenow")) == -60
        expect(panel(page)).to_contain_text("Clipping", timeout=6000)
        page.wait_for_function("document.querySelector('.recording [role=meter]').getAttribute('aria-valuenow') > -3")
        expect(panel(page).locator(".mic-time")).to_have_text("0:06", timeout=6000)
        player(page, "Stop").click()
        answered(page)
        expect(panel(page)).to_contain_text("It clipped")
        player(page, "Clear").click()
        expect(panel(page)).not_to_contain_text("It clipped")


@pytest.mark.parametrize("mode", ["Music", "Speech"])
def test_noise_is_never_called_enough(browser, address, mode):
    with opened(browser, address) as page:
        panel(page).get_by_label(mode).check()
        player(page, "Record").click()
        page.evaluate("""() => {
            window.said = new Set();
            const place = document.querySelector("#music-microphone .mic-say");
            new MutationObserver(() => said.add(place.textContent)).observe(place, { childList: true, subtree: true });
        }""")
        expect(panel(page)).to_contain_text("Noise: no music is heard", timeout=6000)
        expect(panel(page).locator(".mic-time")).to_have_text("0:08", timeout=9000)
        expect(panel(page)).to_contain_text("Noise: no music is heard")
        assert not any("enough to classify" in words for words in page.evaluate("[...said]"))
        player(page, "Stop").click()


def test_silence_does_not_count_as_heard(playwright, address, tmp_path, make_clip):
    song = make_clip(12.0, 3, RATE).samples
    samples = np.concatenate([np.zeros(6 * RATE), song])
    with heard_by(playwright, samples, tmp_path) as browser, opened(browser, address) as page:
        player(page, "Record").click()
        expect(panel(page)).to_contain_text("Silence", timeout=6000)
        expect(panel(page)).to_contain_text("Listening", timeout=9000)  # 6 s are over, but there was nothing in them
        expect(panel(page)).to_contain_text("5 s heard: enough to classify", timeout=9000)


def test_a_take_is_heard_again_and_sought_in(playwright, address, tmp_path, make_clip):
    song = make_clip(12.0, 3, RATE).samples
    with heard_by(playwright, song, tmp_path) as browser, opened(browser, address) as page:
        player(page, "Record").click()
        expect(panel(page)).to_contain_text("5 s heard: enough to classify; 15 s is better", timeout=8000)
        player(page, "Stop").click()
        answered(page)
        expect(panel(page)).to_be_hidden()
        page.get_by_test_id("cell-2-1").click()
        expect(player(page, "Pause")).to_be_visible()
        start = int(float(page.get_by_test_id("cell-2-1").inner_text().removesuffix(" s")))
        time = page.get_by_test_id("waveform-Music").locator("time").first
        expect(time).to_have_text(re.compile(f"0:0[{start}-{start + 2}]"))


def test_a_pause_is_shown_as_one(browser, address):
    with opened(browser, address) as page:
        player(page, "Record").click()
        width = "document.querySelector('#music-microphone .mic-bar').getBoundingClientRect().width"
        page.wait_for_function(f"{width} > 20")
        player(page, "pause").click()
        expect(panel(page)).to_contain_text("Paused")
        page.wait_for_function(f"{width} === 0")
        player(page, "Resume").click()
        page.wait_for_function(f"{width} > 20")
        expect(panel(page)).not_to_contain_text("Paused")


def test_a_take_that_grows_too_long_for_the_server_is_told_in_time(browser, address):
    with opened(browser, address) as page:
        player(page, "Record").click()
        expect(panel(page)).to_contain_text("Listening")
        page.evaluate("() => { const now = performance.now.bind(performance); performance.now = () => now() + 480_000; }")
        expect(panel(page)).to_contain_text("up to 9 minutes: stop now")
        assert MAX_BYTES > 9 * 60 * 44100 * 2 * 2  # plain samples in stereo


def test_a_take_that_is_stopped_at_once_is_explained(browser, address):
    with opened(browser, address) as page:
        player(page, "Record").click()
        player(page, "Stop").click()
        expect(page.get_by_role("alert")).to_contain_text("too short")


def test_what_the_browser_does_not_do_is_told(browser, address):
    with opened(browser, address, DISOBEY) as page:
        player(page, "Record").click()
        expect(panel(page).get_by_role("alert")).to_contain_text("keeps its echo cancellation and automatic gain on")
        panel(page).get_by_label("Speech").check()
        player(page, "Stop").click()
        expect(panel(page).get_by_role("alert")).to_contain_text("keeps its echo cancellation")  # it is about the take


def test_live_knows_of_a_browser_that_suppresses_noise_unasked(browser, address):
    with opened(browser, address, DISOBEY.replace("noiseSuppression: false", "noiseSuppression: true")) as page:
        assert page.evaluate("genreMicrophone.suppresses()") is False  # until it is found out
        player(page, "Record").click()
        expect(panel(page).get_by_role("alert")).to_contain_text("keeps its echo cancellation and noise suppression and auto")
        assert page.evaluate("genreMicrophone.suppresses()") is True


def test_live_and_a_take_are_shown_each_by_itself(browser, address):
    with opened(browser, address) as page:
        page.get_by_role("tab", name="Live").click()
        live = page.get_by_test_id("waveform-Live")
        live.get_by_role("button", name="Record", exact=True).click()
        time = panel(page, "live").locator(".mic-time")
        expect(time).to_have_text("0:02")
        page.get_by_role("tab", name="Classify").click()
        player(page, "Record").click()
        expect(panel(page).locator(".mic-time")).to_have_text("0:02")
        player(page, "Stop").click()
        expect(panel(page).get_by_role("meter")).to_be_hidden()
        page.get_by_role("tab", name="Live").click()
        expect(panel(page, "live").get_by_role("meter")).to_be_visible()
        assert int(time.inner_text().split(":")[1]) >= 4
        live.get_by_role("button", name="Stop").click()
        expect(panel(page, "live").get_by_role("meter")).to_be_hidden()


@pytest.mark.parametrize(
    ("scripts", "allowed", "words"), [((REFUSE,), True, "No microphone was found"), ((), False, "allow it")]
)
def test_what_keeps_the_microphone_away_is_told(browser, address, scripts, allowed, words):
    with opened(browser, address, *scripts, allowed=allowed) as page:
        player(page, "Record").click()
        expect(panel(page).get_by_role("alert")).to_contain_text(words)
        page.get_by_role("tab", name="Live").click()
        page.get_by_test_id("waveform-Live").get_by_role("button", name="Record", exact=True).click()
        expect(panel(page, "live").get_by_role("alert")).to_contain_text(words)


def test_a_refused_microphone_can_be_asked_for_again(browser, address):
    with opened(browser, address, FORBID) as page:
        page.get_by_role("tab", name="Live").click()
        record = page.get_by_test_id("waveform-Live").get_by_role("button", name="Record", exact=True)
        record.click()
        expect(panel(page, "live").get_by_role("alert")).to_contain_text("allow it")
        expect(page.locator(".toast-body")).to_be_visible()  # gradio's, which comes with what lay over the button
        page.evaluate("window.allowed = true")
        record.click()
        expect(panel(page, "live").get_by_role("meter")).to_be_visible()
        expect(panel(page, "live").get_by_role("alert")).to_be_hidden()


def test_a_page_that_is_not_secure_says_so(playwright, address):
    port = address.rsplit(":", 1)[1]
    browser = chromium.launch(playwright, "--host-resolver-rules=MAP music.example 127.0.0.1")
    page = browser.new_page()
    page.goto(f"http://music.example:{port}")
    player(page, "Record audio").click()
    expect(panel(page).get_by_role("alert")).to_contain_text("only over https")
    browser.close()


def test_what_was_heard_before_the_microphone_went_is_kept(playwright, address, tmp_path, make_clip):
    with heard_by(playwright, make_clip(8.0, 1, RATE).samples, tmp_path) as browser, opened(browser, address, KEEP) as page:
        player(page, "Record").click()
        page.wait_for_timeout(5000)
        # What an unplugged microphone does to a track: it ends, and says so, which it does not when the page ends it.
        page.evaluate("stream.getTracks().forEach((track) => { track.stop(); track.dispatchEvent(new Event('ended')); })")
        answered(page)
        expect(card(page)).to_contain_text("your recording")
        expect(panel(page).get_by_role("alert")).to_contain_text("The microphone is gone")


def test_the_chosen_device_is_asked_for(browser, address):
    with opened(browser, address, KEEP) as page:
        devices = page.locator("#music select.mic-select")
        expect(devices).to_be_enabled()
        chosen = devices.locator("option").last.get_attribute("value")
        devices.select_option(chosen)
        player(page, "Record").click()
        page.wait_for_function("window.stream")
        assert page.evaluate("wanted.audio.deviceId") == {"exact": chosen}
        assert page.evaluate("stream.getAudioTracks()[0].getSettings().deviceId") == chosen


def test_the_script_needs_nothing_from_elsewhere():
    assert "://" not in script()


def test_the_script_tells_noise_by_the_numbers_of_the_server(browser, address):
    with opened(browser, address) as page:
        used = set(re.findall(r"NOISE\.(\w+)", script()))
        told = page.evaluate("genreNoise")
        assert set(told) == used
        assert told["variation"] == MOST_VARIATION
