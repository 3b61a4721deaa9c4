"""Serve the page behind nginx with TLS and a self-signed certificate, as genre_app/ui/SERVING.md says, and record in Chromium.

python -m tests.hosting.proxy
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import soundfile
from playwright.sync_api import expect, sync_playwright

from genre_app.audio.synth import music
from tests import chromium
from tests.hosting.space import answers, free_port, record, say

_ROOT = Path(__file__).parents[2]
_NAME = "music.example"
_TIMEOUT_MS = 180_000
_NGINX = """
{user} daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{}}
http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; {server} }}
"""


def main() -> None:
    """Run all steps; a step that fails ends the command with a traceback."""
    expect.set_options(timeout=_TIMEOUT_MS)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder, inner, outer = Path(name), free_port(), free_port()
        heard = folder / "microphone.wav"
        soundfile.write(heard, music("disco", 20.0, 22050, 3), 22050)
        with _page(folder, inner), _nginx(folder, inner, outer):
            browser = chromium.launch(
                playwright,
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-audio-capture={heard}",
                f"--host-resolver-rules=MAP {_NAME} 127.0.0.1",
                "--ignore-certificate-errors",
            )
            record(browser, f"https://{_NAME}:{outer}")


@contextmanager
def _page(folder: Path, port: int) -> Iterator[None]:
    named = {"GENRE_APP_HOSTS": _NAME, "GRADIO_SERVER_PORT": str(port), "GENRE_APP_RUNS": str(folder / "runs")}
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen([sys.executable, "app.py"], cwd=_ROOT, env=os.environ | named, stdout=log, stderr=log)
        try:
            while not answers(f"http://127.0.0.1:{port}"):
                time.sleep(0.5)
            say("started", "the page at 127.0.0.1")
            yield
        finally:
            server.terminate()
            server.wait(30)


@contextmanager
def _nginx(folder: Path, inner: int, outer: int) -> Iterator[None]:
    """Run nginx with the block of genre_app/ui/SERVING.md, its names and ports replaced."""
    subject = ["-subj", f"/CN={_NAME}", "-keyout", folder / "key.pem", "-out", folder / "certificate.pem"]
    making = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    subprocess.run([*making, *subject], check=True, capture_output=True)
    guide = (_ROOT / "genre_app/ui/SERVING.md").read_text(encoding="utf-8")
    server = re.search(r"```nginx\n(.*?)```", guide, re.DOTALL)[1]
    for old, new in [("443", str(outer)), ("7860", str(inner)), ("/etc/ssl", str(folder))]:
        server = server.replace(old, new)
    user = "user root;" if os.geteuid() == 0 else ""  # else its workers may not write into this folder
    (folder / "nginx.conf").write_text(_NGINX.format(user=user, folder=folder, server=server))
    process = subprocess.Popen(["nginx", "-c", folder / "nginx.conf", "-p", folder])
    try:
        time.sleep(1.0)
        if process.poll() is not None:
            raise RuntimeError((folder / "error.log").read_text())
        say("started", "nginx with TLS")
        yield
    finally:
        process.terminate()
        process.wait(30)


if __name__ == "__main__":
    main()
