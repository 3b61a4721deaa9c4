"""The microphone in Chromium: it leaves music unchanged, and tells a visitor what to do."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Page, expect

from genre_app.ui.service import MAX_BYTES
from tests.browser.classify import answered, card, player
from tests.browser.recorder import RATE, SLOW, at_least, live_button, panel, told

pytestmark = pytest.mark.browser

OCTAVES_HZ = (63, 125, 250, 500, 1000, 2000, 4000, 8000)
PROCESSING = ("echoCancellation", "noiseSuppression", "autoGainControl")

# The browser's own microphone, before the page's script comes: keep what the page gets, make it fail, or make it lie.
KEEP = """
    const ask = MediaDevices.prototype.getUserMedia;
    MediaDevices.prototype.getUserMedia = async function (wanted) {
        [window.wanted, window.stream] = [wanted, await ask.call(this, wanted)];
        return stream;
    };
"""
REFUSE = """
    MediaDevices.prototype.getUserMedia = async () => { throw new DOMException("none", "NotFoundError"); };
"""
DISOBEY = """
    MediaStreamTrack.prototype.getSettings = () => ({ echoCancellation: true, noiseSuppression: false, autoGainControl: true });
"""

# A browser that cannot read what it has recorded.
DAMAGE = """
    Blob.prototype.arrayBuffer = async () => new ArrayBuffer(5000);
"""


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    """One second of pink noise that goes on without a seam when it is repeated, so that any second of it has its spectrum."""
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(RATE))
    spectrum /= np.sqrt(np.maximum(np.fft.rfftfreq(RATE, 1 / RATE), 20.0))
    samples = np.fft.irfft(spectrum, RATE)
    return 0.5 * samples / np.abs(samples).max()


@pytest.fixture(autouse=True)
def _plays_noise(recorder, noise) -> None:
    recorder.play(noise)


@pytest.fixture(scope="module")
def recording(recorder, address) -> Iterator[Page]:
    """A page for several takes."""
    with recorder.page(address) as page:
        yield page


@pytest.fixture
def page(recording) -> Iterator[Page]:
    """The same page before a take, which is cleared afterwards."""
    recording.evaluate("told.length = 0")
    yield recording
    for name in ("Stop", "Clear"):
        if player(recording, name).is_visible():
            player(recording, name).click()
    expect(player(recording, "Record")).to_be_visible()


def stop(page: Page) -> np.ndarray:
    """Stop recording, and return what reaches the server: float [n, channels] at 44.1 kHz."""
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


@pytest.mark.parametrize("mode", ["Music", "Speech"])
def test_the_switch_is_remembered_and_obeyed_and_noise_is_never_called_enough(recorder, noise, address, mode):
    """A take of 6 s of noise in each mode, chosen before the page was loaded again."""
    suppresses = mode == "Speech"
    recorder.play(noise)
    with recorder.page(address, KEEP) as page:
        panel(page).get_by_label(mode).check()
        page.reload()
        player(page, "Record audio").click()
        player(page, "Record").click()
        expect(panel(page).locator(".mic-time")).to_have_text(at_least(6))
        assert "Noise only" in panel(page).locator(".mic-say").inner_text()
        samples = stop(page)
        assert not any("enough to classify" in entry["words"] for entry in told(page))
        # Nor has it a genre, in what the browser has left of it either.
        expect(page.get_by_role("alert")).to_contain_text("No music heard: only noise")
        expect(page.locator("img.figure")).to_have_count(0)
        # The switch is remembered and obeyed.
        expect(panel(page).get_by_label(mode)).to_be_checked()
        expect(panel(page)).to_contain_text("as for a phone call" if suppresses else "Raw sound, best for music")
        expect(panel(page)).to_contain_text("Applies from the next recording")
        settings = page.evaluate("genreMicrophone.settings()")
        for found in (settings, page.evaluate("wanted.audio")):
            assert [found[name] for name in PROCESSING] == [suppresses] * 3
        assert page.evaluate("genreMicrophone.suppresses()") is suppresses
    # Music arrives as it was played.
    middle = samples[round(1.5 * 44100) :][: 2 * 44100].mean(axis=1)
    off = octaves_db(middle, 44100) - octaves_db(noise, RATE)
    unchanged = np.abs(off).max() < 1.5 and np.ptp(off) < 0.5  # the second: no codec on the way either
    assert unchanged is np.bool_(mode == "Music"), off.round(1)


def test_silence_does_not_count_as_heard_and_the_take_is_played_and_sought_in(recorder, page, make_clip):
    """A take of silence and then music, which is stopped when the panel says that there is enough."""
    recorder.play(np.concatenate([np.zeros(4 * RATE), make_clip(12.0, 3, RATE).samples]))
    player(page, "Record").click()
    expect(panel(page)).to_contain_text("5 s heard: enough to classify; 15 s is better")
    player(page, "Stop").click()
    entries = told(page)
    words = [entry["words"].split()[0] for entry in entries]
    if "Very" in words:  # a level that was measured where the silence ends: very quiet
        assert words.pop(2) == "Very"
    assert words == ["Listening.", "Silence:", "Listening.", "5"]
    assert entries[1]["level"] == -60
    seconds = int(entries[-1]["time"].removeprefix("0:"))
    assert seconds >= 7  # the silence is part of the recording, but not of the 5 s
    answered(page)
    expect(card(page)).to_contain_text("your recording")
    expect(panel(page)).to_be_hidden()
    row = page.locator('#frames [role="gridcell"][data-row="3"]').nth(1)
    row.click()
    start = float(row.inner_text().removesuffix(" s"))
    place = page.wait_for_function(
        """() => {
            const audio = document.querySelector("#music audio");
            return audio && !audio.paused && audio.currentTime;
        }"""
    ).json_value()
    assert start - 0.1 <= place <= start + 2


def test_a_silent_take_is_explained(recorder, page):
    recorder.play(np.zeros(5 * RATE))
    player(page, "Record").click()
    expect(panel(page)).to_contain_text("Silence")
    player(page, "Stop").click()
    expect(page.get_by_role("alert")).to_contain_text("your recording: no sound to classify")


def test_clipping_is_told_until_the_take_is_cleared(recorder, page):
    time = np.arange(3 * RATE)
    recorder.play(np.sign(np.sin(2 * np.pi * 220 * time / RATE)) * (time % 12000 < 8000))
    page.locator("#record-song").dblclick()  # the second press must not stop what the first one starts
    expect(panel(page)).to_contain_text("Clipping")
    page.wait_for_function("document.querySelector('.recording [role=meter]').getAttribute('aria-valuenow') > -3")
    expect(panel(page).locator(".mic-time")).to_have_text(at_least(2))
    player(page, "Stop").click()
    expect(card(page)).to_contain_text("your recording")
    expect(panel(page)).to_contain_text("It clipped")
    player(page, "Clear").click()
    expect(panel(page)).not_to_contain_text("It clipped")


def test_a_pause_is_shown_as_one_and_a_take_that_grows_too_long_for_the_server_is_told_in_time(page):
    player(page, "Record").click()
    expect(panel(page)).to_contain_text("Listening")
    width = "document.querySelector('#music-microphone .mic-bar').getBoundingClientRect().width"
    page.wait_for_function(f"{width} > 20")
    player(page, "pause").click()
    expect(panel(page)).to_contain_text("Paused")
    page.wait_for_function(f"{width} === 0")
    player(page, "Resume").click()
    page.wait_for_function(f"{width} > 20")
    expect(panel(page)).not_to_contain_text("Paused")
    page.evaluate("() => { const now = performance.now.bind(performance); performance.now = () => now() + 480_000; }")
    expect(panel(page)).to_contain_text("up to 9 minutes")
    page.evaluate("delete performance.now")  # what the page set on this object
    assert MAX_BYTES > 9 * 60 * 44100 * 2 * 2  # plain samples in stereo


def test_a_take_that_is_stopped_at_once_is_explained(page):
    expect(player(page, "Record")).to_be_visible()
    # By the page itself: on a busy machine, half a second passes before a click from outside, or a timer, arrives.
    page.evaluate(
        """() => {
            const { start } = MediaRecorder.prototype;
            MediaRecorder.prototype.start = function (...options) {
                start.apply(this, options);
                MediaRecorder.prototype.start = start;
                queueMicrotask(() => document.querySelector("#music .stop-button").click()); // once gradio shows it
            };
            document.querySelector("#music .record-button").click();
        }"""
    )
    expect(page.get_by_role("alert")).to_contain_text("too short")


@pytest.mark.parametrize(
    ("script", "words"),
    [(SLOW, "0.00 s is too short"), (DAMAGE, "cannot read what it recorded")],
    ids=["without a sample", "unreadable"],
)
def test_a_take_that_cannot_be_sent_is_explained(recorder, address, script, words):
    with recorder.page(address, script) as page:
        player(page, "Record").click()
        player(page, "Stop").click()
        expect(page.get_by_role("alert").filter(has_text=words)).to_be_visible()
        if script == SLOW:  # another take can follow
            player(page, "Clear").click()
            expect(player(page, "Record")).to_be_visible()


def test_what_the_browser_does_not_do_is_told_and_live_knows_of_it(recorder, address):
    with recorder.page(address, DISOBEY) as page:
        said = panel(page).get_by_role("alert")
        player(page, "Record").click()
        expect(said).to_contain_text("keeps its echo cancellation and automatic gain on")
        panel(page).get_by_label("Speech").check()
        player(page, "Stop").click()
        expect(said).to_contain_text("keeps its echo cancellation")  # it is about the take
        assert page.evaluate("genreMicrophone.suppresses()") is True  # in this mode it is asked to
        panel(page).get_by_label("Music").check()
        assert page.evaluate("genreMicrophone.suppresses()") is False  # until it is found out
        page.evaluate(DISOBEY.replace("noiseSuppression: false", "noiseSuppression: true"))
        player(page, "Clear").click()
        player(page, "Record").click()
        expect(said).to_contain_text("keeps its echo cancellation and noise suppression and auto")
        assert page.evaluate("genreMicrophone.suppresses()") is True


@pytest.mark.parametrize(
    ("scripts", "allowed", "words"),
    [((REFUSE,), True, "No microphone was found"), ((), False, "does not let this page use the microphone")],
)
def test_what_keeps_the_microphone_away_is_told(recorder, address, scripts, allowed, words):
    with recorder.page(address, *scripts, allowed=allowed) as page:
        player(page, "Record").click()
        expect(panel(page).get_by_role("alert")).to_contain_text(words)
        page.get_by_role("tab", name="Live").click()
        live_button(page, "Record").click()
        expect(panel(page, "live").get_by_role("alert")).to_contain_text(words)


def test_a_page_that_is_not_secure_says_so(recorder, address, monkeypatch):
    monkeypatch.setenv("GENRE_APP_HOSTS", recorder.ELSEWHERE)  # else the page is not served under this name
    with recorder.page(f"http://{recorder.ELSEWHERE}:{address.rsplit(':', 1)[1]}") as page:
        expect(panel(page).get_by_role("alert")).to_contain_text("only over https")


def test_the_chosen_device_is_asked_for_and_what_was_heard_before_it_went_is_kept(recorder, address, make_clip):
    recorder.play(make_clip(8.0, 1, RATE).samples)
    with recorder.page(address, KEEP) as page:
        devices = page.locator("#music select.mic-select")
        expect(devices).to_be_enabled()
        chosen = devices.locator("option").last.get_attribute("value")
        devices.select_option(chosen)
        page.evaluate("delete navigator.mediaDevices.getUserMedia")  # WebKit frees what a page sets on this object
        player(page, "Record").click()
        page.wait_for_function("window.stream")
        assert page.evaluate("wanted.audio.deviceId") == {"exact": chosen}
        assert page.evaluate("stream.getAudioTracks()[0].getSettings().deviceId") == chosen
        expect(panel(page).locator(".mic-time")).to_have_text(at_least(3))
        # An unplugged microphone ends its track and says so; a page that ends it hears no event.
        page.evaluate("stream.getTracks().forEach((track) => { track.stop(); track.dispatchEvent(new Event('ended')); })")
        answered(page)
        expect(card(page)).to_contain_text("your recording")
        expect(panel(page).get_by_role("alert")).to_contain_text("The microphone was unplugged")
