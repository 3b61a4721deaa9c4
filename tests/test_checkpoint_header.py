"""Headers of checkpoint files: what is refused, several members, and the version before them."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from genre_app.checkpoint import load_checkpoint, save_checkpoint
from tests.mutated import header_of, refused, write_mutated


@pytest.fixture
def mutate(checkpoint_path, tmp_path):
    """Write a changed copy of the checkpoint, see `write_mutated`."""
    return partial(write_mutated, checkpoint_path, tmp_path)


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
        (lambda meta: first(meta)["spec"].update(segment_hop_seconds=1e-6), "members.0.spec.segment_hop_seconds"),
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
            "cannot be built: an input of .* is too small for these pools",
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
