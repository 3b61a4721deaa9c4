"""Clips for the tests of the page, and a program that calls it."""

from __future__ import annotations

import pytest
import soundfile
from gradio_client import Client


@pytest.fixture
def song(tmp_path, make_clip) -> str:
    clip = make_clip(12.0)
    path = tmp_path / "song.wav"
    soundfile.write(path, clip.samples, clip.sample_rate, subtype="FLOAT")
    return str(path)


@pytest.fixture(scope="module")
def client(address):
    client = Client(address, verbose=False, ssl_verify=False)  # else each request reads all certificates anew
    yield client
    client.close()


@pytest.fixture(scope="module")
def songs(make_clip, tmp_path_factory) -> list[str]:
    """Twenty clips of different music and length."""
    folder = tmp_path_factory.mktemp("songs")
    for seed in range(20):
        clip = make_clip(3.0 + 0.5 * seed, seed)
        soundfile.write(folder / f"song{seed:02d}.wav", clip.samples, clip.sample_rate, subtype="FLOAT")
    return sorted(str(path) for path in folder.iterdir())
