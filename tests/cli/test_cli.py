"""The command line as a program that others call: names, keys, exit codes, and what goes to which stream."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from typer.testing import CliRunner

from genre_app import checkpoint as checkpoint_module
from genre_app.audio import load_clip
from genre_app.checkpoint import Checkpoint, save_checkpoint
from genre_app.cli import build
from genre_app.cli.classify import VoteName
from genre_app.features import FeatureSpec
from genre_app.models import create_model
from genre_app.predict import classify
from genre_app.vote import VOTES
from tests.bands import write_bands

RATE = 22050


@pytest.fixture(autouse=True)
def _keep_threads():
    n_threads = torch.get_num_threads()
    yield
    torch.set_num_threads(n_threads)


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


def strict(line: str) -> dict:
    return json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


# classify


def test_jsonl_is_a_line_per_file_with_what_classify_says(run, songs, checkpoint):
    code, out, err = run("classify", *songs, "--format", "jsonl")
    assert (code, err) == (0, "")
    rows = [strict(line) for line in out.splitlines()]
    assert [row["file"] for row in rows] == [str(song) for song in songs]
    for row, song in zip(rows, songs, strict=True):
        expected = classify(load_clip(song), checkpoint).to_dict()
        assert row == {**expected, "file": str(song)}
        assert set(row) == set(expected)
        assert sum(row["probabilities"].values()) == pytest.approx(1.0)
        assert row["genre"] == max(row["probabilities"], key=row["probabilities"].get)
        assert set(row["segments"][0]) == {"start_seconds", "end_seconds", "probabilities"}


def test_one_bad_file_has_its_error_and_stops_nothing(run, songs, broken):
    files = [songs[0], broken, songs[0].parent / "none.wav", songs[0].parent, songs[1]]
    code, out, _ = run("classify", *files, "--format", "jsonl")
    rows = [strict(line) for line in out.splitlines()]
    assert code == 1
    assert [row["file"] for row in rows] == [str(file) for file in files]
    assert [set(row) == {"file", "error"} for row in rows] == [False, True, True, True, False]
    assert all("\n" not in row["error"] for row in rows[1:4])


def test_silence_is_an_error_and_not_a_genre(run, tmp_path):
    soundfile.write(tmp_path / "still.wav", np.zeros(5 * RATE), RATE)
    code, out, _ = run("classify", tmp_path / "still.wav", "--format", "jsonl")
    assert code == 1
    assert "no sound to classify" in strict(out)["error"]


def test_noise_has_no_genre_in_any_format(run, tmp_path):
    soundfile.write(tmp_path / "hiss.wav", np.random.default_rng(0).normal(0, 0.1, 10 * RATE), RATE)
    lines = {format_: run("classify", tmp_path / "hiss.wav", "--format", format_)[1] for format_ in ("table", "jsonl", "csv")}
    assert lines["table"].startswith("no music ")
    assert strict(lines["jsonl"])["genre"] is None
    (row,) = csv.DictReader(io.StringIO(lines["csv"]))
    assert row["genre"] == ""
    assert "no music heard" in row["warnings"]


def test_csv_is_a_row_per_file(run, songs, broken, checkpoint):
    code, out, _ = run("classify", *songs, broken, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 1
    assert [row["file"] for row in rows] == [str(song) for song in [*songs, broken]]
    assert rows[3]["error"]
    assert not rows[3]["genre"]
    for row, song in zip(rows[:3], songs, strict=True):
        expected = classify(load_clip(song), checkpoint)
        assert row["genre"] == expected.genre
        assert [float(row[genre]) for genre in checkpoint.genres] == pytest.approx(expected.probabilities.tolist())
        assert float(row["agreement"]) == pytest.approx(expected.agreement, abs=1e-4)
        assert not row["error"]


def test_the_table_is_a_line_per_file(run, songs, broken, checkpoint):
    code, out, err = run("classify", *songs, broken)
    assert (code, err) == (1, "")
    lines = out.splitlines()
    assert len(lines) == 4
    for line, song in zip(lines, songs, strict=False):
        expected = classify(load_clip(song), checkpoint)
        assert line.startswith(expected.genre)
        assert str(song) in line
        assert f"{expected.n_agree}/{expected.n_sounding}" in line
    assert lines[3].startswith("error")
    assert "text.mp3" in lines[3]


def test_options_of_classify(run, songs, checkpoint):
    clip = load_clip(songs[0])
    for vote in VOTES:
        _, out, _ = run("classify", songs[0], "--vote", vote, "--overlap", "0.75", "--format", "jsonl")
        assert strict(out) == {**classify(clip, checkpoint, vote=vote, overlap=0.75).to_dict(), "file": str(songs[0])}
    assert [name.value for name in VoteName] == list(VOTES)


@pytest.mark.skipif(sys.platform != "linux", reason="file names with such bytes are possible on Linux")
def test_hostile_file_names_stay_one_valid_line(run, songs, checkpoint_path):
    path = songs[0].parent.parent / os.fsdecode(b"new\nline \x1b[31m \xff.mp3")
    with path.open("wb") as file:
        soundfile.write(file, load_clip(songs[0]).samples, RATE, format="MP3")
    for form in ("jsonl", "table"):
        # In a process of its own: the runner's streams are more lenient than a terminal's.
        command = [
            sys.executable,
            "-m",
            "genre_app",
            "classify",
            path,
            "--format",
            form,
            "--checkpoint",
            checkpoint_path,
        ]
        result = subprocess.run(command, capture_output=True, check=False, env={**os.environ, "PYTHONIOENCODING": "ascii"})
        assert result.returncode == 0, result.stderr
        assert result.stdout.count(b"\n") == 1
        assert b"\x1b" not in result.stdout
        if form == "jsonl":
            assert strict(result.stdout.decode("ascii"))["file"].endswith("new\nline \x1b[31m �.mp3")


# Wrong usage


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["classify"], "Missing argument"),
        (["classify", "a.wav", "--vote", "median"], "median"),
        (["classify", "a.wav", "--format", "xml"], "xml"),
        (["classify", "a.wav", "--overlap", "1"], "overlap"),
        (["classify", "a.wav", "--threads", "0"], "threads"),
        (["classify", "a.wav", "--checkpoint", "none"], "neither a file nor a bundled one"),
        (["classify", "a.wav", "--checkpoint", __file__], "not a safetensors file"),
        (["evaluate"], "Missing argument"),
        (["evaluate", "none", "--checkpoint", "none"], "neither a file nor a bundled one"),
        (["evaluate", "a", "--format", "jsonl"], "jsonl"),
        (["transmogrify"], "transmogrify"),
    ],
)
def test_wrong_usage_exits_with_2_and_prints_no_result(arguments, message):
    result = CliRunner().invoke(build(), arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert message in result.stderr


def test_a_vote_that_the_checkpoint_cannot_take_is_wrong_usage(run, make_checkpoint, songs, tmp_path):
    save_checkpoint(make_checkpoint(references=False), tmp_path / "plain.safetensors")
    code, out, err = run("classify", songs[0], "--vote", "knn", "--checkpoint", tmp_path / "plain.safetensors")
    assert (code, out) == (2, "")
    assert err == "error: the checkpoint plain has no reference tracks for the knn vote; choose another --vote\n"


# evaluate


@pytest.fixture(scope="module")
def folder(make_clip, broken, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("tracks")
    for seed, genre in enumerate(("blues", "Hip-Hop", "rock")):
        (root / "test" / genre).mkdir(parents=True)
        soundfile.write(root / "test" / genre / "a.wav", make_clip(5.0, seed).samples, RATE)
    (root / "test" / "rock" / "bad.wav").write_bytes(broken.read_bytes())
    return root


def test_evaluate_as_json(run, folder):
    code, out, err = run("evaluate", folder / "test", "--format", "json")
    assert (code, err) == (0, "")
    report = strict(out)
    keys = "n_tracks accuracy accuracy_ci95 log_loss macro_f1 per_genre confusion by_vote segment_accuracy failed"
    assert list(report) == keys.split()
    assert report["n_tracks"] == 3
    assert list(report["by_vote"]) == list(VOTES)
    assert report["per_genre"]["hiphop"]["n"] == 1
    assert [failed["file"] for failed in report["failed"]] == ["rock/bad.wav"]
    low, high = report["accuracy_ci95"]
    assert low <= report["accuracy"] <= high
    _, again, _ = run("evaluate", folder, "--split", "test", "--format", "json")
    assert strict(again) == report


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
    save_checkpoint(Checkpoint(model, spec, ("high", "low")), tmp_path / "summary.safetensors")
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
def test_progress_is_shown_on_a_terminal_only(folder, checkpoint_path):
    import pty
    import termios

    ours, theirs = pty.openpty()
    termios.tcsetwinsize(ours, (24, 80))
    command = [sys.executable, "-m", "genre_app", "evaluate", folder / "test", "--format", "json"]
    result = subprocess.run([*command, "--checkpoint", checkpoint_path], stdout=subprocess.PIPE, stderr=theirs, check=True)
    os.set_blocking(ours, False)
    assert b"track" in os.read(ours, 100_000)
    os.close(ours)
    os.close(theirs)
    assert strict(result.stdout.decode())["n_tracks"] == 3


# checkpoints


def test_bundled_checkpoints_are_listed(run, checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint_module, "checkpoint_folder", lambda: tmp_path)
    assert run("checkpoints")[:2] == (0, "")
    save_checkpoint(checkpoint, tmp_path / "default.safetensors")
    code, out, _ = run("checkpoints")
    assert code == 0
    assert out.startswith("default ")
    _, out, _ = run("checkpoints", "--format", "json")
    (row,) = strict(out)
    assert row["name"] == "default"
    assert row["genres"] == list(checkpoint.genres)
    assert row["metrics"] == checkpoint.metrics


# Help


def test_help_takes_less_than_a_second_and_loads_nothing_heavy():
    durations = []
    for _ in range(3):
        start = time.perf_counter()
        result = subprocess.run([sys.executable, "-m", "genre_app", "--help"], capture_output=True, text=True, check=True)
        durations.append(time.perf_counter() - start)
    assert min(durations) < 1.0
    assert all(name in result.stdout for name in ("classify", "evaluate", "checkpoints"))
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from genre_app.cli import build\n"
        "assert CliRunner().invoke(build(), ['classify', '--help']).exit_code == 0\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'gradio', 'sklearn')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
