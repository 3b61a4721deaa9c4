"""genre-app classify as a program that others call: names, keys, exit codes, and what goes to which stream."""

from __future__ import annotations

import csv
import io
import os
import sys
from typing import get_args

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from genre_app.audio import load_clip
from genre_app.checkpoint import save_checkpoint
from genre_app.cli import build, main
from genre_app.cli.classify import VoteName
from genre_app.predict import classify
from genre_app.vote import VOTES
from tests.cli.strict_json import strict
from tests.features.test_content import talker
from tests.features.test_noise import noise

RATE = 22050


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


@pytest.mark.parametrize(
    ("reason", "first", "warning"), [("noise", "no music ", "no music heard"), ("speech", "speech ", "speech")]
)
def test_noise_and_speech_have_no_genre_in_any_format(run, tmp_path, reason, first, warning):
    samples = 0.1 * noise(0, 10.0) if reason == "noise" else talker(10.0)
    soundfile.write(tmp_path / "clip.wav", samples, RATE)
    lines = {format_: run("classify", tmp_path / "clip.wav", "--format", format_)[1] for format_ in ("table", "jsonl", "csv")}
    assert lines["table"].startswith(first)
    found = strict(lines["jsonl"])
    assert (found["genre"], found["rejected"], found["sure"]) == (None, reason, False)
    (row,) = csv.DictReader(io.StringIO(lines["csv"]))
    assert (row["genre"], row["rejected"]) == ("", reason)
    assert warning in row["warnings"]


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
    assert get_args(VoteName) == VOTES


@pytest.mark.skipif(sys.platform != "linux", reason="file names with such bytes are possible on Linux")
def test_hostile_file_names_stay_one_valid_line(songs, checkpoint_path, monkeypatch):
    path = songs[0].parent.parent / os.fsdecode(b"new\nline \x1b[31m \xff.mp3")
    with path.open("wb") as file:
        soundfile.write(file, load_clip(songs[0]).samples, RATE, format="MP3")
    # Streams as those of a terminal that knows ASCII only: the runner's are more lenient.
    written = io.BytesIO()
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(written, "ascii", errors="strict"))
    for form in ("jsonl", "table"):
        words = ["classify", str(path), "--checkpoint", str(checkpoint_path), "--threads", "1", "--format", form]
        monkeypatch.setattr(sys, "argv", ["genre-app", *words])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert not stopped.value.code
    sys.stdout.flush()
    sys.stderr.flush()
    as_json, _as_table = written.getvalue().splitlines(keepends=True)
    assert written.getvalue().count(b"\n") == 2
    assert b"\x1b" not in written.getvalue()
    assert strict(as_json.decode("ascii"))["file"].endswith("new\nline \x1b[31m \N{REPLACEMENT CHARACTER}.mp3")


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
