"""A Chromium whose microphone hears what a test plays, and what a visitor sees of a recording."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from playwright.sync_api import BrowserContext, Locator, Page, Playwright, expect

from tests import chromium
from tests.browser.classify import player

RATE = 48000
_TIMEOUT_MS = 60_000  # a busy machine is slow, not wrong

# Keeps what the panel says, with the time and the level that it shows then.
LOG = """
    window.told = [];
    const log = () => {
        for (const panel of document.querySelectorAll(".mic-panel")) {
            const part = (name) => panel.querySelector(name);
            const words = part(".mic-say").textContent;
            if (!words || told.at(-1)?.words === words) continue;
            const level = Number(part("[role=meter]").getAttribute("aria-valuenow"));
            told.push({ words, time: part(".mic-time").textContent, level });
        }
    };
    new MutationObserver(log).observe(document, { subtree: true, childList: true });
"""

# A microphone from which no sample has come when the recording is stopped, as on a busy machine.
SLOW = """
    MediaDevices.prototype.getUserMedia = async () => {
        const context = new AudioContext();
        await context.suspend();
        return context.createMediaStreamDestination().stream;
    };
"""


class Recorder:
    """Starts one Chromium for many recordings: it reads the file anew whenever a page opens the microphone.

    Parameters
    ----------
    playwright : Playwright
    folder : Path
        Holds the file that the microphone plays.
    """

    ELSEWHERE = "music.example"
    """Name of this machine that is no secure origin."""

    def __init__(self, playwright: Playwright, folder: Path) -> None:
        self._path = folder / "played.wav"
        expect.set_options(timeout=_TIMEOUT_MS)
        self.browser = chromium.launch(
            playwright,
            "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-audio-capture={self._path}",
            f"--host-resolver-rules=MAP {self.ELSEWHERE} 127.0.0.1",
            "--renderer-process-limit=1",  # the tabs of a profile share a process
        )
        self._profile: BrowserContext | None = None

    def play(self, samples: np.ndarray, rate: int = RATE) -> None:
        """Let the microphone hear samples [n] from their start, over and over, from the next recording on."""
        soundfile.write(self._path, samples, rate, subtype="PCM_16")

    def enter(self, address: str, *, width: int = 1280, height: int = 800, alone: bool = False, **options: Any) -> Page:
        """Return an empty page of a new visitor of an address; give it to `leave` when the visit ends.

        A visitor has a tab with an empty storage in one profile, whose process has compiled the page's scripts. This saves a
        third of the CPU that a page takes to load. A visitor has a profile of their own if the tab is open already, if they
        come ``alone``, or with ``options`` of `playwright.sync_api.Browser.new_context`.
        """
        self._profile = self._profile or self._new_profile()
        if alone or options or len(self._profile.pages) > 1:
            page = self._new_profile(**options).new_page()
        else:
            self._empty(self._profile, address)
            page = self._profile.new_page()
        page.set_viewport_size({"width": width, "height": height})
        return page

    def leave(self, page: Page) -> None:
        """End a visit."""
        (page if page.context is self._profile else page.context).close()

    def _new_profile(self, **options: Any) -> BrowserContext:
        profile = self.browser.new_context(**{"permissions": ["microphone"], **options})
        profile.set_default_timeout(_TIMEOUT_MS)
        return profile

    def _empty(self, profile: BrowserContext, address: str) -> None:
        """Forget all visits of an address; a page of a few lines keeps the profile's process alive between them."""
        keeper = profile.pages[0] if profile.pages else profile.new_page()
        if not keeper.url.startswith(address):
            keeper.goto(f"{address}/theme.css")
        profile.clear_cookies()
        session = profile.new_cdp_session(keeper)
        session.send("Storage.clearDataForOrigin", {"origin": address, "storageTypes": "all"})
        session.detach()

    @contextmanager
    def page(self, address: str, *scripts: str, allowed: bool = True, width: int = 1280) -> Iterator[Page]:
        """Open the page on Classify's recorder; scripts run before the page's own."""
        page = self.enter(address, width=width, height=900, **({} if allowed else {"permissions": []}))
        for text in (LOG, *scripts):
            page.add_init_script(f"{{ {text} }}")
        page.goto(address)
        if not allowed:
            denied = {"permission": {"name": "microphone"}, "setting": "denied", "origin": address}
            page.context.new_cdp_session(page).send("Browser.setPermission", denied)
        player(page, "Record audio").click()
        try:
            yield page
        finally:
            self.leave(page)


def panel(page: Page, recorder: str = "music") -> Locator:
    return page.locator(f"#{recorder}-microphone")


def live_button(page: Page, name: str) -> Locator:
    return page.get_by_test_id("waveform-Live").get_by_role("button", name=name, exact=True)


def at_least(seconds: int) -> re.Pattern[str]:
    """Return a pattern of recorded times under a minute; a busy machine may not show each second."""
    return re.compile("|".join(f"0:{second:02d}" for second in range(seconds, 60)))


def told(page: Page) -> list[dict]:
    """What the panels have said so far: words, time, level."""
    return page.evaluate("told")
