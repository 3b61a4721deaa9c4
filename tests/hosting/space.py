"""Lay this repository out as Hugging Face Spaces does, and use it as a visitor and as its owner.

python -m tests.hosting.space                      # with the Python that runs this
python -m tests.hosting.space --fresh python3.12   # in a new environment from requirements.txt, as a Space has it

The login is replaced by the cookie that gradio sets after it. A stranger classifies a file and a recording and may not train.
The owner trains on an uploaded zip. After a restart the run is there.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile
from gradio_client import Client, handle_file
from itsdangerous import TimestampSigner
from playwright.sync_api import Browser, Page, expect, sync_playwright

from genre_app.audio.synth import STYLES, music
from tests import chromium

_ROOT = Path(__file__).parents[2]
_OWNER, _SECRET = "ada", "the secret of the Space"
_RATE = 22050
_CLIPS, _CLIP_SECONDS = 6, 6.0  # of each genre in the zip
_TIMEOUT_MS = 180_000
# Every Space has the package `spaces`, which gradio watches the files with. Here it is missing.
_SPACES = re.compile(r"Exception in thread .*?`spaces` package is required[^\n]*", re.DOTALL)


def main() -> None:
    """Run all steps; a step that fails ends the command with a traceback."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fresh", metavar="PYTHON", help="make a new environment with this Python")
    python = parser.parse_args().fresh
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        lay_out(folder / "app")
        interpreter = fresh(python, folder) if python else sys.executable
        spoken = folder / "microphone.wav"
        soundfile.write(spoken, music("disco", 20.0, _RATE, 3), _RATE)
        sound = ("--use-fake-device-for-media-stream", f"--use-file-for-fake-audio-capture={spoken}")
        browser = chromium.launch(playwright, *sound)
        expect.set_options(timeout=_TIMEOUT_MS)
        with serving(folder, interpreter) as address:
            classify(address, folder)
            record(browser, address)
            refuse_a_stranger(browser, address)
            run = train(browser, address, folder)
        with serving(folder, interpreter) as address:
            find_again(browser, address, run)


def lay_out(folder: Path) -> None:
    """Copy what git has, as a Space clones it."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=_ROOT, check=True, capture_output=True).stdout
    for file in filter(None, listed.decode().split("\0")):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_ROOT / file, folder / file)
    say("laid out", f"{sum(path.is_file() for path in folder.rglob('*'))} files")


def fresh(python: str, folder: Path) -> str:
    """Make an environment from requirements.txt alone."""
    began = time.monotonic()
    subprocess.run([python, "-m", "venv", folder / "venv"], check=True)
    pip = [folder / "venv/bin/python", "-m", "pip", "install", "--quiet", "--requirement", folder / "app/requirements.txt"]
    subprocess.run(pip, check=True)
    say("installed", f"requirements.txt with {python} in {time.monotonic() - began:.0f} s")
    return str(folder / "venv/bin/python")


@contextmanager
def serving(folder: Path, python: str) -> Iterator[str]:
    """Run ``app.py`` as a Space does; yield its address."""
    port = free_port()
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "TMPDIR")}
    login = {"OAUTH_CLIENT_ID": "id", "OAUTH_CLIENT_SECRET": _SECRET, "OAUTH_SCOPES": "openid profile contribute-repos"}
    space = {
        "SYSTEM": "spaces",
        "SPACE_ID": f"{_OWNER}/genres",
        "SPACE_AUTHOR_NAME": _OWNER,
        "GRADIO_SERVER_NAME": "0.0.0.0",
        "GRADIO_SERVER_PORT": str(port),
        "OPENID_PROVIDER_URL": "http://127.0.0.1:9",
        "HOME": str(folder / "home"),
        "GRADIO_ANALYTICS_ENABLED": "False",
    }
    log = (folder / "server.log").open("ab")
    server = subprocess.Popen([python, "app.py"], cwd=folder / "app", env=kept | login | space, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    began = time.monotonic()
    try:
        while not answers(address):
            if server.poll() is not None or time.monotonic() - began > 300:
                raise RuntimeError("app.py does not start: " + (folder / "server.log").read_text()[-2000:])
            time.sleep(0.5)
        say("started", f"in {time.monotonic() - began:.0f} s")
        yield address
    finally:
        server.terminate()
        server.wait(30)
        log.close()
    told = (folder / "server.log").read_text(errors="replace")
    if "Traceback" in _SPACES.sub("", told):
        raise RuntimeError(f"the server's log has a traceback: {told[-4000:]}")


def free_port() -> int:
    """Return a port that no program listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def answers(address: str) -> bool:
    """Return whether the page can be opened."""
    try:
        return urllib.request.urlopen(address, timeout=5).status == 200
    except OSError:
        return False


def classify(address: str, folder: Path) -> None:
    """Classify a file through the API, as a stranger."""
    song = folder / "song.wav"
    soundfile.write(song, music("classical", 10.0, _RATE, 1), _RATE)
    answer = Client(address, verbose=False).predict(handle_file(str(song)), api_name="/classify")
    assert answer["genre"] == "classical", answer
    say("classified", f"a file as {answer['genre']}")


def record(browser: Browser, address: str) -> None:
    """Record a clip on the page, as a stranger."""
    with visit(browser, address) as page:
        page.get_by_role("button", name="Record", exact=True).click()
        page.wait_for_function("[...document.querySelectorAll('.mic-time')].some((time) => time.textContent >= '0:06')")
        page.get_by_role("button", name="Stop", exact=True).click()
        genre = page.locator("[aria-label='Final vote'] .genre:not(.quiet)")  # quiet while the clip is classified
        expect(genre).to_be_visible()
        say("recorded", f"a clip, answered: {' '.join(genre.inner_text().split())}")


def refuse_a_stranger(browser: Browser, address: str) -> None:
    """See that nobody but the owner gets the form."""
    for cookie in (None, _cookie("mallory")):
        with visit(browser, address, cookie) as page:
            page.get_by_role("tab", name="Train").click()
            expect(page.locator("#train-note")).to_contain_text("owner")
            expect(page.locator("#train-check")).to_be_hidden()
    say("refused", "to train for strangers")


def train(browser: Browser, address: str, folder: Path) -> str:
    """Train on an uploaded zip, as the owner; return the name of the run."""
    archive = folder / "music.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for style in STYLES[:2]:
            for number in range(_CLIPS):
                path = folder / "clip.wav"
                soundfile.write(path, np.clip(music(style, _CLIP_SECONDS, _RATE, number), -1, 1), _RATE)
                packed.write(path, f"music/{style}/{number}.wav")
    with visit(browser, address, _cookie(_OWNER)) as page:
        page.get_by_role("tab", name="Train").click()
        expect(page.locator("#train-check")).to_be_visible()
        page.locator("#train-upload input[type=file]").set_input_files(archive)
        expect(page.locator("#train-source textarea, #train-source input")).to_have_value(re.compile("upload: .*zip"))
        page.locator("#train-level").get_by_text("Quick").click()
        expect(page.locator("#train-command textarea")).to_have_value(re.compile("genre-app train mlp"))
        page.locator("#train-check").click()
        expect(page.locator("#train-start")).to_be_enabled()
        page.locator("#train-start").click()
        expect(page.locator("#run-head")).to_contain_text("finished")
        name = page.locator("#run-head h2").inner_text().split()[0]
    say("trained", f"{name}, as the owner")
    return name


def find_again(browser: Browser, address: str, run: str) -> None:
    """Find the run after a restart of the Space."""
    with visit(browser, address, _cookie(_OWNER)) as page:
        page.get_by_role("tab", name="Train").click()
        expect(page.locator("#runs")).to_contain_text(run)
        expect(page.locator("#run-head")).to_contain_text("finished")
    say("found", f"{run} after a restart")


@contextmanager
def visit(browser: Browser, address: str, cookie: str | None = None) -> Iterator[Page]:
    """Open the page as a new visitor, with the session that a login has left."""
    headers = {"Cookie": f"session={cookie}"} if cookie else {}
    context = browser.new_context(extra_http_headers=headers, permissions=["microphone"], ignore_https_errors=True)
    context.set_default_timeout(_TIMEOUT_MS)
    try:
        page = context.new_page()
        page.goto(address)
        page.get_by_role("tab", name="Train").wait_for()
        yield page
    finally:
        context.close()


def _cookie(name: str) -> str:
    """Return the session that gradio stores once somebody has signed in (``gradio.oauth.attach_oauth``)."""
    profile = {"name": name, "preferred_username": name, "profile": "", "picture": ""}
    told = {"access_token": f"hf_of_{name}", "expires_at": time.time() + 3600, "userinfo": profile}
    key = hashlib.sha256(f"{_SECRET}-v4".encode()).hexdigest()
    return TimestampSigner(key).sign(base64.b64encode(json.dumps({"oauth_info": told}).encode())).decode()


def say(what: str, more: str) -> None:
    """Print what a step has shown."""
    print(f"{what:<10} {more}", flush=True)


if __name__ == "__main__":
    main()
