"""Fixtures of the command line: a command run in this process, and files for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import soundfile
from typer.testing import CliRunner

from genre_app.cli import build

RATE = 22050


@pytest.fixture
def run(checkpoint_path):
    """Run a command with the tiny checkpoint unless another is named; returns exit code, stdout, stderr."""

    def call(command: str, *arguments: str | os.PathLike) -> tuple[int, str, str]:
        given = [os.fspath(argument) for argument in arguments]
        if command != "checkpoints" and "--checkpoint" not in given:
            given += ["--checkpoint", os.fspath(checkpoint_path)]
        result = CliRunner().invoke(
            build(), [command, *given, "--threads", "1"] if command != "checkpoints" else [command, *given]
        )
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    return call


@pytest.fixture(scope="module")
def songs(make_clip, tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("songs")
    for seed, name in enumerate(("one.wav", "two, with comma.flac", 'quo"te ü.wav')):
        soundfile.write(folder / name, make_clip(6.0 + seed, seed).samples, RATE)
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def broken(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("broken") / "text.mp3"
    path.write_text("no music")
    return path


@pytest.fixture(scope="module")
def folder(make_clip, broken, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("tracks")
    for seed, genre in enumerate(("blues", "Hip-Hop", "rock")):
        (root / "test" / genre).mkdir(parents=True)
        soundfile.write(root / "test" / genre / "a.wav", make_clip(5.0, seed).samples, RATE)
    (root / "test" / "rock" / "bad.wav").write_bytes(broken.read_bytes())
    return root
