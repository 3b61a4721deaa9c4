"""Checkpoints of the hub, from a stand-in for it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from genre_app import hub as client
from genre_app.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from genre_app.errors import CheckpointError
from tests.hub import Hub, serve


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serve(monkeypatch, tmp_path / "cache") as served:
        yield served


@pytest.fixture
def content(checkpoint: Checkpoint, tmp_path: Path) -> bytes:
    save_checkpoint(checkpoint, tmp_path / "some.safetensors")
    return (tmp_path / "some.safetensors").read_bytes()


def test_a_checkpoint_is_downloaded_once_and_then_works_without_the_hub(
    hub: Hub, content: bytes, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.commit("ada/beats", {client.FILE: content})
    found = load_checkpoint("hub:ada/beats")
    assert (found.name, found.genres) == ("hub:ada/beats", checkpoint.genres)
    hub.commit("ada/beats", {client.FILE: b"another version"})
    asked = len(hub.requests)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    assert load_checkpoint("hub:ada/beats").genres == checkpoint.genres  # the version of the first use
    assert len(hub.requests) == asked


def test_a_revision_is_kept(hub: Hub, content: bytes) -> None:
    first = hub.commit("ada/beats", {client.FILE: content})
    hub.commit("ada/beats", {client.FILE: b"another version"})
    assert load_checkpoint(f"hub:ada/beats@{first}").name == f"hub:ada/beats@{first}"
    with pytest.raises(CheckpointError):
        load_checkpoint("hub:ada/beats")  # the newest version is no checkpoint


def test_what_cannot_be_had_is_one_sentence(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.commit("ada/text", {"README.md": b"words", "model.pkl": b"a pickle is never opened"})
    for name, words in [
        ("hub:ada/nothing", "the hub has no such public model"),
        ("hub:ada/text@1234", "the model has no such revision"),
        ("hub:ada/text", "has no file model.safetensors"),
        ("hub:../../etc/passwd", "names no model of the hub"),
        ("hub:beats", "names no model of the hub"),
    ]:
        with pytest.raises(CheckpointError, match=words) as caught:
            load_checkpoint(name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
    monkeypatch.setattr(client, "MAX_FILE_BYTES", 10)
    hub.commit("ada/large", {client.FILE: bytes(11)})
    with pytest.raises(CheckpointError, match="GB are more than"):
        load_checkpoint("hub:ada/large")
    monkeypatch.setattr(client, "MAX_FILE_BYTES", 1000)

    def full(*_: object, **__: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("huggingface_hub.hf_hub_download", full)
        with pytest.raises(CheckpointError, match="hub:ada/large cannot be saved, since the disk is full"):
            load_checkpoint("hub:ada/large")
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:9/{repo_id}")
    with pytest.raises(CheckpointError, match="hub:ada/other cannot be reached"):
        load_checkpoint("hub:ada/other")
