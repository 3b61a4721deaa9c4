"""Checkpoint files that are damaged, hostile or of another kind are refused in one sentence."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from genre_app.checkpoint import load_checkpoint, save_checkpoint
from genre_app.errors import CheckpointError


def header_of(path: Path) -> dict:
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["genre_app"])


@pytest.fixture
def mutate(checkpoint_path, tmp_path):
    """Write a copy of the checkpoint whose header or tensors have been changed, and return its path."""

    def write(*, header=None, tensors=None, text=None) -> Path:
        state, meta = load_file(checkpoint_path), header_of(checkpoint_path)
        if header:
            header(meta)
        if tensors:
            tensors(state)
        path = tmp_path / "mutated.safetensors"
        save_file(state, path, metadata={"genre_app": json.dumps(meta) if text is None else text})
        return path

    return write


def refused(path, message: str) -> None:
    """Check that loading fails with one sentence that contains the message and names the file."""
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(path)
    text = str(caught.value)
    assert Path(path).name in text
    assert "\n" not in text
    assert len(text) < 500


# Files that are not checkpoints


def test_a_missing_file_and_a_folder(tmp_path):
    refused(tmp_path / "none.safetensors", "is neither a file nor a bundled one")
    refused(tmp_path, "is a folder")
    with pytest.raises(CheckpointError, match="neither a file"):
        load_checkpoint("a\0b")


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


# Headers that do not match


def test_a_safetensors_file_of_another_project(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(3)}, path)
    refused(path, "without a genre_app header")


@pytest.mark.parametrize(("version", "advice"), [(3, "update the program"), (0, "train it again")])
def test_another_format_version(mutate, version, advice):
    # A later format may have other fields; the message is about the version all the same.
    path = mutate(header=lambda meta: meta.update(format_version=version, surprise=1, genres="other"))
    refused(path, f"has format version {version}, this program reads versions 1 to 2; {advice}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "malformed header"),
        ("not json", "malformed header"),
        ("[]", "malformed header"),
        ("{}", "format_version"),
        ('{"format_version": "1x"}', "format_version"),
        ("[" * 100_000, "recursion limit"),
        ('{"format_version": 1}', "malformed header: (genres|spec) is missing"),
        ('{"format_version": 2}', "malformed header: (genres|members) is missing"),
    ],
)
def test_a_malformed_header(mutate, text, message):
    refused(mutate(text=text), message)


def first(meta: dict) -> dict:
    """The header's entry for the first network."""
    return meta["members"][0]


GENRE_NAMES = [
    ["rock"],
    [],
    ["rock", "rock"],
    ["rock", "ROCK"],
    ["rock", ""],
    ["rock", "  "],
    ["rock", " pop"],
    ["rock", "p\nop"],
    ["rock", "x" * 41],
    [str(number) for number in range(1001)],
]


@pytest.mark.parametrize("genres", GENRE_NAMES)
def test_genres_without_a_valid_name(mutate, genres):
    refused(mutate(header=lambda meta: meta.update(genres=genres)), "malformed header: genres")


def test_names_from_other_alphabets_and_with_signs_are_valid(make_checkpoint, tmp_path):
    checkpoint = make_checkpoint()
    checkpoint.genres = ("<b>rock</b>", "R&B", "ポップ", "=1+1", "drum 'n' bass", "f", "g", "h", "i", "j")
    save_checkpoint(checkpoint, tmp_path / "names.safetensors")
    assert load_checkpoint(tmp_path / "names.safetensors").genres == checkpoint.genres


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda meta: first(meta)["spec"].update(sample_rate=10), "members.0.spec.sample_rate"),
        (lambda meta: first(meta)["spec"].update(hop_length=16, segment_seconds=120.0), "a segment may have"),
        (lambda meta: first(meta)["spec"].update(new_field=1), "members.0.spec.new_field"),
        (
            lambda meta: first(meta)["model"].update(name="transformer"),
            "there is no model 'transformer'; choose one of: ",
        ),
        (lambda meta: first(meta)["model"].update(settings={"kernel": 5}), "kernel"),
        (lambda meta: first(meta)["model"]["settings"].update(members=10**9), "members"),
        (lambda meta: first(meta)["model"]["settings"].update(channels=[8]), "cannot be built"),
        (lambda meta: first(meta)["model"]["settings"].update(channels=[10**9, 10**9]), "cannot be built|has tensor"),
        (
            lambda meta: first(meta)["model"]["settings"].update(pools=[[64, 64], [64, 64]]),
            "cannot process its own segments",
        ),
        (
            lambda meta: meta["genres"].append("polka"),
            r"has tensor 'members.0.members.0.head.weight' as F32 \[10, [0-9]+\] where F32 \[11, [0-9]+\]",
        ),
        (lambda meta: meta.update(metrics=[1]), "metrics"),
        (lambda meta: meta.update(surprise=1), "surprise"),
        (lambda meta: meta.update(knn=None), "knn references and their k"),
        (lambda meta: meta.update(knn={"k": 0}), "knn.k"),
        (lambda meta: meta.update(knn={"k": 41}), "unusable knn references: k must lie between 1 and"),
    ],
)
def test_a_header_that_does_not_fit(mutate, change, message):
    refused(mutate(header=change), message)


def test_metrics_that_would_be_invalid_json(mutate, checkpoint_path):
    text = json.dumps(header_of(checkpoint_path)).replace('"accuracy": 0.1', '"accuracy": 1e999')
    refused(mutate(text=text), "malformed header")


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


# Several members, and the version before them


def test_a_file_of_version_1_is_read(checkpoint, checkpoint_path, tmp_path):
    state, meta = load_file(checkpoint_path), header_of(checkpoint_path)
    (member,) = meta.pop("members")
    del meta["sure"]
    meta |= {"format_version": 1, "spec": member["spec"], "model": member["model"]}
    old = {key.replace("members.0.", "model.", 1) if key.startswith("members.") else key: value for key, value in state.items()}
    path = tmp_path / "tiny.safetensors"
    save_file(old, path, metadata={"genre_app": json.dumps(meta)})
    loaded = load_checkpoint(path)
    features = torch.zeros(1, checkpoint.spec.n_bins, checkpoint.spec.segment_frames)
    np.testing.assert_array_equal(loaded.probabilities(features), checkpoint.probabilities(features))
    save_checkpoint(loaded, path)
    assert path.read_bytes() == checkpoint_path.read_bytes()
    save_file(old | {"members.0.extra": torch.zeros(1)}, path, metadata={"genre_app": json.dumps(meta)})
    refused(path, "superfluous tensor 'members.0.extra'")
    save_file(old, path, metadata={"genre_app": json.dumps(meta | {"sure": {}})})
    refused(path, "malformed header: there is no field .sure.")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda meta: meta.update(members=[]), "malformed header: members"),
        (lambda meta: meta.update(members=meta["members"] * 17), "malformed header: members"),
        (lambda meta: meta.update(members=meta["members"] * 2), "weights of the members do not sum to one"),
        (lambda meta: meta.update(members=[{**first(meta), "weight": 0.5}] * 2), "lacks tensor 'members.1"),
        (lambda meta: first(meta).update(weight=0.0), "members.0.weight"),
        (lambda meta: first(meta).update(weight=float("nan")), "members.0.weight"),
        (lambda meta: first(meta).update(surprise=1), "members.0.surprise"),
        (lambda meta: first(meta).update(temperature=0.0), "members.0.temperature"),
        (lambda meta: first(meta).update(temperature=float("inf")), "members.0.temperature"),
        (lambda meta: meta.update(sure={"probability": 2.0, "margin": 0.1}), "sure.probability"),
        (lambda meta: meta.update(sure={"surprise": 2.0}), "sure.surprise"),
    ],
)
def test_members_that_do_not_fit(mutate, change, message):
    refused(mutate(header=change), message)


def test_the_segments_of_all_members_together_are_limited(mutate):
    def many(meta: dict) -> None:
        large = {**first(meta)["spec"], "n_fft": 65536, "segment_seconds": 25.0}
        meta.update(members=[{**first(meta), "spec": large, "weight": 1 / 16}] * 16)

    refused(mutate(header=many), "the segments of all members together")
