"""The published musicnn as a checkpoint, from a wheel made here and from the real one."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from genre_app.checkpoint import load_checkpoint, save_checkpoint
from genre_app.cli import build
from genre_app.errors import CheckpointError
from genre_app.pretrained.musicnn import SPEC, fetch_wheel, read_wheel
from tests.pretrained.bundle_file import bundle, published_tensors, write_wheel

LABELS = [f"tag {number}" for number in range(50)]
TENSORS = published_tensors()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return write_wheel(tmp_path_factory.mktemp("wheel") / "musicnn.whl", *bundle(TENSORS), labels=LABELS)


def sizes(path: Path) -> dict:
    return {"n_bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def test_the_weights_reach_their_layers_and_the_file_names_its_source(wheel, tmp_path):
    save_checkpoint(read_wheel(wheel, "MSD_musicnn", **sizes(wheel)), tmp_path / "MSD.safetensors")
    checkpoint = load_checkpoint(tmp_path / "MSD.safetensors")
    assert checkpoint.genres == tuple(LABELS)
    assert (checkpoint.spec, checkpoint.spec.segment_frames) == (SPEC, 187)
    state = checkpoint.model.state_dict()
    for ours, theirs in {
        "timbral.1.conv.weight": "conv2d_1/kernel",
        "temporal.0.conv.weight": "conv2d_2/kernel",
        "middle.2.conv.weight": "conv2d_7/kernel",
        "dense.weight": "dense/kernel",
    }.items():
        np.testing.assert_array_equal(state[ours].numpy(), TENSORS[theirs].transpose().reshape(state[ours].shape))
    for ours, number in {"input_norm": "", "timbral.0.norm": "_1", "middle.0.norm": "_6", "dense_norm": "_10"}.items():
        expected = TENSORS[f"batch_normalization{number}/moving_variance"]
        np.testing.assert_array_equal(state[f"{ours}.running_var"].numpy(), expected)
    provenance = checkpoint.provenance
    assert provenance["source"]["sha256"] == sizes(wheel)["sha256"]
    assert provenance["source"]["trained_on"] == "Million Song Dataset"
    assert provenance["licence"] == "ISC"
    assert provenance["licence_text"] == "Permission to use is hereby granted."
    assert read_wheel(wheel, "MTT_musicnn", **sizes(wheel)).genres == tuple(LABELS[::-1])


def refusal(path: Path, **expected: object) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_wheel(path, "MSD_musicnn", **expected)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_other_truncated_and_missing_files_are_refused_with_a_sentence(wheel, tmp_path):
    expected = sizes(wheel)
    cut, other = tmp_path / "cut.whl", tmp_path / "other.whl"
    cut.write_bytes(wheel.read_bytes()[:-100])
    assert refusal(cut, **expected).startswith(f"{cut} is truncated: it has {expected['n_bytes'] - 100} bytes, not")
    other.write_bytes(wheel.read_bytes()[:-1] + b"!")
    assert f"is not the published file: its SHA-256 is {sizes(other)['sha256']}, not" in refusal(other, **expected)
    assert refusal(tmp_path / "none.whl", **expected).endswith("cannot be read: No such file or directory")
    cut.write_bytes(b"not a zip file")
    assert "is damaged: File is not a zip file; download it again" in refusal(cut, **sizes(cut))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t.pop("dense/bias"), "there is no tensor dense/bias"),
        (lambda t: t.update({"dense/bias": np.zeros(3, np.float32)}), "tensor dense/bias has 3 values, not 200"),
    ],
)
def test_weights_of_another_network_are_refused(change, sentence, tmp_path):
    tensors = dict(TENSORS)
    change(tensors)
    path = write_wheel(tmp_path / "other.whl", *bundle(tensors), labels=LABELS)
    assert sentence in refusal(path, **sizes(path))


def test_truncated_weights_in_the_wheel_are_refused(tmp_path):
    index, data = bundle(TENSORS)
    path = write_wheel(tmp_path / "cut.whl", index, data[:-100], labels=LABELS)
    assert refusal(path, **sizes(path)).endswith("the file is truncated")


def test_without_a_network_one_sentence_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)  # which may name a folder that has the wheel
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    result = CliRunner().invoke(build(), ["pretrained", "musicnn", "--out", str(tmp_path / "new.safetensors")])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: musicnn==0.1.0 could not be downloaded with pip (")
    assert result.stderr.endswith("; check the network, or download the wheel elsewhere and name it with --wheel\n")
    assert len(result.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_the_checkpoint(wheel, tmp_path, monkeypatch):
    monkeypatch.setattr(read_wheel, "__kwdefaults__", sizes(wheel))
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(build(), ["pretrained", "musicnn", "--which", "MTT_musicnn", "--wheel", str(wheel)])
    assert (result.exit_code, result.stdout) == (0, "MTT_musicnn.safetensors\n")
    assert load_checkpoint(tmp_path / "MTT_musicnn.safetensors").provenance["source"]["network"] == "MTT_musicnn"
    result = CliRunner().invoke(build(), ["pretrained", "musicnn", "--which", "MSD_vgg"])
    assert result.exit_code == 2
    assert "'MSD_vgg' is not one of" in result.stderr


@pytest.fixture(scope="module")
def real_wheel(tmp_path_factory) -> Path:
    """The published wheel: the file that GENRE_APP_MUSICNN_WHEEL names, or a download; skip the test without either."""
    if stated := os.environ.get("GENRE_APP_MUSICNN_WHEEL"):
        return Path(stated)
    try:
        return fetch_wheel(tmp_path_factory.mktemp("real"))
    except CheckpointError as error:
        pytest.skip(str(error))


@pytest.mark.slow
def test_the_published_network_knows_its_tags(real_wheel):
    checkpoint = read_wheel(real_wheel, "MSD_musicnn")
    assert checkpoint.genres[:5] == ("rock", "pop", "alternative", "indie", "electronic")
    assert len(set(checkpoint.genres)) == 50
    # A wrong order of layers or axes changes these values; with the right one, recordings of blues and jazz get these tags.
    features = torch.rand(1, 96, 187, generator=torch.Generator().manual_seed(0)) * 3.0
    with torch.inference_mode():
        tags = torch.sigmoid(checkpoint.model(features))[0]
    found = dict(zip(checkpoint.genres, tags.tolist(), strict=True))
    assert max(found, key=found.__getitem__) == "metal"
    assert found["metal"] == pytest.approx(0.154, abs=0.003)
    assert found["90s"] == pytest.approx(0.069, abs=0.003)
