"""Checkpoints: a written checkpoint is read back exactly, and bundled ones are found by name."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from genre_app import checkpoint as checkpoint_module
from genre_app.checkpoint import bundled_checkpoints, load_checkpoint, save_checkpoint
from genre_app.errors import CheckpointError
from genre_app.features import FeatureSpec


def header_of(path: Path) -> dict:
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["genre_app"])


def test_a_written_checkpoint_is_read_back(checkpoint, checkpoint_path):
    loaded = load_checkpoint(checkpoint_path)
    assert loaded.spec == checkpoint.spec
    assert loaded.genres == checkpoint.genres
    assert loaded.metrics == checkpoint.metrics
    assert loaded.provenance == checkpoint.provenance
    assert loaded.name == "tiny"
    assert loaded.model.name == "cnn"
    assert loaded.model.settings == checkpoint.model.settings
    assert not loaded.model.training
    assert loaded.references.k == 7
    np.testing.assert_array_equal(loaded.references.probabilities, checkpoint.references.probabilities)
    np.testing.assert_array_equal(loaded.references.labels, checkpoint.references.labels)
    for key, value in checkpoint.model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[key], value), key
    features = torch.randn(3, 128, checkpoint.spec.segment_frames, generator=torch.Generator().manual_seed(0))
    np.testing.assert_array_equal(loaded.probabilities(features), checkpoint.probabilities(features))


def test_writing_twice_gives_the_same_bytes(checkpoint, checkpoint_path, tmp_path):
    save_checkpoint(load_checkpoint(checkpoint_path), tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == checkpoint_path.read_bytes()


def test_references_are_optional(make_checkpoint, tmp_path):
    save_checkpoint(make_checkpoint(references=False), tmp_path / "plain.safetensors")
    assert load_checkpoint(tmp_path / "plain.safetensors").references is None


def test_probabilities_are_distributions(checkpoint):
    features = 20 * torch.randn(5, 128, checkpoint.spec.segment_frames, generator=torch.Generator().manual_seed(1))
    probabilities = checkpoint.probabilities(features)
    assert probabilities.shape == (5, 10)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-5)


def test_loading_does_not_change_the_random_state(checkpoint_path):
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    load_checkpoint(checkpoint_path)
    assert torch.equal(torch.rand(4), expected)


def test_a_failed_write_leaves_the_old_file(checkpoint, tmp_path, monkeypatch):
    path = tmp_path / "kept.safetensors"
    save_checkpoint(checkpoint, path)
    before = path.read_bytes()

    def full(_):
        raise OSError("no space left on device")

    monkeypatch.setattr("genre_app.files.os.fsync", full)
    with pytest.raises(OSError, match="no space"):
        save_checkpoint(checkpoint, path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "changes",
    [
        {"metrics": {"accuracy": float("nan")}},
        {"genres": ("a", "a")},
        {"metrics": {"a": object()}},
        {"provenance": {"data": "caf\udce9"}},  # the name of a folder that is not UTF-8, as Python reads it
    ],
)
def test_a_checkpoint_that_could_not_be_read_back_is_not_written(checkpoint, tmp_path, changes):
    with pytest.raises(ValueError):  # noqa: PT011 - pydantic's and json's sentences
        save_checkpoint(dataclasses.replace(checkpoint, **changes), tmp_path / "bad.safetensors")
    assert not list(tmp_path.iterdir())


def test_bundled_checkpoints_are_found_by_name(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint_module, "checkpoint_folder", lambda: tmp_path)
    assert bundled_checkpoints() == []
    with pytest.raises(CheckpointError, match="'default' is neither a file nor a bundled one; none is bundled"):
        load_checkpoint()
    for name in ("small", "default", "big"):
        save_checkpoint(checkpoint, tmp_path / f"{name}.safetensors")
    (tmp_path / "default.md").write_text("a model card")
    assert bundled_checkpoints() == ["default", "big", "small"]
    assert load_checkpoint().name == "default"
    assert load_checkpoint("small").name == "small"
    with pytest.raises(CheckpointError, match="'huge' is neither a file nor a bundled one; choose one of: default, big, small"):
        load_checkpoint("huge")


def test_a_network_whose_output_is_nan_is_refused(make_checkpoint):
    broken = make_checkpoint()
    broken.model.bin_std.zero_()
    with pytest.raises(CheckpointError, match="tiny: its network gives numbers that are not finite"):
        broken.probabilities(torch.zeros(1, 128, broken.spec.segment_frames))


def test_the_spec_is_stored_in_the_file(make_checkpoint, tmp_path):
    spec = FeatureSpec(kind="mfcc_delta", hop_length=512, n_mfcc=20, segment_seconds=3.0, segment_hop_seconds=1.5)
    save_checkpoint(make_checkpoint(spec), tmp_path / "mfcc.safetensors")
    loaded = load_checkpoint(tmp_path / "mfcc.safetensors")
    assert loaded.spec == spec
    assert loaded.model.bin_mean.shape == (60,)
