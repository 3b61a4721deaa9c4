"""What a checkpoint remembers of its genres: it is stored, checked, and enough to add genres."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from typer.testing import CliRunner

from genre_app.audio import Clip
from genre_app.checkpoint import load_checkpoint, save_checkpoint
from genre_app.cli import build
from genre_app.errors import CheckpointError
from genre_app.predict import classify
from genre_app.teaching.examples import Example
from genre_app.teaching.teach import teach
from tests.teaching.music import RATE, sound


def test_an_extended_checkpoint_keeps_the_genres_that_it_remembers(base, folder, taught, tmp_path) -> None:
    """The old genres' music is not there any more: only what the networks saw of it."""
    save_checkpoint(taught.checkpoint, tmp_path / "taught.safetensors")
    known = load_checkpoint(tmp_path / "taught.safetensors")
    random = np.random.default_rng(0)
    sweeps = tmp_path / "sweeps"
    sweeps.mkdir()
    time = np.arange(4 * RATE) / RATE
    for number in range(4):
        sweep = 0.3 * np.sin(2 * np.pi * 900 * time * (1 + 0.3 * np.sin(2 * np.pi * random.uniform(2, 5) * time) / 9))
        soundfile.write(sweeps / f"{number}.wav", sweep + random.normal(0, 1e-3, len(time)), RATE)
    examples = [Example(path, "sweeps", path.name, path.name) for path in sorted(sweeps.iterdir())]
    found = teach(examples, known, extend=True, threads=2)
    assert found.checkpoint.genres == ("clicks", "high", "low", "sweeps")
    assert found.n_right == 4
    answers = {
        kind: [classify(Clip(sound(kind, seed), RATE), found.checkpoint).genre for seed in (55, 66)]
        for kind in ("low", "high", "clicks")
    }
    assert answers == {kind: [kind, kind] for kind in answers}
    # A genre of the same name gains clips and stays one genre.
    again = [Example(path, "LOW", path.name, path.name) for path in sorted((folder / "low").iterdir())]
    other = teach(again, known, extend=True, none_of_these=["LOW"], threads=2).checkpoint
    assert (other.genres, other.none_of_these) == (known.genres, ("low",))
    with pytest.raises(CheckpointError, match="does not remember its genres"):
        teach(examples, base, extend=True)


def test_a_damaged_memory_is_refused(taught, tmp_path) -> None:
    path = tmp_path / "taught.safetensors"
    save_checkpoint(taught.checkpoint, path)
    whole = load_checkpoint(path)
    assert str(path) not in Path("/proc/self/maps").read_text()  # whoever overwrites the file must not end this process
    assert {part.dtype for part in vars(whole.memory[0][0]).values()} == {torch.float32}
    assert [part.shape for part in (whole.memory[0][0].means, whole.memory[0][0].residual)] == [(3, 16), (16,)]
    with safe_open(path, framework="pt") as file:
        metadata, tensors = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    key = "memory.1.0.means"
    for changed, words in (
        ({key: tensors[key][:2]}, "belongs"),
        ({key: tensors[key] * float("nan")}, "not finite"),
        ({"memory.0.7.means": tensors[key].clone()}, "superfluous"),
        ({key: None}, "lacks"),
        ({"memory.0.0.factors": tensors["memory.0.0.factors"].repeat(99, 1)}, "more rows"),
    ):
        save_file({name: value for name, value in {**tensors, **changed}.items() if value is not None}, path, metadata)
        with pytest.raises(CheckpointError, match=words):
            load_checkpoint(path)


def test_the_command_lets_a_checkpoint_remember(taught, folder, tmp_path) -> None:
    save_checkpoint(replace(taught.checkpoint, memory=None), tmp_path / "plain.safetensors")
    plain, out = tmp_path / "plain.safetensors", tmp_path / "out.safetensors"
    arguments = ["remember", str(folder), "--checkpoint", str(plain), "--out", str(out)]
    assert CliRunner().invoke(build(), arguments).exit_code == 0
    found = load_checkpoint(tmp_path / "out.safetensors")
    np.testing.assert_array_equal(found.memory[1][0].means, taught.checkpoint.memory[1][0].means)
    (folder / "low").rename(tmp_path / "low")
    try:
        result = CliRunner().invoke(build(), arguments)
    finally:
        (tmp_path / "low").rename(folder / "low")
    assert (result.exit_code, "has no music of low" in result.stderr) == (2, True)
