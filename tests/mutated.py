"""Changed copies of checkpoint files, for the tests of what loading refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from genre_app.checkpoint import load_checkpoint
from genre_app.errors import CheckpointError


def header_of(path: Path) -> dict:
    """Read the header of a checkpoint file."""
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["genre_app"])


def write_mutated(
    source: Path,
    folder: Path,
    *,
    header: Callable[[dict], object] | None = None,
    tensors: Callable[[dict], object] | None = None,
    text: str | None = None,
) -> Path:
    """Write a copy of a checkpoint file whose header or tensors are changed; ``text`` replaces the header."""
    state, meta = load_file(source), header_of(source)
    if header:
        header(meta)
    if tensors:
        tensors(state)
    path = folder / "mutated.safetensors"
    save_file(state, path, metadata={"genre_app": json.dumps(meta) if text is None else text})
    return path


def refused(path: str | Path, message: str) -> None:
    """Check that loading fails with one sentence that contains the message and names the file."""
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(path)
    text = str(caught.value)
    assert Path(path).name in text
    assert "\n" not in text
    assert len(text) < 500
