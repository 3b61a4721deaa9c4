"""Recordings on the server: decoded once, judged by the microphone's mode; and the script that the browser gets."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import soundfile

from genre_app.features import noise
from genre_app.ui.microphone import JUDGED_SECONDS, script
from tests.features.test_noise import RATE, suppressed_noise
from tests.pages import following, handler, named

VIEW = {"width": 700, "pixel_ratio": 1, "dark": False}


@pytest.fixture
def audio(tmp_path) -> Path:
    """Noise suppression's leftovers of noise, under the name that gradio gives to recordings."""
    path = tmp_path / "audio.wav"
    soundfile.write(path, suppressed_noise(), RATE)
    return path


def shown(app, event: str, path: Path, *, speech: bool) -> str:
    """The card for a clip that arrives by this event, with the microphone in this mode."""
    run, take = handler(app, "Music", event), None
    if event == "stop_recording":
        take = run.fn(str(path))
        run = following(app, run)
    updates = run.fn(str(path), "default", "mean", "trained", {**VIEW, "speech": speech}, None, take)
    return next(card for update in updates if "Classifying" not in (card := named(update).get("final-vote", "Classifying")))


@pytest.mark.parametrize(
    ("event", "speech", "is_noise"),
    [("stop_recording", True, True), ("stop_recording", False, False), ("upload", True, False)],
)
def test_only_a_recording_made_for_speech_is_judged_as_suppressed(app, audio, event, speech, is_noise):
    assert ("No music heard: only noise" in shown(app, event, audio, speech=speech)) is is_noise


@pytest.mark.parametrize("event", ["stop_recording", "upload"])
def test_a_clip_is_decoded_once(app, audio, event, monkeypatch):
    opened, open_file = [], soundfile.SoundFile
    monkeypatch.setattr(soundfile, "SoundFile", lambda *a, **k: opened.append(a) or open_file(*a, **k))
    shown(app, event, audio, speech=True)
    assert len(opened) == 1


def test_the_script_needs_nothing_from_elsewhere():
    assert "://" not in script()


def test_the_script_tells_noise_by_the_numbers_of_the_server():
    sent = json.loads(re.search(r"const NOISE = (.*);\n", script())[1])
    assert set(sent) == set(re.findall(r"NOISE\.(\w+)", script()))
    assert sent["variation"] == noise.MOST_VARIATION
    assert sent["suppressedVariation"] == noise.MOST_SUPPRESSED_VARIATION
    assert sent["judged"] == JUDGED_SECONDS
