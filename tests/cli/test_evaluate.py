"""genre-app evaluate: its report, its errors, its progress."""

from __future__ import annotations

import os
import shutil
import sys

import pytest
import torch

from genre_app.checkpoint import Checkpoint, save_checkpoint
from genre_app.cli import build
from genre_app.features import FeatureSpec
from genre_app.models import create_model
from genre_app.vote import VOTES
from tests.bands import write_bands
from tests.cli.strict_json import strict


def test_evaluate_as_json(run, folder):
    code, out, err = run("evaluate", folder / "test", "--format", "json")
    assert (code, err) == (0, "")
    report = strict(out)
    keys = "n_tracks accuracy accuracy_ci95 log_loss ece macro_f1 per_genre confusion by_vote segment_accuracy failed notes"
    assert list(report) == keys.split()
    assert report["n_tracks"] == 3
    assert list(report["by_vote"]) == list(VOTES)
    assert report["per_genre"]["hiphop"]["n"] == 1
    assert [failed["file"] for failed in report["failed"]] == ["rock/bad.wav"]
    low, high = report["accuracy_ci95"]
    assert low <= report["accuracy"] <= high
    _, again, _ = run("evaluate", folder, "--split", "test", "--format", "json")
    assert strict(again) == report


def test_names_that_are_not_utf8_make_valid_json(run, folder, tmp_path):
    shutil.copytree(folder / "test", tmp_path / "test")
    (tmp_path / "test" / "rock" / os.fsdecode(b"bad\xff.wav")).write_bytes(b"no music")
    _, out, _ = run("evaluate", tmp_path / "test", "--format", "json")
    assert [failed["file"] for failed in strict(out)["failed"]] == ["rock/bad.wav", "rock/bad\ufffd.wav"]


def test_evaluate_as_table(run, folder):
    code, out, _ = run("evaluate", folder / "test")
    assert code == 0
    assert "3 tracks, 1 failed" in out
    assert "bad.wav" in out


def test_data_that_cannot_be_used_is_wrong_usage(run, folder, tmp_path):
    (tmp_path / "polka").mkdir()
    (tmp_path / "polka" / "a.wav").touch()
    for arguments, message in (
        ([tmp_path / "none"], "is not a folder"),
        ([tmp_path], "does not know: polka"),
        ([folder / "test", "--split", "valid"], "no folder 'valid'"),
    ):
        code, out, err = run("evaluate", *arguments)
        assert (code, out) == (2, "")
        assert message in err
        assert err.startswith("error: ")
        assert err.count("\n") == 1


def test_a_checkpoint_that_does_not_fit_the_data_is_wrong_usage(run, tmp_path):
    spec = FeatureSpec(kind="summary", hop_length=1024)
    model = create_model("mlp", n_bins=spec.n_bins, n_frames=spec.input_frames, n_genres=2, settings={"hidden": [4]})
    save_checkpoint(Checkpoint.single(model, spec, ("high", "low")), tmp_path / "summary.safetensors")
    cache = write_bands(tmp_path / "cache")
    code, out, err = run("evaluate", cache, "--checkpoint", tmp_path / "summary.safetensors")
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {cache} is a mel cache, from which features of kind summary")
    assert err.count("\n") == 1


def test_a_network_whose_answers_are_not_finite_is_wrong_usage(run, folder, songs, make_checkpoint, tmp_path):
    broken = make_checkpoint()
    with torch.no_grad():
        broken.model.members[0].head.weight.fill_(3e38)
    save_checkpoint(broken, tmp_path / "broken.safetensors")
    for arguments in (("evaluate", folder / "test"), ("classify", songs[0])):
        code, out, err = run(*arguments, "--checkpoint", tmp_path / "broken.safetensors")
        assert (code, out) == (2, "")
        assert err == "error: checkpoint broken: its network gives numbers that are not finite; use another checkpoint\n"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_progress_is_shown_on_a_terminal_only(folder, checkpoint_path, capsys, monkeypatch):
    import pty
    import termios

    ours, theirs = pty.openpty()
    termios.tcsetwinsize(ours, (24, 80))
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        words = ["evaluate", folder / "test", "--format", "json", "--checkpoint", checkpoint_path, "--threads", "1"]
        build()([*map(str, words)], standalone_mode=False)
        os.set_blocking(ours, False)
        assert b"track" in os.read(ours, 100_000)
        os.close(ours)
        monkeypatch.undo()
    assert strict(capsys.readouterr().out)["n_tracks"] == 3
