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
        )

    def play(self, samples: np.ndarray, rate: int = RATE) -> None:
        """Let the microphone hear samples [n] from their start, over and over, from the next recording on."""
        soundfile.write(self._path, samples, rate, subtype="PCM_16")

    def visitor(self, **options: Any) -> BrowserContext:
        """Return the browser of a new visitor; the caller closes it."""
        context = self.browser.new_context(**options)
        context.set_default_timeout(_TIMEOUT_MS)
        return context

    @contextmanager
    def page(self, address: str, *scripts: str, allowed: bool = True, width: int = 1280) -> Iterator[Page]:
        """Open the page on Classify's recorder; scripts run before the page's own."""
        context = self.visitor(viewport={"width": width, "height": 900}, permissions=["microphone"] if allowed else [])
        page = context.new_page()
        for text in (LOG, *scripts):
            page.add_init_script(f"{{ {text} }}")
        page.goto(address)
        if not allowed:
            denied = {"permission": {"name": "microphone"}, "setting": "denied", "origin": address}
            context.new_cdp_session(page).send("Browser.setPermission", denied)
        player(page, "Record audio").click()
        try:
            yield page
        finally:
            context.close()


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
