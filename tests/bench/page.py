"""How fast the page is, measured in Chromium: python -m tests.bench.page. The default checkpoint, this machine, medians."""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import soundfile
from playwright.sync_api import Browser, Error, Page, sync_playwright

from genre_app.audio.synth import music
from tests.chromium import drop, launch

_SECONDS = 30.0
_ROUNDS = 9
_WATCH = """() => {
    window.seen = {};
    new MutationObserver(() => {
        const image = document.querySelector("img.figure");
        if (document.querySelector("#final-vote .bars")) requestAnimationFrame(() => (seen.vote ??= performance.now()));
        if (image) image.decode().then(() => requestAnimationFrame(() => (seen.figure ??= performance.now())));
    }).observe(document.body, { subtree: true, childList: true });
    document.addEventListener("change", (event) => event.target.type === "file" && (seen.start = performance.now()), true);
}"""


@contextmanager
def served() -> Iterator[tuple[str, float]]:
    """Start ``python app.py``; give its address and the seconds until it answered."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "GRADIO_SERVER_PORT": str(port), "GRADIO_SERVER_NAME": "127.0.0.1"}
    begun = time.perf_counter()
    process = subprocess.Popen([sys.executable, "app.py"], env=environment, stdout=subprocess.DEVNULL)
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if process.poll() is not None or time.perf_counter() - begun > 60:
                    raise RuntimeError("python app.py did not start") from None
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}", time.perf_counter() - begun
    finally:
        process.terminate()
        process.wait()


def open_page(page: Page, address: str) -> float:
    """Open the page; return the seconds from asking for it to a player that takes files."""
    begun = time.perf_counter()
    page.goto(address)
    page.get_by_test_id("waveform-Music").get_by_test_id("file-upload").wait_for(state="attached")
    return time.perf_counter() - begun


def drop_to_paint(browser: Browser, address: str, song: str) -> tuple[float, float, float]:
    """Seconds from a dropped file to the painted vote and to the painted figure; and those in which the page opened."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    opened = open_page(page, address)
    page.wait_for_timeout(700)
    page.evaluate(_WATCH)
    drop(page, song)
    page.wait_for_function("seen.figure")
    seen = page.evaluate("seen")
    page.close()
    return (seen["vote"] - seen["start"]) / 1000, (seen["figure"] - seen["start"]) / 1000, opened


def rows() -> list[tuple[str, float, float]]:
    """What was measured: name, median seconds, and the seconds that it may take."""
    with tempfile.TemporaryDirectory() as folder, served() as (address, started), sync_playwright() as playwright:
        song = str(Path(folder) / "song.mp3")
        soundfile.write(song, music("blues", _SECONDS, 44100), 44100)
        browser = launch(playwright)
        first = started + open_page(browser.new_page(), address)
        times = [drop_to_paint(browser, address, song) for _ in range(_ROUNDS)]
        browser.close()
    vote, figure, opened = (statistics.median(column) for column in zip(*times, strict=True))
    return [
        ("app start to first page", first, 8.0),
        ("the page opened once more", opened, 3.0),
        ("dropped 30 s MP3 to the painted vote", vote, 1.2),
        ("dropped 30 s MP3 to the painted figure", figure, 1.2),
    ]


if __name__ == "__main__":
    try:
        for name, seconds, most in rows():
            print(f"{name:42s} {seconds:6.2f} s   (at most {most:g} s)")
    except Error as error:
        sys.exit(f"Chromium is needed for these rows: {error}")
