"""Checkpoint files that are damaged, hostile or of another kind are refused in one sentence."""

from __future__ import annotations

import io
import pickle
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from genre_app.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from genre_app.errors import CheckpointError
from genre_app.features import FeatureSpec
from genre_app.models import create_model
from tests.mutated import refused, write_mutated


@pytest.fixture
def mutate(checkpoint_path, tmp_path):
    """Write a changed copy of the checkpoint, see `write_mutated`."""
    return partial(write_mutated, checkpoint_path, tmp_path)


# Files that are not checkpoints


def test_a_missing_file_and_a_folder(tmp_path):
    refused(tmp_path / "none.safetensors", "is neither a file nor a bundled one")
    refused(tmp_path, "is a folder")
    with pytest.raises(CheckpointError, match="neither a file"):
        load_checkpoint("a\0b")
    with pytest.raises(CheckpointError, match="neither a file"):
        load_checkpoint("a" * 300)  # longer than a file's name may be


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 100, 2000, -4000, -1])
def test_a_truncated_file(checkpoint_path, tmp_path, length):
    path = tmp_path / "cut.safetensors"
    path.write_bytes(checkpoint_path.read_bytes()[:length])
    refused(path, "is empty" if length == 0 else "is truncated")


def test_a_file_with_something_appended(checkpoint_path, tmp_path):
    path = tmp_path / "long.safetensors"
    path.write_bytes(checkpoint_path.read_bytes() + b"\0" * 10)
    refused(path, "truncated or damaged")


def test_a_renamed_torch_file_and_a_renamed_pickle_are_not_opened(tmp_path):
    ran = tmp_path / "ran"

    class Harmful:
        def __reduce__(self):
            return Path.touch, (ran,)

    path = tmp_path / "renamed.safetensors"
    torch.save({"weights": Harmful()}, path)
    refused(path, "is a zip archive, as torch.save writes.*can run code")
    for protocol in (2, 4, 5):
        path.write_bytes(pickle.dumps({"weights": Harmful()}, protocol))
        refused(path, "is a pickle.*can run code")
    assert not ran.exists()


def test_other_formats(tmp_path):
    path = tmp_path / "other.safetensors"
    for content in (b"\x89HDF\r\n\x1a\n" + bytes(100), b"RIFF....WAVEfmt " * 9, b"hello, this is text\n" * 20, bytes(1000)):
        path.write_bytes(content)
        refused(path, "is not a safetensors file")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", "b")
    path.write_bytes(buffer.getvalue())
    refused(path, "is a zip archive")


def test_a_header_that_states_too_large_a_size(tmp_path):
    path = tmp_path / "huge.safetensors"
    for length in (2**63 - 1, 10**9, 5_000_000):
        path.write_bytes(length.to_bytes(8, "little") + b"{" + bytes(1000))
        refused(path, f"states a header of {length} bytes")


def test_a_file_that_is_too_large(tmp_path):
    path = tmp_path / "sparse.safetensors"
    with path.open("wb") as file:
        file.write((100).to_bytes(8, "little") + b"{")
        file.truncate(2_000_000_000)  # takes no room on the disk
    refused(path, "has 2.0 GB")


def test_a_damaged_header(checkpoint_path, tmp_path):
    content = bytearray(checkpoint_path.read_bytes())
    content[12:16] = b"\xff\xff\xff\xff"
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(content)
    refused(path, "truncated or damaged")


def test_random_damage_never_escapes(checkpoint_path, tmp_path):
    """Damaging random bytes of the header gives a checkpoint or a `CheckpointError`."""
    random = np.random.default_rng(0)
    content = checkpoint_path.read_bytes()
    length = 8 + int.from_bytes(content[:8], "little")
    path = tmp_path / "hit.safetensors"
    n_refused = 0
    for _ in range(60):
        hit = bytearray(content)
        for position in random.integers(0, length, 2):
            hit[position] = random.integers(0, 256)
        path.write_bytes(hit)
        try:
            load_checkpoint(path)
        except CheckpointError as error:
            assert "\n" not in str(error)  # noqa: PT017
            n_refused += 1
    assert n_refused > 20


# Tensors that do not match

WEIGHT = "members.0.members.0.blocks.0.conv.weight"


def drop_first_row(state: dict) -> None:
    state[WEIGHT] = state[WEIGHT][1:].contiguous()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop(WEIGHT), f"lacks tensor '{WEIGHT}'"),
        (lambda state: state.clear(), "lacks tensor '.*' and [0-9]+ more"),
        (lambda state: state.update({"members.0.extra": torch.zeros(1)}), "superfluous tensor 'members.0.extra'"),
        (lambda state: state.update({"optimizer": torch.zeros(1)}), "superfluous tensor 'optimizer'"),
        (drop_first_row, r"as F32 \[7, 2, 3, 3\] where F32 \[8, 2, 3, 3\] belongs"),
        (lambda state: state.update({WEIGHT: state[WEIGHT].half()}), "as F16"),
        (lambda state: state[WEIGHT].view(-1)[3:4].fill_(float("nan")), f"not finite in tensor '{WEIGHT}'"),
        (lambda state: state["members.0.bin_mean"][:1].fill_(float("inf")), "not finite in tensor 'members.0.bin_mean'"),
        (lambda state: state["references.probabilities"][:1, :1].fill_(float("nan")), "not finite"),
        (lambda state: state["references.labels"][:1].fill_(10), "unusable knn references"),
        (lambda state: state["references.labels"][:1].fill_(-1), "unusable knn references"),
        (
            lambda state: state.update({"references.labels": torch.zeros(39, dtype=torch.int64)}),
            r"\[40, 10\] where F32 \[39, 10\]",
        ),
        (lambda state: state.update({"references.labels": torch.tensor(0)}), "references"),
        (lambda state: state.pop("references.labels"), "both tensors"),
    ],
)
def test_tensors_that_do_not_fit(mutate, change, message):
    refused(mutate(tensors=change), message)


def test_a_small_file_cannot_describe_a_network_that_exhausts_memory(tmp_path):
    """Its 2048 maps of a minute have 2.7 GB; to compute them takes several times as much."""
    spec = FeatureSpec(hop_length=512, segment_seconds=60.0, segment_hop_seconds=30.0)
    settings = {"channels": [2048], "pools": [[1, 1]]}
    model = create_model("cnn", n_bins=spec.n_bins, n_frames=spec.input_frames, n_genres=2, settings=settings)
    path = tmp_path / "large.safetensors"
    save_checkpoint(Checkpoint.single(model, spec, ("a", "b")), path)
    assert path.stat().st_size < 1_000_000
    refused(path, "describes a network too large for its segments")
